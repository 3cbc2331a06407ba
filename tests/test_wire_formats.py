"""The tables of the wire's protocols: which request is whose, what it asks for, and what an answer tells."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agent_fuse.calls import Usage
from agent_fuse.quoting import request_parameters
from agent_fuse.wire import Reading
from agent_fuse.wire_formats import FORMATS, find, model_in
from agent_fuse.wire_formats.forms import form_fields

NAMED = {one.name: one for one in FORMATS}
HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("path", "name", "operation", "model"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini", "generate_content", "gemini-2.5-pro"),
        (
            "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            "gemini", "generate_content", "gemini-2.5-pro",
        ),
        ("/v1/projects/p/publishers/anthropic/models/claude-x@1:streamRawPredict", "anthropic", "messages", "claude-x@1"),
        ("/openai/v1/chat/completions", "openai", "chat", ""),
        ("/openai/deployments/mine/chat/completions", "openai", "chat", "mine"),
        ("/v1/fim/completions", "openai", "text_completion", ""),
        ("/v1/messages", "anthropic", "messages", ""),
        ("/v2/chat", "cohere", "chat", ""),
        ("/v1/embed", "cohere", "embeddings", ""),
        ("/api/chat", "ollama", "chat", ""),
        ("/api/embed", "ollama", "embeddings", ""),
    ],
)  # fmt: skip
def test_a_path_tells_the_protocol(path: str, name: str, operation: str, model: str) -> None:
    """By its end, whatever stands before it; the model where the path names it."""
    found = find(path)
    assert found is not None
    assert (found[0].name, found[1], model_in(path)) == (name, operation, model)


@pytest.mark.parametrize(
    "path", ["/", "/v1beta/models/x:countTokens", "/chat", "/v1/messages/count_tokens", "/v1/models"]
)
def test_other_paths_are_no_models(path: str) -> None:
    """Free requests and everything else."""
    assert find(path) is None


@pytest.mark.parametrize(
    ("name", "body", "cap", "choices"),
    [
        ("gemini", {"contents": [], "generationConfig": {"maxOutputTokens": 7, "candidateCount": 3}}, 7, 3),
        ("ollama", {"messages": HI, "options": {"num_predict": 7}}, 7, 1),
        ("ollama", {"messages": HI, "options": {"num_predict": -1}}, None, 1),
        ("cohere", {"messages": HI, "max_tokens": 7}, 7, 1),
        ("openai", {"messages": HI, "max_completion_tokens": 7, "n": 2}, 7, 2),
    ],
)
def test_a_body_says_how_much_may_come(name: str, body: dict[str, Any], cap: int | None, choices: int) -> None:
    """In each protocol's own words."""
    told = dict(NAMED[name].words(body))
    assert (request_parameters.cap(told), request_parameters.choices(told)) == (cap, choices)


def test_what_is_prompt_is_in_the_quoters_words() -> None:
    """Gemini's groups of tools are a list of functions; a v1 chat's message stands with its history."""
    functions = [{"name": "a"}, {"name": "b"}]
    told = NAMED["gemini"].words({"tools": [{"functionDeclarations": functions}, {"googleSearch": {}}]})
    assert told["tools"] == [*functions, {"type": "googleSearch"}]
    one, two = {"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}
    assert NAMED["gemini"].words({"content": one})["contents"] == [one]
    assert NAMED["gemini"].words({"requests": [{"content": one}, {"content": two}]})["contents"] == [one, two]
    chat = NAMED["cohere"].words({"message": "b", "chat_history": [{"role": "USER", "message": "a"}], "preamble": "p"})
    assert chat["messages"] == [{"role": "USER", "message": "a"}, {"role": "user", "content": "b"}]
    assert chat["system"] == "p"
    assert NAMED["cohere"].words({"texts": ["a", "b"]})["input"] == ["a", "b"]


def _sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in events)


