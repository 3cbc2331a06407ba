"""Web frameworks and workers: what a client gets when a limit refuses the work of its request, in each framework."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

import agent_fuse
from agent_fuse import (
    Limit,
    SentinelBudgetExceeded,
    SentinelBudgetExceededError,
    SentinelError,
    SentinelException,
    SentinelLoopError,
    SentinelSystemError,
    Usage,
    boundary,
)
from agent_fuse.errors import ConfigurationError, is_soft, soften
from agent_fuse.integrations import asgi, wsgi
from agent_fuse.integrations.trips_as_http import answer_to
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No guard that another test left in this process judges here, and none is left."""
    leave_nobody()
    yield
    leave_nobody()


@pytest.fixture
def client(tmp_path: Any) -> Iterator[openai.OpenAI]:
    """A guarded client: two calls of $0.0075 fit for each user."""
    agent_fuse.init(limits=Limit(usd=0.02, per="user.id"), db_path=str(tmp_path / "ledger.db"))
    with (
        LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client,
    ):
        yield client


def work(client: openai.OpenAI) -> str:
    reply = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    return str(reply.choices[0].message.content)


def user_of(request: Any) -> str | None:
    """The user's name: an ASGI scope's or a WSGI environ's header."""
    if "headers" in request:
        return dict(request["headers"]).get(b"x-user", b"").decode() or None
    return request.get("HTTP_X_USER")


def gets(app: Any, path: str, *, times: int = 3, user: str = "ann") -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return [await http.get(path, headers={"x-user": user}) for _ in range(times)]

    return asyncio.run(run())


def test_fastapi_with_the_middleware(client: openai.OpenAI) -> None:
    """Plain and async handlers alike: two requests of a user are served, the third is answered 402; others go on."""
    from fastapi import FastAPI

    app = FastAPI()
    app.add_middleware(asgi.AgentFuseMiddleware, user=user_of)

    @app.get("/plain")
    def plain() -> str:
        return work(client)

    @app.get("/async")
    async def asynchronous() -> str:
        return await asyncio.to_thread(work, client)

    for path, user in (("/plain", "ann"), ("/async", "bob")):
        answers = gets(app, path, user=user)
        assert [one.status_code for one in answers] == [200, 200, 402]
        assert answers[-1].headers["content-type"] == "application/problem+json"
        assert answers[-1].json() == {
            "type": "about:blank",
            "title": "The budget for model calls is used up.",
            "status": 402,
            "reason": "budget",
        }


def test_fastapi_with_an_exception_handler(client: openai.OpenAI) -> None:
    """`@boundary` and a handler for the public Exception twin give an application its own answer."""
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

    app = FastAPI()

    @app.exception_handler(SentinelBudgetExceededError)
    async def answer(request: Request, trip: SentinelBudgetExceededError) -> JSONResponse:
        return JSONResponse({"detail": trip.limit}, status_code=402)

    @app.get("/{user}")
    @boundary
    def handler(user: str) -> str:
        with agent_fuse.session("request", user_id=user):
            return work(client)

    answers = gets(app, "/ann")
    assert [one.status_code for one in answers] == [200, 200, 402]
    assert answers[-1].json() == {"detail": "$0.02 per user.id 'ann'"}


def test_a_response_that_has_begun_is_broken_off(client: openai.OpenAI) -> None:
    """The status has gone out: the trip leaves as an ordinary Exception, and the server lives."""
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    def pieces() -> Iterator[str]:
        while True:
            yield work(client)

    app = Starlette(routes=[Route("/", lambda _: StreamingResponse(pieces()))])
    guarded = asgi.AgentFuseMiddleware(app, user=user_of)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.sleep(60)

    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "headers": [(b"x-user", b"ann")], "http_version": "1.1", "scheme": "http",
        "server": ("test", 80), "client": ("test", 1), "asgi": {"version": "3.0", "spec_version": "2.4"},
    }  # fmt: skip
    with pytest.raises(Exception) as caught:  # noqa: PT011  Starlette may put it into a group
        asyncio.run(guarded(scope, receive, send))
    trips: list[BaseException] = [caught.value]
    while isinstance(trips[-1], BaseExceptionGroup):
        trips.append(trips[-1].exceptions[0])
    assert isinstance(trips[-1], SentinelBudgetExceededError)
    assert [one["type"] for one in sent].count("http.response.body") == 2


