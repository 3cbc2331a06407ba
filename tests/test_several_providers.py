"""Several tracer providers, each with a processor and a ledger of its own: the span around a call says whose it is."""

import asyncio
import threading
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

import agent_fuse
from agent_fuse import SentinelBudgetExceeded
from agent_fuse.otel import active
from agent_fuse.otel.process_guard import ProcessGuard
from agent_fuse.testing import LoopbackProvider

SAY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


class Tenant:
    """One provider with its guard."""

    def __init__(self, box: Any, **options: Any) -> None:
        self.box = box(request_gate=True, **{"budget": 1, **options})
        self.tracing = TracerProvider(shutdown_on_exit=False)
        self.tracing.add_span_processor(self.box.processor)
        self.tracer = self.tracing.get_tracer("app")

    def span(self) -> Any:
        return self.tracer.start_as_current_span("handle-request")


@pytest.fixture
def tenants(box):
    """Three of them, the last made last."""
    return [Tenant(box), Tenant(box), Tenant(box)]


@pytest.fixture
def client():
    with LoopbackProvider() as provider, openai.OpenAI(base_url=provider.openai_base_url, api_key="test") as made:
        yield made


def booked(tenants: list[Tenant]) -> list[int]:
    """Calls and tool actions of each."""
    assert [one.box.books.open_holds() for one in tenants] == [[]] * len(tenants)
    return [len(one.box.books.entries()) for one in tenants]


def by_sdk(client: openai.OpenAI) -> None:
    client.chat.completions.create(**SAY)


def streamed(client: openai.OpenAI) -> None:
    for _ in client.chat.completions.create(**SAY, stream=True):
        pass


def by_hand(_: openai.OpenAI) -> None:
    with agent_fuse.call("gpt-4o", 10, 10) as call:
        call.usage(10, 10)


def flown(_: openai.OpenAI) -> None:
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    agent_fuse.post_flight("gpt-4o", 10, 10)


def a_tool(_: openai.OpenAI) -> None:
    agent_fuse.check_loop("search", {"for": "it"})


def request_by_hand(client: openai.OpenAI) -> None:
    """One call, though two gates see it."""
    with agent_fuse.call("gpt-4o", 10, 10) as call:
        client.chat.completions.create(**SAY)
        call.usage(10, 10)


def asynchronous(client: openai.OpenAI) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key="test") as other:
            await asyncio.create_task(other.chat.completions.create(**SAY))

    asyncio.run(ask())


WAYS = [by_sdk, streamed, by_hand, flown, a_tool, request_by_hand, asynchronous]


@pytest.mark.parametrize("whose", [0, 1, 2])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_plain_span_decides(tenants, client, way, whose):
    """A call inside a span of a provider is that one's, whichever guard is the newest."""
    with tenants[whose].span():
        way(client)
    assert booked(tenants) == [int(number == whose) for number in range(3)]


def test_langchain(tenants, client):
    """The LangChain handler's calls and their requests are those of the span around."""
    from langchain_openai import ChatOpenAI

    from agent_fuse.integrations.langchain import AgentFuseCallbackHandler

    handler = AgentFuseCallbackHandler()
    model = ChatOpenAI(model="gpt-4o", base_url=str(client.base_url), api_key="test", callbacks=[handler])
    with tenants[1].span():
        model.invoke("hi")
    assert booked(tenants) == [0, 1, 0]


def test_a_model_frame_reaches_where_no_span_does(tenants, client):
    """A request inside a call by hand joins that call, though the span around it is not handed on."""
    with tenants[0].span(), agent_fuse.call("gpt-4o", 10, 10) as call:
        token = context.attach(context.Context())
        by_sdk(client)
        context.detach(token)
        call.usage(10, 10)
    assert booked(tenants) == [1, 0, 0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 2, 0)])
def test_the_innermost_span_decides(tenants, client, order):
    """Spans of several providers around a call: it is that of the nearest."""
    with ExitStack() as spans:
        for one in order:
            spans.enter_context(tenants[one].span())
        by_sdk(client)
    assert booked(tenants) == [int(number == order[-1]) for number in range(3)]