def _lines(*events: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


GEMINI = [
    {"candidates": [{"content": {"parts": [{"text": "{,é]"}]}}], "responseId": "r"},
    {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}},
    {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 4, "thoughtsTokenCount": 2},
        "modelVersion": "m",
    },
]
OLLAMA = [
    {"model": "m", "message": {"content": "x"}, "done": False, "eval_count": 99},
    {"model": "m", "done": True, "prompt_eval_count": 5, "eval_count": 6},
]
UNITS = {"billed_units": {"input_tokens": 5, "output_tokens": 6}}
STREAMS: dict[str, tuple[str, str, bytes, Usage]] = {
    "gemini-sse": ("gemini", "text/event-stream", _sse(*GEMINI), Usage(input_tokens=5, output_tokens=6, reasoning_tokens=2)),
    "gemini-array": (
        "gemini", "application/json", json.dumps(GEMINI, indent=1, ensure_ascii=False).encode(),
        Usage(input_tokens=5, output_tokens=6, reasoning_tokens=2),
    ),
    "ollama": ("ollama", "application/x-ndjson", _lines(*OLLAMA), Usage(input_tokens=5, output_tokens=6)),
    "cohere-v2": (
        "cohere", "text/event-stream",
        _sse({"type": "message-start", "id": "r"}, {"type": "content-delta", "delta": {"usage": {"input_tokens": 9}}},
             {"type": "message-end", "delta": {"usage": UNITS}}),
        Usage(input_tokens=5, output_tokens=6),
    ),
    "cohere-v1": (
        "cohere", "application/json",
        _lines({"event_type": "stream-start", "generation_id": "r"},
               {"event_type": "stream-end", "response": {"meta": UNITS}}),
        Usage(input_tokens=5, output_tokens=6),
    ),
    "groq": (
        "openai", "text/event-stream",
        _sse({"id": "r", "choices": [{"delta": {"content": "x"}}]},
             {"id": "r", "choices": [{"delta": {}, "finish_reason": "stop"}],
              "x_groq": {"usage": {"prompt_tokens": 5, "completion_tokens": 6}}}) + b"data: [DONE]\n\n",
        Usage(input_tokens=5, output_tokens=6),
    ),
    "mistral": (
        "openai", "text/event-stream",
        _sse({"id": "r", "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 5, "completion_tokens": 6}}) + b"data: [DONE]\n\n",
        Usage(input_tokens=5, output_tokens=6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_tells_its_usage_however_it_is_cut(case: str, size: int) -> None:
    """Byte by byte, in pieces, at once; and by its last event, before the connection is closed."""
    name, kind, body, expected = STREAMS[case]
    reading = Reading()
    reader = NAMED[name].reader(reading, kind, count_text=False)
    for at in range(0, len(body), size):
        reader.feed(body[at : at + size])
    assert reading.usage == expected
    assert reading.final
    assert reading.complete
    reader.close()
    assert reading.usage == expected
    assert reading.response_id == ("" if name == "ollama" else "r")


def _on_lines(body: bytes) -> bytes:
    """Each document over several lines of data."""
    found = []
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        text = event.removeprefix(b"data: ")
        shown = json.dumps(json.loads(text), indent=1).encode() if text.startswith(b"{") else text
        found.append(b"".join(b"data: " + line + b"\n" for line in shown.split(b"\n") if line))
    return b"\n".join(found)


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "LF": lambda body: body.replace(b"\r\n", b"\n"),
    "CR": lambda body: body.replace(b"\r\n", b"\r").replace(b"\n", b"\r"),
    "no space": lambda body: body.replace(b"data: ", b"data:"),
    "other fields": lambda body: (
        b": hello\r\n\r\n" + body.replace(b"data: ", b"id: 1\nretry: 5\n: ping\nevent: x\ndata: ")
    ),
    "a mark before it": lambda body: b"\xef\xbb\xbf" + body,
    "several lines of data": _on_lines,
    "several lines of data, CRLF": lambda body: _on_lines(body).replace(b"\n", b"\r\n"),
    "no last line end": lambda body: body.removesuffix(b"data: [DONE]\n\n").rstrip(b"\r\n"),
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("case", [case for case in STREAMS if STREAMS[case][1] == "text/event-stream"])
def test_server_sent_events_are_read_however_they_are_spelled(case: str, spelling: str, size: int) -> None:
    """All that the standard allows: it ends lines in three ways, and an event's data may stand on several."""
    name, kind, body, expected = STREAMS[case]
    body, reading = SPELLINGS[spelling](body), Reading()
    reader = NAMED[name].reader(reading, kind, count_text=False)
    for at in range(0, len(body), size):
        reader.feed(body[at : at + size])
    reader.close()
    assert (reading.usage, reading.response_id) == (expected, "r")


@pytest.mark.parametrize("case", STREAMS)
def test_rubbish_is_passed_over(case: str) -> None:
    """No usage, and no error."""
    name, kind, _, _ = STREAMS[case]
    for rubbish in (b"", b"\n", b"[", b"{", b"[1, [2], {", b"data: {\n\ndata: 3\n", b"\xff\xfe{]", b"null"):
        reading = Reading()
        reader = NAMED[name].reader(reading, kind, count_text=False)
        reader.feed(rubbish)
        reader.close()
        assert reading.usage is None


def test_what_vertex_is_asked_for_stands_in_instances() -> None:
    """Each text to embed, or what the first image shows; how many, and how long, beside it."""
    images, clips = NAMED["google images"].words, NAMED["google clips"].words
    assert images({"instances": [{"content": "a"}, {"content": "b"}]}) == {"input": ["a", "b"]}
    assert images({"instances": [{"prompt": "a cat"}]}) == {"prompt": "a cat", "n": 4}
    assert images({"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 1}})["n"] == 1
    parameters = {"sampleCount": 2, "durationSeconds": 8, "resolution": "1080p"}
    asked = {"instances": [{"prompt": "a cat"}], "parameters": parameters}
    assert clips(asked) == {"prompt": "a cat", "n": 2, "seconds": 8, "size": "1080p"}


def test_what_a_form_says() -> None:
    """Its fields and files; nothing where it is none."""
    request = httpx.Request("POST", "http://x/", data={"model": "m", "a": "é"}, files={"file": ("f", b"--\r\n\r\n\0")})
    assert form_fields(request.read()) == {"model": "m", "a": "é", "file": b"--\r\n\r\n\0"}
    for other in (b"", b"--", b"{}", b"--x\r\n", b"--x\r\nname\r\n\r\nx", json.dumps({"a": 1}).encode()):
        assert form_fields(other) is None


@pytest.mark.parametrize(
    "path",
    ["/v1/projects/p/endpoints/7:predict", "/v1/files", "/v1/conversations", "/v1/moderations", "/v1/fine_tuning"],
)
def test_what_is_like_them_and_is_none_passes(path: str) -> None:
    """A model of one's own at Vertex is paid by the hour; what is kept or moderated is free."""
    assert find(path) is None


def test_checks_of_a_text_are_no_chat() -> None:
    """Bedrock's guardrail checks end as its models' requests do, and name no model."""
    found = find("/guardrail-checks/invoke")
    assert found is not None
    assert found[1] == "unknown"


def told_by(name: str, answer: Any) -> Usage | None:
    """The usage that a protocol reads of a whole answer."""
    reading = Reading()
    NAMED[name].whole(answer, reading)
    return reading.usage


def embedded(*tokens: Any) -> dict[str, Any]:
    return {"predictions": [{"embeddings": {"values": [0.5], "statistics": {"token_count": one}}} for one in tokens]}


@pytest.mark.parametrize(
    ("answer", "into"), [(embedded(1000, 20), 1020), (embedded(1000, None), None), ({"predictions": [{}]}, None)]
)
def test_embeddings_of_vertex_tell_the_tokens_of_each_text(answer: dict[str, Any], into: int | None) -> None:
    """They are billed by these; where one does not tell them, by the quote."""
    usage = told_by("google images", answer)
    assert (usage and usage.input_tokens) == into


@pytest.mark.parametrize(
    ("model", "ground", "searches"),
    [
        ("gemini-2.5-flash", {"groundingChunks": [{"maps": {"uri": "x"}}, {"maps": {"uri": "y"}}]}, 1),
        ("gemini-3-flash-preview", {"groundingChunks": [{"maps": {"uri": "x"}}], "webSearchQueries": ["a", "b"]}, 3),
        ("gemini-3-flash-preview", {"groundingChunks": [{"web": {"uri": "x"}}], "webSearchQueries": ["a", "a"]}, 1),
        ("gemini-3-flash-preview", {"groundingChunks": [{"web": {"uri": "x"}}]}, None),
    ],
)
def test_places_of_a_map_are_billed_as_searches_are(model: str, ground: dict[str, Any], searches: int | None) -> None:
    """An answer that stands on them is one, however many they are."""
    candidate = {"finishReason": "STOP", "groundingMetadata": ground}
    usage = told_by(
        "gemini", {"usageMetadata": {"promptTokenCount": 9}, "modelVersion": model, "candidates": [candidate]}
    )
    assert usage is not None
    assert usage.web_searches == searches