def test_a_websocket_is_closed(client: openai.OpenAI) -> None:
    """A websocket has no status: it is closed as a violation of policy, with the reason."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            work(client)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [(b"x-user", b"ann")]}
    asyncio.run(asgi.AgentFuseMiddleware(app, user=user_of)(scope, lambda: None, send))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "budget"}]


def test_flask(client: openai.OpenAI) -> None:
    """Flask lets a trip through to the WSGI middleware, which answers 402."""
    from flask import Flask

    app = Flask(__name__)
    app.get("/")(lambda: work(client))
    app.wsgi_app = wsgi.AgentFuseMiddleware(app.wsgi_app, user=user_of)
    test = app.test_client()
    answers = [test.get("/", headers={"x-user": "ann"}) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 402]
    assert json.loads(answers[-1].data)["reason"] == "budget"
    assert test.get("/", headers={"x-user": "bob"}).status_code == 200


def test_a_streamed_wsgi_body_is_broken_off(client: openai.OpenAI) -> None:
    """The session binds while the body is made; the trip leaves as an ordinary Exception, and the body is closed."""
    closed: list[bool] = []

    def body() -> Iterator[bytes]:
        try:
            while True:
                yield work(client).encode()
        finally:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return body()

    pieces = wsgi.AgentFuseMiddleware(app, user=user_of)({"HTTP_X_USER": "ann"}, lambda *_: None)
    got = []
    with pytest.raises(SentinelBudgetExceededError):
        got.extend(iter(pieces))
    assert closed == [True]


DJANGO = """
import sys
import django, openai
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
import agent_fuse
from agent_fuse.integrations.wsgi import AgentFuseMiddleware

client = openai.OpenAI()

def view(request):
    reply = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    return HttpResponse(reply.choices[0].message.content)

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
urlpatterns = [path("", view)]
django.setup()
agent_fuse.init(limits=agent_fuse.Limit(usd=0.02, per="user.id"))
application = AgentFuseMiddleware(WSGIHandler(), user=lambda environ: environ.get("HTTP_X_USER"))
for _ in range(3):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "test", "SERVER_PORT": "80",
               "wsgi.input": sys.stdin.buffer, "wsgi.url_scheme": "http", "HTTP_X_USER": "ann"}
    b"".join(application(environ, lambda status, headers: print(status)))
