"""The install check of the request gate: an SDK that moved is found out, named, and costs no other gate its work."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import anthropic._base_client
import openai
import openai._base_client
import pydantic
import pytest
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import SentinelBudgetExceeded
from agent_fuse.integrations import AgentFuseOpenAI
from agent_fuse.otel import active, instrumentor, sdk_check
from agent_fuse.testing import LoopbackProvider

BASE: Any = openai._base_client
Sync, Async = BASE.SyncAPIClient, BASE.AsyncAPIClient
BUILD, PROCESS, APROCESS = BASE.BaseClient._build_request, Sync._process_response, Async._process_response


@pytest.fixture(autouse=True)
def _gate_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The gate is out before each test, so that it is installed anew in it; it stands again afterwards."""
    monkeypatch.setattr(active, "_guards", ())
    instrumentor.uninstall()
    for owner, name, method in (
        ("BaseClient", "_build_request", BUILD),
        ("SyncAPIClient", "_process_response", PROCESS),
    ):
        monkeypatch.setattr(getattr(BASE, owner), name, inspect.unwrap(method))
    yield
    monkeypatch.undo()
    instrumentor.uninstall()
    instrumentor.problems.clear()
    instrumentor.install()
    assert instrumentor.problems == {}


def reader(options: Any) -> Any:
    return options.method, options.url, instrumentor._body(options)


class Renamed(pydantic.BaseModel):
    """What a later version may make of `FinalRequestOptions`: the body under another name."""

    method: str
    url: str
    body: Any = None
    extra_json: Any = None


class Otherwise(pydantic.BaseModel):
    """The same names, but the URL is a thing of its own and there is no method."""

    verb: str = "post"
    url: Any = None
    json_data: Any = None
    extra_json: Any = None


def without_extra(self: Any, options: Any, *, retries_taken: int = 0) -> Any:
    """Sends the extra fields no more as part of the body."""
    return BUILD(self, options.model_copy(update={"extra_json": None}), retries_taken=retries_taken)


def sent_as_stream(self: Any, options: Any, *, retries_taken: int = 0) -> Any:
    request = BUILD(self, options, retries_taken=retries_taken)
    del request.headers["content-length"]
    return request


def opts(self: Any, opts: Any, *, retries_taken: int = 0) -> Any:
    return BUILD(self, opts, retries_taken=retries_taken)


def by_position(self: Any, response: Any, **others: Any) -> Any:
    return PROCESS(self, response=response, **others)


def raw(self: Any, *, raw: Any, **others: Any) -> Any:
    return PROCESS(self, response=raw, **others)


def wrapped(self: Any, *, response: Any, **others: Any) -> Any:
    return [PROCESS(self, response=response, **others)]


def now_sync(self: Any, *, response: Any, **others: Any) -> Any:
    return APROCESS(self, response=response, **others)


MOVED: dict[str, tuple[Any, str, Any, str]] = {
    "body renamed": (BASE, "FinalRequestOptions", Renamed, "cannot be tried out (AttributeError: "),
    "method renamed": (BASE, "FinalRequestOptions", Otherwise, "cannot be tried out (AttributeError: "),
    "options gone": (BASE, "FinalRequestOptions", None, "cannot be tried out (TypeError: "),
    "options under another name": (
        BASE.BaseClient,
        "_build_request",
        opts,
        "_build_request, but it takes no 'options'",
    ),
    "extra fields apart": (BASE.BaseClient, "_build_request", without_extra, "sends another body than the options"),
    "no length": (BASE.BaseClient, "_build_request", sent_as_stream, "do not tell the length of their body"),
    "response by position": (Sync, "_process_response", by_position, "but it takes 'response' by position"),
    "response renamed": (Sync, "_process_response", raw, "SyncAPIClient._process_response, but it takes no 'response'"),
    "another answer": (Sync, "_process_response", wrapped, "does not give the response it was asked for"),
    "async renamed": (Async, "_process_response", raw, "AsyncAPIClient._process_response, but it takes no 'response'"),
    "async no more": (Async, "_process_response", now_sync, "AsyncAPIClient._process_response, but it is not async"),
}


