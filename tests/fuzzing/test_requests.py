"""Requests and spans: whatever they hold, they are quoted and read, or told apart from a call; nothing raises."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_fuse import told_costs
from agent_fuse.calls import MAX_TOKENS
from agent_fuse.conversation import calls_in, last_turn
from agent_fuse.dialects import BUILT_IN
from agent_fuse.endpoints import endpoint_of
from agent_fuse.loops.signatures import signature
from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quoter
from agent_fuse.quoting.batch_files import quote_file
from agent_fuse.tokens import TokenCounter
from agent_fuse.told_later import TELLERS, read_told, teller_of
from agent_fuse.wire import Reading, count_whole, read_body
from agent_fuse.wire_formats import FORMATS, find, model_in
from fuzzing.garbage import DEEP, bodies, documents, leaves, sizes, trees

OPERATIONS = sorted({one.ends[end] for one in FORMATS for end in one.ends} | {"image", "audio", "rerank", "x"})
KEYS = sorted(
    {key for one in BUILT_IN for names in one.keys.values() for key in names} | {one.kind_key for one in BUILT_IN}
)
KINDS = sorted({kind for one in BUILT_IN for kind in one.kinds})
NAMES = ["openai.chat", "ChatOpenAI.chat", "search.tool", "execute_tool x", "POST", "x", ""]
DEEP_TEXTS = ["[" * DEEP, '{"inputs":' * DEEP, '{"data":{"tool_call_id":1,"content":' * DEEP]


class Span:
    """What a dialect reads."""

    def __init__(self, name, attributes):
        self.name, self.attributes = name, attributes


@sizes
def test_any_body_is_quoted(examples):
    """By every protocol's words and for every operation, within bounds, strictly and not; its history is read too."""
    quoters = [Quoter(PriceBook(), strict=strict, counter=TokenCounter(vocabularies=False)) for strict in (False, True)]

    @settings(max_examples=examples)
    @given(documents, st.sampled_from(OPERATIONS), st.sampled_from(["gpt-4o", "claude-sonnet-4-5", None, "", "\ud800"]))
    def holds(body, operation, model):
        for one in FORMATS:
            words = one.words(body)
            for quoter in quoters:
                quote = quoter.for_body("openai", model, operation, words, len(str(body)))
                assert 0 <= quote.input_tokens <= MAX_TOKENS
                assert 0 <= quote.output_tokens <= MAX_TOKENS
                assert quote.cost >= 0
            one.is_spoken("/v1/models/x", body)
        for use in (*last_turn(body), *last_turn({"messages": [body, body]})):
            signature(use.tool, use.arguments)
        for _, tool, arguments in calls_in(body):
            signature(tool, arguments)

    holds()


@sizes
def test_any_answer_is_read(examples):
    """Whole answers, by every protocol, and what they tell of costs and of work that goes on."""

    @settings(max_examples=examples)
    @given(trees, st.text(max_size=20))
    def holds(body, header):
        for one in FORMATS:
            reading = Reading()
            one.whole(body, reading)
            assert reading.usage is None or (reading.usage.input_tokens or 0) >= 0
            names = ("input", "output")
            one.in_headers({f"x-amzn-bedrock-{name}-token-count": header for name in names})
        read_body(body, Reading())
        count_whole(body, Reading())
        told_costs.in_header(header)
        if isinstance(body, dict):
            told_costs.in_usage(body.get)
            read_told("w", body)

    holds()


@sizes
def test_any_span_is_read(examples):
    """By every dialect, at its start and its end, with JSON in any attribute."""
    texts = documents.map(json.dumps)
    values = leaves | texts | st.sampled_from([*KINDS, *DEEP_TEXTS]) | st.lists(leaves, max_size=3)
    attributes = st.dictionaries(st.sampled_from(KEYS), values, max_size=12)

    @settings(max_examples=examples)
    @given(
        st.sampled_from(NAMES) | st.text(max_size=12), attributes, st.booleans(), st.sampled_from(["", "TimeoutError"])
    )
    def holds(name, told, failed, error):
        span = Span(name, told)
        for one in BUILT_IN:
            spot = one.start(span)
            if spot is not None:
                signature(spot.tool, spot.arguments)
            ending = one.end(span, failed=failed, error=error, message="x")
            assert ending.usage is None or (ending.usage.input_tokens or 0) >= 0
            one.owner(span)

    holds()


@sizes
def test_any_address_is_known_or_not(examples):
    """Paths and URLs of every form, and files of batches of any bytes."""
    parts = st.sampled_from(
        ["", "v1", "models", "x:generateContent", "chat", "completions", "openai", "deployments", "%2F", ":"]
    )
    quote = Quoter(PriceBook(), counter=TokenCounter(vocabularies=False)).for_body
    work = sorted({part for row in TELLERS for part in row.path.split("/")})

    @settings(max_examples=examples)
    @given(st.lists(parts | st.sampled_from(work) | st.text(max_size=6), max_size=6), bodies())
    def holds(segments, file):
        path = "/" + "/".join(segments)
        find(path)
        model_in(path)
        for url in (path, f"https://h{path}", f"//[{path}", f"http://[::1{path}?a#b"):
            for provider in ("", "openai", "anthropic"):
                endpoint_of("POST", url, provider)
                teller_of("GET", url, provider)
        quote_file(file, quote)

    holds()
