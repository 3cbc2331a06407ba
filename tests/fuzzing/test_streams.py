"""Streams: whatever comes, and however it is cut, no reader raises, and each tells the same as for the whole body."""

import gc
import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings

from agent_fuse.aws_events import EventStreamReader
from agent_fuse.calls import MAX_TOKENS
from agent_fuse.told_later import TELLERS, LaterReader
from agent_fuse.wire import Reading, StreamReader
from agent_fuse.wire_formats import FORMATS
from fuzzing.garbage import DEEP, WRITERS, bodies, chunk, cut, cuts, frame, sizes

READERS = {
    **{
        f"{one.name}, {kind}": (lambda reading, one=one, kind=kind: one.reader(reading, kind, count_text=True))
        for one in FORMATS
        for kind in ("text/event-stream", "application/json", "application/x-ndjson")
    },
    "events": lambda reading: StreamReader(reading, count_text=False),
    "frames": lambda reading: EventStreamReader(reading, count_text=True),
}


def told(make, pieces):
    """Everything that a reader tells of a body that comes in these pieces."""
    reading = Reading()
    reader = make(reading)
    for one in pieces:
        reader.feed(one)
    reader.close()
    return asdict(reading)


@sizes
def test_any_cut_tells_the_same_and_nothing_raises(examples):
    """Of every reader, at any bytes: streams of its own kind, of another, and broken ones."""

    @settings(max_examples=examples)
    @given(bodies(), cuts)
    def holds(body, at):
        for name, make in READERS.items():
            whole = told(make, [body])
            assert told(make, cut(body, at)) == whole, name
            assert told(make, [bytes([one]) for one in body[:400]]) == told(make, [body[:400]]), name
            usage = whole["usage"] or {}
            for figure in (usage.get("input_tokens"), usage.get("output_tokens")):
                assert figure is None or 0 <= figure <= 4 * MAX_TOKENS, name  # sums of a few figures

    holds()


@sizes
def test_what_is_told_later_is_the_same_however_it_is_cut(examples):
    """The answers that tell what work under way cost."""

    @settings(max_examples=examples)
    @given(bodies(), cuts)
    def holds(body, at):
        for one in TELLERS:
            for events in (False, True):
                found = []
                for pieces in ([body], cut(body, at)):
                    reader = LaterReader(one, "w", events=events)
                    for piece in pieces:
                        reader.feed(piece)
                    reader.close()
                    found.append(reader.told)
                assert found[0] == found[1]

    holds()


USAGE = b'{"metadata": {"usage": {"inputTokens": 5, "outputTokens": 6}}}'


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"usage":[{"id":'])
@pytest.mark.parametrize("way", sorted(WRITERS))
def test_a_document_that_is_too_deep(opening, way):
    """A document nested deeper than the parser goes is none: what came before it still counts."""
    deep = (opening * DEEP).encode()
    for name, make in READERS.items():
        assert told(make, [WRITERS[way]([deep])])["usage"] is None, name


@pytest.mark.parametrize(
    "broken",
    [
        b"\x00" * 12,
        b"\xff" * 12,
        frame(b"{"),
        frame(b'{"bytes": "?"}'),
        frame(b'{"bytes": "AAA"}'),
        chunk(b"amazon-bedrock-invocationMetrics"),
        frame(b"[" * DEEP),
        chunk(b'{"amazon-bedrock-invocationMetrics":' * DEEP),
    ],
    ids=["short", "long", "no JSON", "no base64", "half of base64", "no event", "deep", "deep event"],
)
def test_a_broken_frame_takes_nothing_back(broken):
    """What was told before a frame that cannot be read stands, and nothing raises."""
    found = told(READERS["frames"], [frame(USAGE) + broken])
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"], found["final"]) == (5, 6, True)
    assert told(READERS["frames"], [broken])["usage"] is None


def test_no_reader_keeps_a_body_of_events():
    """Megabytes of events in small pieces leave nothing behind in the reader."""
    gc.collect()
    event = json.dumps({"choices": [{"delta": {"content": "x" * 1_000}}]}).encode()
    for way, name in [("sse", "events"), ("frames", "frames"), ("sse", "gemini, text/event-stream")]:
        reader = READERS[name](Reading())
        for _ in range(2_000):
            for piece in cut(WRITERS[way]([event]), [1, 9, 500]):
                reader.feed(piece)
        kept = sum(len(value) for value in vars(reader).values() if isinstance(value, bytes | list | str))
        assert kept < 5_000, name