@pytest.fixture
def moved(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    def move(case: str) -> str:
        owner, name, value, words = MOVED[case]
        monkeypatch.setattr(owner, name, value)
        return words

    return move


@pytest.mark.parametrize("base", [openai._base_client, anthropic._base_client], ids=["openai", "anthropic"])
def test_the_sdks_are_as_known(base):
    """What is installed here is found whole, by the very reading that the gate does."""
    assert sdk_check.moved(base, reader) == ""


@pytest.mark.parametrize("case", MOVED)
def test_what_moved_is_found(moved, case):
    """Whatever the gate relies on: where it has moved, the check says what."""
    assert moved(case) in sdk_check.moved(BASE, reader)


@pytest.mark.parametrize(("owner", "name"), [("BaseClient", "_build_request"), ("SyncAPIClient", "_process_response")])
def test_what_is_gone_is_found(monkeypatch, owner, name):
    """A method, or its class, that is not there any more is named."""
    monkeypatch.delattr(getattr(BASE, owner), name)
    assert sdk_check.moved(BASE, reader) == f"has no {owner}.{name}"
    monkeypatch.delattr(BASE, owner)
    assert sdk_check.moved(BASE, reader) == f"has no {owner}.{name}"


def test_a_response_that_cannot_be_watched_is_found(monkeypatch):
    """What a stream is watched through is looked for too."""
    monkeypatch.setattr(sdk_check, "_ANSWER_HAS", ("content", "iter_octets"))
    assert sdk_check.moved(BASE, reader) == "has responses without 'iter_octets'"


def test_a_reading_that_is_wrong_is_found():
    """It is our own reading that is proved: one that misses the extra fields fails."""
    assert "another body" in sdk_check.moved(BASE, lambda options: (options.method, options.url, options.json_data))
    assert "method and url" in sdk_check.moved(BASE, lambda options: ("get", options.url, options.json_data))


@pytest.mark.parametrize("case", ["extra fields apart", "response renamed", "async no more"])
def test_other_gates_stand(moved, case, box, caplog):
    """One SDK has moved: it is said loudly and by doctor, its calls go as ever, spans and the other SDK are guarded."""
    words = moved(case)
    rig = box(budget="0.000001", fail_safe=True, wire_gate=False)
    assert words in instrumentor.problems["openai"]
    assert "anthropic" not in instrumentor.problems
    assert [one for one in caplog.records if one.levelname == "WARNING" and words in one.getMessage()]
    assert any(words in fact.what for fact in agent_fuse.doctor())
    assert not instrumentor.gated("openai")
    assert instrumentor.gated("anthropic")
    with pytest.raises(agent_fuse.ConfigurationError, match="AgentFuseOpenAI cannot guard: openai"):
        AgentFuseOpenAI(api_key="test")
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
    with LoopbackProvider() as provider:
        client = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="test", max_retries=0)
        with pytest.raises(SentinelBudgetExceeded):
            client.messages.create(model="claude-opus-4-6", **asked)
        assert provider.count == 0
        if case != "response renamed":  # the stand-in is not called as the SDK's own would be
            free = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)
            assert free.chat.completions.create(model="gpt-4o", **asked).choices
            assert provider.count == 1
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    with pytest.raises(SentinelBudgetExceeded):
        tracing.get_tracer("opentelemetry.instrumentation.genai.openai").start_span(
            "chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
        )


def test_nothing_is_sent_or_booked_by_the_check(box):
    """The request that is tried out is nobody's call."""
    rig = box()
    instrumentor.uninstall()
    instrumentor.install()
    assert rig.entries() == rig.books.open_holds() == []


def test_an_sdk_that_is_mended_is_gated(moved, monkeypatch):
    """What was wrong is forgotten when the gate is installed again and all is well."""
    moved("response renamed")
    instrumentor.install()
    assert "openai" in instrumentor.problems
    instrumentor.uninstall()
    monkeypatch.setattr(Sync, "_process_response", inspect.unwrap(PROCESS))
    instrumentor.install()
    assert instrumentor.problems == {}
    assert instrumentor.gated("openai")
