"""One request on the wire is one call, booked once: whatever its body, its road, its end, and what else saw it."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import Limit, SentinelBudgetExceeded, SentinelSystemError, control
from agent_fuse.calls import Status, Usage
from agent_fuse.otel import wire_gate, wire_install
from agent_fuse.testing import Reply

from .conftest import Rig

pytestmark = pytest.mark.parametrize("wired", ["none"], indirect=True)

MODEL = "gemini-2.5-flash"
WHOLE, STREAM = f"/v1beta/models/{MODEL}:generateContent", f"/v1beta/models/{MODEL}:streamGenerateContent"
BODY: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "generationConfig": {"maxOutputTokens": 100},
}
USED = Usage(input_tokens=1000, output_tokens=100, reasoning_tokens=40)
EXACT = (Status.SETTLED, 1000, 100)


@pytest.fixture
def ready(rig: Rig) -> Rig:
    rig.use(budget="5")
    rig.provider.default = Reply(usage=USED)
    return rig


def booked(rig: Rig) -> list[tuple[Status, int | None, int | None]]:
    assert rig.books.open_holds() == []
    return [(one.status, one.input_tokens, one.output_tokens) for one in rig.books.entries()]


@pytest.mark.parametrize("path", [WHOLE, STREAM, f"{STREAM}?alt=sse", f"/gateway/v1/projects/p{WHOLE}"])
@pytest.mark.parametrize("streamed", [False, True])
def test_whole_and_streamed_answers_are_booked_to_the_token(ready: Rig, path: str, streamed: bool) -> None:
    """As one document, a JSON array or server-sent events; read at once or as it comes; behind any prefix."""
    with httpx.Client() as client:
        if streamed:
            with client.stream("POST", ready.provider.url + path, json=BODY) as answer:
                assert list(answer.iter_bytes(7))
        else:
            assert client.post(ready.provider.url + path, json=BODY).status_code == 200
    assert booked(ready) == [EXACT]
    # Gemini 2.5 Flash: $0.30 and $2.50 a million tokens; thoughts are output.
    assert ready.books.entries()[0].cost == 1000 * 300 + 100 * 2500


def test_the_quote_is_what_the_body_says(ready: Rig) -> None:
    """The answer's bound is Gemini's own word, and holds the room that the call may need."""
    ready.use(budget="0.00025")  # 100 tokens of output are $0.00025, and the prompt is not free
    with pytest.raises(SentinelBudgetExceeded, match=MODEL):
        httpx.post(ready.provider.url + WHOLE, json=BODY)
    ready.use(budget="0.0003", session_id="other")
    assert httpx.post(ready.provider.url + WHOLE, json=BODY).status_code == 200


def _parts() -> Iterator[bytes]:
    text = json.dumps(BODY).encode()
    yield text[:20]
    yield text[20:]


async def _aparts() -> AsyncIterator[bytes]:
    for one in _parts():
        yield one


def test_bodies_of_every_kind_are_read_and_arrive_whole(ready: Rig) -> None:
    """Compressed, as a generator, as an async one: the provider gets the same, and a limit refuses the same."""
    url = ready.provider.url + WHOLE
    packed = {"content": gzip.compress(json.dumps(BODY).encode()), "headers": {"content-encoding": "gzip"}}
    httpx.post(url, content=_parts())

    async def post() -> None:
        async with httpx.AsyncClient() as client:
            await client.post(url, content=_aparts())

    asyncio.run(post())
    assert [one.body for one in ready.provider.requests] == [BODY, BODY]
    assert booked(ready) == [EXACT, EXACT]
    ready.use(budget="0.00025", session_id="other")
    for body in ({"content": _parts()}, packed):
        with pytest.raises(SentinelBudgetExceeded, match=MODEL):
            httpx.post(url, **body)  # type: ignore[arg-type]
    assert ready.provider.count == 2


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_an_error_costs_nothing(ready: Rig, status: int) -> None:
    """The hold is given back, and nothing is booked."""
    ready.provider.default = Reply(status=status)
    assert httpx.post(ready.provider.url + WHOLE, json=BODY).status_code == status
    assert booked(ready) == []


def test_a_refused_connection_costs_nothing(ready: Rig) -> None:
    """Nobody listened."""
    ready.provider.stop()
    try:
        with pytest.raises(httpx.ConnectError):
            httpx.post(ready.provider.url + WHOLE, json=BODY)
    finally:
        ready.provider.start()
    assert booked(ready) == []


@pytest.mark.parametrize("path", [WHOLE, f"{STREAM}?alt=sse"])
def test_a_connection_that_dies_in_the_answer_is_booked(ready: Rig, path: str) -> None:
    """It was paid for: at its quote, marked as an estimate."""
    ready.provider.default = Reply(usage=USED, cut_after_chunks=2, chunk_delay_s=0.001)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(ready.provider.url + path, json=BODY)
    (entry,) = ready.books.entries()
    assert entry.status is Status.ESTIMATED
    assert entry.cost > 0
    assert ready.books.open_holds() == []


def test_a_stream_that_is_left_is_booked(ready: Rig) -> None:
    """Its user went after the first bytes."""
    with httpx.Client() as client, client.stream("POST", f"{ready.provider.url}{STREAM}?alt=sse", json=BODY) as answer:
        next(answer.iter_bytes(1))
    assert [one.status for one in ready.books.entries()] == [Status.ESTIMATED]
    assert ready.books.open_holds() == []


def test_spans_around_and_inside_are_the_same_call(ready: Rig) -> None:
    """A client span, and an HTTP span to an endpoint of the user's: one call, by the answer's figures."""
    ready.use(budget="5", endpoints=("127.0.0.1",))
    with chat_span(ready) as span:
        httpx.post(ready.provider.url + WHOLE, json=BODY)
        span.set_attributes({"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 60})
    assert booked(ready) == [EXACT]


def test_two_requests_in_one_span_are_two_calls(ready: Rig) -> None:
    """Automatic function calling asks twice inside one span; both are paid for."""
    with chat_span(ready) as span:
        httpx.post(ready.provider.url + WHOLE, json=BODY)
        httpx.post(ready.provider.url + WHOLE, json=BODY)
        span.set_attributes({"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100})
    assert booked(ready) == [EXACT, EXACT]


def test_a_failed_try_and_the_next_are_one_call(ready: Rig) -> None:
    """A retry after an error inside one span is booked once."""
    ready.provider.reply(Reply(status=503))
    with chat_span(ready):
        httpx.post(ready.provider.url + WHOLE, json=BODY)
        httpx.post(ready.provider.url + WHOLE, json=BODY)
    assert booked(ready) == [EXACT]


def test_other_requests_pass(ready: Rig) -> None:
    """Free ones, other paths, and a model's path with a body that is none."""
    ready.use(budget="0.000000001")
    httpx.get(ready.provider.url + "/v1/models")
    httpx.post(ready.provider.url + f"/v1beta/models/{MODEL}:countTokens", json=BODY)
    httpx.post(ready.provider.url + "/shop/orders", json={"model": "chair", "messages": []})
    httpx.post(ready.provider.url + "/api/chat", json={"room": "lobby", "text": "hi"})
    httpx.post(ready.provider.url + "/api/chat", content=b"hello")
    assert len(ready.provider.requests) == 5
    assert booked(ready) == []


