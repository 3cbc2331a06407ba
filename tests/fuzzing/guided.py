"""Fuzzing that is led by what code it reaches: `python guided.py TARGET SECONDS FOLDER`, seeds in the folder; ends with the input that failed."""

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agent_fuse"]):
    from agent_fuse import told_costs
    from agent_fuse.aws_events import EventStreamReader
    from agent_fuse.calls import MAX_TOKENS
    from agent_fuse.conversation import calls_in, last_turn
    from agent_fuse.dialects import BUILT_IN
    from agent_fuse.loops.signatures import signature
    from agent_fuse.mistakes import ConfigurationError
    from agent_fuse.prices import PriceBook
    from agent_fuse.quotes import Quoter
    from agent_fuse.settings import settings
    from agent_fuse.tokens import TokenCounter
    from agent_fuse.told_later import TELLERS, LaterReader
    from agent_fuse.wire import Reading, StreamReader, read_body
    from agent_fuse.wire_formats import FORMATS

KINDS = ("text/event-stream", "application/json", "application/x-ndjson")
QUOTERS = [Quoter(PriceBook(), strict=strict, counter=TokenCounter(vocabularies=False)) for strict in (False, True)]


def streams(data):
    """Every reader, of the body whole and in two pieces, tells the same."""
    readers = [
        lambda to, one=one, kind=kind: one.reader(to, kind, count_text=True) for one in FORMATS for kind in KINDS
    ]
    readers += [
        lambda to: StreamReader(to, count_text=False),
        lambda to: EventStreamReader(to, count_text=True),
    ]
    at = data[0] if data else 0
    for make in readers:
        found = []
        for pieces in ([data], [data[:at], data[at:]]):
            reading = Reading()
            reader = make(reading)
            for one in pieces:
                reader.feed(one)
            reader.close()
            found.append(str(reading))
        assert found[0] == found[1], found
    for one in TELLERS:
        for events in (False, True):
            later = LaterReader(one, "w", events=events)
            later.feed(data)
            later.close()


def bodies(data):
    """Any JSON is quoted within bounds, and read as an answer."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return
    for one in FORMATS:
        words = one.words(body) if isinstance(body, dict) else {}
        for quoter in QUOTERS:
            quote = quoter.for_body("openai", "gpt-4o", "chat", words, len(data))
            assert 0 <= quote.input_tokens <= MAX_TOKENS
            assert quote.cost >= 0
        one.whole(body, Reading())
    read_body(body, Reading())
    if isinstance(body, dict):
        told_costs.in_usage(body.get)
        for use in last_turn(body):
            signature(use.tool, use.arguments)
        for _, tool, arguments in calls_in(body):
            signature(tool, arguments)


class Span:
    """What a dialect reads."""

    def __init__(self, name, attributes):
        self.name, self.attributes = name, attributes


KEYS = sorted(
    {key for one in BUILT_IN for names in one.keys.values() for key in names} | {one.kind_key for one in BUILT_IN}
)


def spans(data):
    """By every dialect, whatever is in the attributes that it knows."""
    given = atheris.FuzzedDataProvider(data)
    told = {}
    for _ in range(given.ConsumeIntInRange(0, 6)):
        text = given.ConsumeUnicode(60)
        value = [text, given.ConsumeInt(8), given.ConsumeFloat(), (text,), given.ConsumeBool()]
        told[KEYS[given.ConsumeIntInRange(0, len(KEYS) - 1)]] = value[given.ConsumeIntInRange(0, 4)]
    span = Span(given.ConsumeUnicode(20), told)
    for one in BUILT_IN:
        one.start(span)
        ending = one.end(span, failed=False, error="", message="x")
        assert ending.usage is None or (ending.usage.input_tokens or 0) >= 0
        one.owner(span)


FILE = Path(tempfile.mkdtemp()) / "limits.toml"


def limits(data):
    """Limits, or one line."""
    FILE.write_bytes(data)
    said = ""
    try:
        settings({}, limits=FILE)
    except ConfigurationError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1, said


SEEDS = {
    "streams": (
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        b'event: message_delta\r\ndata: {"type":"message_delta","usage":{"output_tokens":5}}\r\n\r\n',
        b'[{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":6},"modelVersion":"x"}]',
        b'{"model":"x","done":true,"prompt_eval_count":5,"eval_count":6}\n',
        b'\x00\x00\x00\x3e\x00\x00\x00\x00\x00\x00\x00\x00{"metadata":{"usage":{"inputTokens":5,"outputTokens":6}}}',
    ),
    "bodies": (
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"max_tokens":5,"tools":[{}],"n":2}',
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":5}}',
        b'{"usage":{"input_tokens":1,"output_tokens":2,"cost":0.5},"id":"x","output":[{"type":"web_search_call"}]}',
    ),
    "spans": (b"\x06gpt-4o" * 9,),
    "limits": (b'[[limit]]\nusd = "5"\nper = ["user.id"]\nwindow = "1d"\nwarn_at = [0.5]\n',),
}


def main(target, seconds, folder):
    """Look for as long."""
    for number, seed in enumerate(SEEDS[target]):
        (Path(folder) / str(number)).write_bytes(seed)
    words = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *words, folder], globals()[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
