"""Order-proof: whoever is turned on first, off and on again, calls are refused, settled once, and leave nothing held."""

import asyncio
import functools
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points, requires
from itertools import combinations
from typing import Any

import anthropic
import openai
import pytest
from langchain_openai import ChatOpenAI
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.otel import instrumentor
from agent_fuse.testing import LoopbackProvider
from boxes import PRICE, Box
from unpatch import remembered

INSTRUMENTATIONS = {
    f"{one.value.partition('.')[0]}-{one.name}": one
    for one in entry_points(group="opentelemetry_instrumentor")
    if not one.value.startswith("agent_fuse.")
}
"""Every instrumentation that is installed: OpenInference's, Traceloop's, OpenTelemetry's."""

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
CLAUDE_PRICE = 17_500_000
"""Nano-dollars of 1,000 tokens in and 500 out of claude-opus-4-6."""
LOOP = asyncio.new_event_loop()


ORDERS = {
    "after": "a t",
    "before": "t a",
    "theirs off and on again": "t a -t t",
    "ours off and on again": "t a -a a",
    "both, crossed": "a t -a -t a t",
    "left behind": "t a -t -a t a",
}
"""How theirs (t) and ours (a) are turned on and off (-). Each ends with both on."""


def every_order() -> Iterator[str]:
    """Every way in which both can be turned on, off and on again."""
    for of_theirs in combinations(range(6), 3):
        theirs, ours = iter(("t", "-t", "t")), iter(("a", "-a", "a"))
        yield " ".join(next(theirs) if at in of_theirs else next(ours) for at in range(6))


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        yield provider


@pytest.fixture(scope="module")
def early(provider: LoopbackProvider) -> "Clients":
    """Clients that were made before anything was turned on."""
    made = Clients(provider)
    made.calls("all")
    return made


@pytest.fixture(scope="module")
def put_back() -> Callable[[], None]:
    """Takes out whatever a test instrumented."""
    return remembered()


@pytest.fixture
def tracing(put_back: Callable[[], None]) -> Iterator[TracerProvider]:
    """A tracer provider; after the test no instrumentation is in, and the gate is."""
    context.attach(context.Context())  # Traceloop leaves its suppression keys behind
    yield TracerProvider()
    put_back()
    instrumentor.uninstall()
    instrumentor.install()


def turn(order: str, theirs: Any, tracing: TracerProvider) -> None:
    """Turn both on and off in this order."""
    steps: dict[str, Callable[[], Any]] = {
        "t": functools.partial(theirs.instrument, tracer_provider=tracing),
        "-t": theirs.uninstrument,
        "a": instrumentor.install,
        "-a": instrumentor.uninstall,
    }
    for step in order.split():
        steps[step]()


class Clients:
    """One client of each kind, and the calls that are made with them: sync, async and streamed."""

    def __init__(self, provider: LoopbackProvider) -> None:
        self._gpt: Any = {"base_url": provider.openai_base_url, "api_key": "test", "max_retries": 0}
        self._claude: Any = {"base_url": provider.anthropic_base_url, "api_key": "test", "max_retries": 0}

    @functools.cached_property
    def openai(self) -> Any:
        return openai.OpenAI(**self._gpt)

    @functools.cached_property
    def aopenai(self) -> Any:
        return openai.AsyncOpenAI(**self._gpt)

    @functools.cached_property
    def anthropic(self) -> Any:
        return anthropic.Anthropic(**self._claude)

    @functools.cached_property
    def aanthropic(self) -> Any:
        return anthropic.AsyncAnthropic(**self._claude)

    @functools.cached_property
    def langchain(self) -> Any:
        return ChatOpenAI(model="gpt-4o", stream_usage=True, **self._gpt)

    def calls(self, library: str) -> list[tuple[int, Callable[[], Any]]]:
        """What a call costs, and the call."""
        found = [
            call for of, make in _CALLS.items() if library in (of, "httpx", "httpx2", "all") for call in make(self)
        ]
        assert found, f"no call goes through {library}"
        return found