def test_a_path_that_the_user_names_is_a_models(ready: Rig) -> None:
    """Whatever it is called."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    ready.use(budget="0.000000001", endpoints=(f"{ready.provider.url}/ask",))
    with pytest.raises(SentinelBudgetExceeded):
        httpx.post(ready.provider.url + "/ask", json=body)
    assert ready.provider.requests == []


def test_a_request_inside_the_process_is_nobodys_call(ready: Rig) -> None:
    """An application that answers in this process asks for itself."""
    ready.use(budget="0.000000001")

    def application(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("content-type", "application/json")])
        return [b"{}"]

    with httpx.Client(transport=httpx.WSGITransport(app=application), base_url="http://app") as client:
        assert client.post(WHOLE, json=BODY).status_code == 200


def test_a_redirect_is_the_same_request(ready: Rig) -> None:
    """One hold, one call: by the answer that came in the end."""
    home = ready.provider.url

    class Elsewhere(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == "old":
                return httpx.Response(307, headers={"location": home + WHOLE}, request=request)
            return super().handle_request(request)

    with httpx.Client(transport=Elsewhere(), follow_redirects=True) as client:
        assert client.post("http://old" + WHOLE, json=BODY).status_code == 200
    assert booked(ready) == [EXACT]


@pytest.mark.parametrize("option", [{"wire_gate": False}, {"request_gate": False}])
def test_it_can_be_turned_off(ready: Rig, option: dict[str, Any]) -> None:
    """By itself, or with the request gate."""
    ready.use(budget="0.000000001", **option)
    assert httpx.post(ready.provider.url + WHOLE, json=BODY).status_code == 200
    assert booked(ready) == []


@pytest.mark.parametrize("fail_safe", [True, False])
def test_a_fault_of_ours_blocks_or_lets_go(ready: Rig, monkeypatch: pytest.MonkeyPatch, fail_safe: bool) -> None:
    """As `fail_safe` says; the host sees nothing else of it."""
    ready.use(budget="5", fail_safe=fail_safe)
    ready.processor.fail_safe = fail_safe
    monkeypatch.setattr(wire_gate, "find", None)
    if fail_safe:
        with pytest.raises(SentinelSystemError):
            httpx.post(ready.provider.url + WHOLE, json=BODY)
    else:
        assert httpx.post(ready.provider.url + WHOLE, json=BODY).status_code == 200
    assert ready.provider.count == (0 if fail_safe else 1)


def test_a_library_that_moved_is_told_and_left(ready: Rig, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """What the gate relies on is tried out where it is installed."""
    monkeypatch.setattr(wire_install, "problems", {})
    monkeypatch.setattr(httpx.Request, "read", lambda self: b'{"b": 2}')
    wire_install.install()
    assert "tell other things" in wire_install.problems["httpx"]
    assert "the other gates stand" in caplog.text


def chat_span(rig: Rig) -> Any:
    """The span of an instrumentation of google-genai."""
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    tracer = tracing.get_tracer("opentelemetry.instrumentation.google_genai")
    attributes = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gen_ai",
        "gen_ai.request.model": MODEL,
    }
    return tracer.start_as_current_span("generate_content", attributes=attributes, kind=trace.SpanKind.CLIENT)


def test_a_transport_that_sends_by_another_client_is_the_same_request(ready: Rig) -> None:
    """What is judged once is not judged below it once more."""

    class Inner(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = httpx.post(ready.provider.url + WHOLE, content=request.read())
            return httpx.Response(answer.status_code, content=answer.content, request=request)

    with httpx.Client(transport=Inner()) as client:
        assert client.post("http://gateway" + WHOLE, json=BODY).status_code == 200
    assert booked(ready) == [EXACT]


def test_an_async_call_waits_where_its_limit_says_so(ready: Rig) -> None:
    """Until the call that is under way has given back what it held; the loop goes on meanwhile."""
    ready.use(budget=None, limits=(Limit(concurrent=1, on_limit="wait", max_wait=20),))

    async def post(client: httpx.AsyncClient) -> int:
        return (await client.post(ready.provider.url + WHOLE, json=BODY)).status_code

    async def both() -> list[int]:
        async with httpx.AsyncClient() as client:
            return list(await asyncio.gather(post(client), post(client)))

    assert asyncio.run(both()) == [200, 200]
    assert booked(ready) == [EXACT, EXACT]


def test_a_model_at_ollama_is_free_and_counted(ready: Rig) -> None:
    """No money is left, and none is asked for; calls are calls."""
    ready.use(budget=None, limits=(Limit(usd=0), Limit(calls=1)))
    body = {"model": "gpt-oss:20b", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert httpx.post(ready.provider.url + "/api/chat", json=body).status_code == 200
    assert [(one.cost, one.provider) for one in ready.books.entries()] == [(0, "ollama")]
    with pytest.raises(SentinelBudgetExceeded, match="1 call"):
        httpx.post(ready.provider.url + "/api/chat", json=body)


def test_a_paused_request_that_is_given_up_asks_nobody(rig: Rig) -> None:
    """A raw client's request waits for a person in its event loop; cancelled, its question is withdrawn."""
    rig.use(limits=[Limit(calls=1, on_tight="pause")], budget=None)

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await client.post(rig.provider.url + WHOLE, json=BODY)
            second = asyncio.ensure_future(client.post(rig.provider.url + WHOLE, json=BODY))
            for _ in iter(lambda: bool(control.paused()), True):
                await asyncio.sleep(0.01)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            assert not control.paused()

    asyncio.run(main())
    assert len(rig.provider.served) == 1


def test_a_client_that_is_closed_costs_nothing(ready: Rig) -> None:
    """It sends nothing, and says so with an error that tells nothing of a request."""
    client = httpx.Client()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.post(ready.provider.url + WHOLE, json=BODY)

    async def post() -> None:
        async with httpx.AsyncClient() as closed:
            pass
        await closed.post(ready.provider.url + WHOLE, json=BODY)

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(post())
    assert booked(ready) == []