"""


def test_django(tmp_path: Any) -> None:
    """Django's handler lets a trip through to the WSGI middleware."""
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        done = subprocess.run(
            [sys.executable, "-c", DJANGO],
            env={
                "PATH": "",
                "OPENAI_API_KEY": "x",
                "OPENAI_BASE_URL": provider.openai_base_url,
                "AGENTFUSE_DB_PATH": str(tmp_path / "ledger.db"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert done.stdout.splitlines() == ["200 OK", "200 OK", "402 Payment Required"], done.stderr


def test_celery(client: openai.OpenAI) -> None:
    """A task under `@boundary` fails as any task does, and its worker goes on; the session comes with its headers."""
    from celery import Celery

    app = Celery("test", broker="memory://", backend="cache+memory://")
    app.conf.update(task_always_eager=True, task_store_eager_result=False)

    @app.task(bind=True)
    @boundary
    def answer(task: Any) -> str:
        with agent_fuse.session_from(task.request.headers):
            return work(client)

    with agent_fuse.session("job-1", user_id="ann"):
        headers = agent_fuse.session_headers()
    results = [answer.apply(headers=headers) for _ in range(3)]
    assert [one.state for one in results] == ["SUCCESS", "SUCCESS", "FAILURE"]
    assert isinstance(results[-1].result, SentinelBudgetExceeded)


def test_boundary_serves_every_kind_of_function() -> None:
    """With and without parentheses: functions, coroutines, generators and async generators stay what they are."""

    def trip() -> None:
        raise SentinelSystemError("x", operation="x", original_error=None, retry_count=0)

    @boundary
    def plain() -> None:
        trip()

    @boundary()
    def called() -> None:
        trip()

    @boundary
    async def coroutine() -> None:
        trip()

    @boundary
    def generator() -> Iterator[int]:
        yield 1
        trip()

    @boundary
    async def async_generator() -> Any:
        yield 1
        trip()

    async def collected() -> list[int]:
        return [one async for one in async_generator()]

    for run in (
        plain,
        called,
        lambda: asyncio.run(coroutine()),
        lambda: list(generator()),
        lambda: asyncio.run(collected()),
    ):
        with pytest.raises(SentinelException) as caught:
            run()
        assert isinstance(caught.value, SentinelSystemError)
    with pytest.raises(SentinelException), boundary():
        trip()


def budget_trip(**fields: Any) -> SentinelBudgetExceeded:
    known: dict[str, Any] = {"spent": Decimal(1), "held": Decimal(0), "requested": Decimal(1)}
    return SentinelBudgetExceeded("no", **{**known, "budget_limit": Decimal("1.5"), "resets_at": None, **fields})


NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trip", "status", "wait"),
    [
        (budget_trip(), 402, None),
        (budget_trip(held=Decimal(1), budget_limit=Decimal(2)), 429, "1"),
        (budget_trip(resets_at=NOW + timedelta(seconds=89.2)), 429, "90"),
        (budget_trip(resets_at=NOW - timedelta(seconds=5)), 429, "1"),
        (SentinelLoopError("loop", tool="x", call_count=6, pattern="x", kind="repeat", session="s"), 508, None),
        (SentinelSystemError("broken", operation="reserve", original_error=None, retry_count=0), 503, "5"),
    ],
)
def test_a_trip_has_its_status(trip: SentinelError, status: int, wait: str | None) -> None:
    """Used up is 402, what passes with time 429 or 503 and says when, a loop 508; soft and hard alike."""
    for form in (trip, soften(trip)):
        answer = answer_to(form, now=NOW)
        assert answer.status == status
        assert dict(answer.headers).get("retry-after") == wait
        assert dict(answer.headers)["content-length"] == str(len(answer.body))
        assert "detail" not in json.loads(answer.body)
        assert json.loads(answer_to(form, expose=True).body)["detail"] == trip.message


@pytest.mark.parametrize("middleware", [asgi.AgentFuseMiddleware, wsgi.AgentFuseMiddleware])
def test_bad_arguments_are_named(middleware: Any) -> None:
    """One line each, when the application is made."""
    with pytest.raises(ConfigurationError, match="user='ann'; it must be a function"):
        middleware(None, user="ann")
    with pytest.raises(ConfigurationError, match="give session= or user= as well"):
        middleware(None, budget=1)


def test_other_connections_pass_untouched() -> None:
    """A lifespan is the application's own."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    asyncio.run(asgi.AgentFuseMiddleware(app, session=lambda _: "x")({"type": "lifespan"}, 1, 2))
    assert seen == [({"type": "lifespan"}, 1, 2)]


def test_the_twin_is_caught_by_either_class() -> None:
    """The public twin is the class that `soften` makes, an Exception, and keeps the public name."""
    soft = soften(budget_trip())
    assert isinstance(soft, SentinelBudgetExceededError | SentinelException)
    assert type(soft) is SentinelBudgetExceededError
    assert is_soft(soft)
    assert type(soft).__name__ == "SentinelBudgetExceeded"