def _openai(of: Clients) -> list[tuple[int, Callable[[], Any]]]:
    asked: Any = {"model": "gpt-4o", "messages": MESSAGES}
    told: Any = {"stream": True, "stream_options": {"include_usage": True}}
    chats, achats = of.openai.chat.completions, of.aopenai.chat.completions
    return [
        (PRICE, lambda: chats.create(**asked)),
        (PRICE, lambda: list(chats.create(**asked, **told))),
        (PRICE, lambda: chats.with_raw_response.create(**asked).parse()),
        (PRICE, lambda: LOOP.run_until_complete(achats.create(**asked))),
        (PRICE, lambda: LOOP.run_until_complete(_read(achats.create(**asked, **told)))),
    ]


def _anthropic(of: Clients) -> list[tuple[int, Callable[[], Any]]]:
    asked: Any = {"model": "claude-opus-4-6", "max_tokens": 500, "messages": MESSAGES}
    messages, amessages = of.anthropic.messages, of.aanthropic.messages
    return [
        (CLAUDE_PRICE, lambda: messages.create(**asked)),
        (CLAUDE_PRICE, lambda: list(messages.create(**asked, stream=True))),
        (CLAUDE_PRICE, lambda: LOOP.run_until_complete(amessages.create(**asked))),
        (CLAUDE_PRICE, lambda: LOOP.run_until_complete(_read(amessages.create(**asked, stream=True)))),
    ]


def _langchain(of: Clients) -> list[tuple[int, Callable[[], Any]]]:
    return [
        (PRICE, lambda: of.langchain.invoke("Say hello.")),
        (PRICE, lambda: list(of.langchain.stream("Say hello."))),
        (PRICE, lambda: LOOP.run_until_complete(of.langchain.ainvoke("Say hello."))),
    ]


_CALLS = {"openai": _openai, "anthropic": _anthropic, "langchain": _langchain}


async def _read(stream: Any) -> None:
    async for _ in await stream:
        pass


def check_booked(rig: Box, library: str, clients: Clients) -> None:
    """Each call is served, and booked once at what it cost."""
    calls = clients.calls(library)
    for _, call in calls:
        call()
    assert [(one.status, one.cost) for one in rig.entries()] == [(Status.SETTLED, price) for price, _ in calls]
    assert rig.books.open_holds() == []
    assert rig.fuse.open_calls() == 0


def check_refused(rig: Box, provider: LoopbackProvider, library: str, clients: Clients) -> None:
    """No request leaves."""
    provider.reset()
    for _, call in clients.calls(library):
        with pytest.raises(SentinelBudgetExceeded):
            call()
    assert provider.count == 0
    assert rig.books.open_holds() == []
    assert rig.fuse.open_calls() == 0


def test_every_instrumentation_of_the_environment_is_tried():
    """Each instrumentation that the development environment names is installed and among those below."""
    named = {
        found[0]
        for found in (re.match(r"[\w-]+-instrumentation-[\w-]+", one) for one in requires("agent-fuse") or ())
        if found is not None
    }
    assert len(named) >= 7
    assert {one.dist.name for one in INSTRUMENTATIONS.values() if one.dist is not None} >= named


def try_order(box: Any, provider: LoopbackProvider, early: Clients, tracing: Any, name: str, order: str) -> None:
    """Sync, async and streamed calls, of clients made before and after, are booked once, then refused."""
    entry: EntryPoint = INSTRUMENTATIONS[name]
    theirs, library = entry.load()(), entry.name
    rig = box(budget=1)
    tracing.add_span_processor(rig.processor)
    instrumentor.uninstall()
    turn(order, theirs, tracing)
    check_booked(rig, library, early)
    rig.processor.use(box(budget="0.000001").fuse)
    check_refused(rig, provider, library, Clients(provider))


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("name", INSTRUMENTATIONS)
def test_order_does_not_matter(box: Any, provider: Any, early: Clients, tracing: Any, name: str, order: str) -> None:
    """Sync, async and streamed calls, of a client made before and one made after, are booked once, then refused."""
    try_order(box, provider, early, tracing, name, order)


@pytest.mark.soak
@pytest.mark.parametrize("order", list(every_order()))
@pytest.mark.parametrize("name", INSTRUMENTATIONS)
def test_no_order_matters(box: Any, provider: Any, early: Clients, tracing: Any, name: str, order: str) -> None:
    """The same for every order there is of turning both on, off and on again."""
    try_order(box, provider, early, tracing, name, order)