def test_a_thread_takes_its_span_along(tenants, client):
    """Work handed to a thread is that of the span it was handed over in."""
    with tenants[0].span():
        thread = threading.Thread(target=by_sdk, args=(client,))
        thread.start()
        thread.join()
    assert booked(tenants) == [1, 0, 0]


def test_a_span_that_has_ended_still_decides(tenants, client):
    """What goes on in the background of a request that was answered is that of its span."""
    with tenants[0].span() as span:
        pass
    with use_span(span):
        by_sdk(client)
    assert booked(tenants) == [1, 0, 0]


def test_a_library_with_a_provider_of_its_own_takes_no_call_away(tenants, client):
    """A span of a provider that nobody guards belongs where it stands."""
    library = TracerProvider(shutdown_on_exit=False).get_tracer("library")
    with tenants[0].span(), library.start_as_current_span("library"):
        by_sdk(client)
    assert booked(tenants) == [1, 0, 0]


@pytest.mark.parametrize("around", ["none", "foreign", "unsampled"])
def test_where_no_guard_saw_the_span_the_newest_guards(tenants, client, around):
    """Outside of any span, in a span of another process, and in one that its own provider does not make."""
    spans: Any = {
        "none": ExitStack(),
        "foreign": use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=True))),
        "unsampled": TracerProvider(sampler=ALWAYS_OFF).get_tracer("x").start_as_current_span("x"),
    }[around]
    with spans:
        by_sdk(client)
    assert booked(tenants) == [0, 0, 1]


def test_each_one_has_its_own_budget(box, client):
    """Nothing leaves in the spans of one whose budget is used up; the other's go on."""
    poor, rich = Tenant(box, budget=0), Tenant(box)
    with poor.span(), pytest.raises(SentinelBudgetExceeded):
        by_sdk(client)
    with rich.span():
        by_sdk(client)
    assert [len(one.box.entries()) for one in (poor, rich)] == [0, 1]


def test_monitor_tells_of_the_one_that_a_call_would_go_to(tenants):
    """`monitor()` in a span of a provider shows what that one's guard has booked."""
    with tenants[0].span():
        agent_fuse.pre_flight("gpt-4o", 10, 10)
        agent_fuse.post_flight("gpt-4o", 10, 10)
        assert agent_fuse.monitor().session_calls == 1
    assert agent_fuse.monitor().session_calls == 0


def test_one_that_was_shut_down_decides_nothing(tenants, client):
    """A call in a span of a provider that was shut down goes to the newest guard that is at work."""
    with tenants[0].span():
        tenants[0].tracing.shutdown()
        by_sdk(client)
    assert booked(tenants[1:]) == [0, 1]


def test_a_guard_from_outside_leaves_its_spans_to_the_programs_own(box, client):
    """Under `agent-fuse run` a processor of the program's own judges also in plain spans that were open before."""
    outside = box(budget=1)
    active._guards = ()
    guard = ProcessGuard(fuse=outside.fuse)
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(guard)
    with tracing.get_tracer("app").start_as_current_span("main"):
        by_sdk(client)
        own = box(budget=1)
        by_sdk(client)
    active.remove(guard)
    assert (len(outside.entries()), len(own.entries())) == (1, 1)


PROXY = """
import agent_fuse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

class Proxy(trace.TracerProvider):
    def __init__(self, provider):
        self.provider = provider
    def get_tracer(self, *args, **kwargs):
        return self.provider.get_tracer(*args, **kwargs)

mine, real = TracerProvider(), TracerProvider()
mine.add_span_processor(agent_fuse.AgentFuseSpanProcessor(budget=5, db_path="memory://"))
trace.set_tracer_provider(Proxy(real))
for _ in range(2):
    agent_fuse.init(budget=0, db_path="memory://")
try:
    with trace.get_tracer("some.genai.scope").start_as_current_span(
        "chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}):
        print("let go")
except agent_fuse.SentinelBudgetExceeded:
    print("refused", len(real._active_span_processor._span_processors))
"""


def test_init_guards_the_provider_behind_a_proxy(run_python):
    """Where the global provider stands for one of the SDK's, as logfire's does, that one is guarded."""
    assert run_python(PROXY).stdout.split() == ["refused", "1"]
