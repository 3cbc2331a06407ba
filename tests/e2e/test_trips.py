"""Trips: hard past every `except Exception`, soft where LangChain needs it, blown after three, and fit to travel."""

import asyncio
import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import (
    AgentFuseSpanProcessor,
    Limit,
    SentinelBudgetExceeded,
    SentinelError,
    SentinelLoopError,
    SentinelSystemError,
    boundary,
    session,
)
from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.calls import Usage
from agent_fuse.errors import is_soft, soften
from agent_fuse.sightings import Layer
from agent_fuse.testing import LoopbackProvider
from unpatch import restored

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as one:
        yield one


def spent(tmp_path: Path, **options: Any) -> AgentFuseSpanProcessor:
    """A fuse with nothing left."""
    return AgentFuseSpanProcessor(budget=0, db_path=str(tmp_path / "ledger.db"), session_id="s", **options)


def ask(provider: LoopbackProvider) -> None:
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def chat(provider: LoopbackProvider) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o", base_url=provider.openai_base_url, api_key="x", max_retries=0)  # type: ignore[arg-type]


def tries_until_trip(call: Callable[[], object]) -> int:
    """A retry loop that swallows every Exception: how often it called until a trip ended it."""
    for tries in range(1, 100):
        try:
            call()
        except Exception:
            continue
        except SentinelBudgetExceeded:
            return tries
    pytest.fail("the loop was never ended")


def test_a_trip_passes_every_except_exception(provider: LoopbackProvider, tmp_path: Path) -> None:
    """The very retry loop that a fuse is for does not swallow the trip."""
    spent(tmp_path)
    assert tries_until_trip(lambda: ask(provider)) == 1
    assert provider.count == 0


@pytest.mark.parametrize("instrumented", [True, False], ids=["traceloop", "no spans"])
def test_a_retry_loop_around_langchain_ends(provider: LoopbackProvider, tmp_path: Path, instrumented: bool) -> None:
    """LangChain gets soft trips, which the loop swallows; after three the session is tripped and the next one is hard."""
    tracing = TracerProvider()
    tracing.add_span_processor(spent(tmp_path))
    with restored():
        if instrumented:
            LangchainInstrumentor().instrument(tracer_provider=tracing)
        assert tries_until_trip(lambda: chat(provider).invoke("hi")) <= 4
    assert provider.count == 0


def test_a_blown_fuse_is_for_its_session_only(provider: LoopbackProvider, tmp_path: Path) -> None:
    """Another session with money left goes on."""
    spent(tmp_path)
    for _ in range(3):
        with pytest.raises(SentinelBudgetExceeded):
            chat(provider).invoke("hi")
    with session("other", budget=5):
        chat(provider).invoke("hi")
    assert provider.count == 1


def test_boundary_makes_an_ordinary_exception(provider: LoopbackProvider, tmp_path: Path) -> None:
    """Inside boundary() a trip leaves as an Exception that its public class still catches, in blocks and functions."""
    spent(tmp_path)

    @boundary()
    def handler() -> None:
        ask(provider)

    @boundary()
    async def ahandler() -> None:
        ask(provider)

    for run in (handler, lambda: asyncio.run(ahandler())):
        with pytest.raises(Exception, match="refused before it was sent") as caught:
            run()
        assert isinstance(caught.value, SentinelBudgetExceeded)
        assert isinstance(caught.value, Exception)
    with pytest.raises(Exception, match="refused"), boundary():
        ask(provider)


def pool_task(url: str, path: str) -> None:
    AgentFuseSpanProcessor(budget=0, db_path=path, session_id="s")
    with boundary(), openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def test_a_pool_task_inside_a_boundary_reports_its_trip(provider: LoopbackProvider, tmp_path: Path) -> None:
    """multiprocessing.Pool, which loses a task that raises a BaseException, brings the trip home."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        task = pool.apply_async(pool_task, (provider.openai_base_url, str(tmp_path / "ledger.db")))
        with pytest.raises(SentinelBudgetExceeded) as caught:
            task.get(timeout=60)
    assert caught.value.model == "gpt-4o"
    assert provider.count == 0


TRIPS = [
    SentinelBudgetExceeded(
        "m", limit="$1 per session", meter="usd", spent=Decimal(1), held=Decimal(0), requested=Decimal("0.5"),
        budget_limit=Decimal(1), model="gpt-4o", session="s", resets_at=None,
    ),
    SentinelLoopError("m", tool="search", call_count=6, pattern="search|{}", kind="repeat", session="s"),
    SentinelSystemError("m", operation="reserve", original_error=OSError(28, "full"), retry_count=3),
]  # fmt: skip


@pytest.mark.parametrize("trip", [*TRIPS, *map(soften, TRIPS)], ids=lambda trip: f"{type(trip).__name__}")
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda trip: pickle.loads(pickle.dumps(trip))])
def test_trips_travel(trip: SentinelError, how: Any) -> None:
    """A copied or pickled trip is the same class, hard or soft, with all its fields."""
    other = how(trip)
    assert type(other) is type(trip)
    assert is_soft(other) == is_soft(trip)
    assert str(other) == str(trip)
    assert {name: str(value) for name, value in vars(other).items()} == {
        name: str(value) for name, value in vars(trip).items()
    }


def test_the_fields_of_a_budget_trip(provider: LoopbackProvider, tmp_path: Path) -> None:
    """A trip carries its figures in USD, exact, and says in one line what, the limit and the fix."""
    AgentFuseSpanProcessor(budget="0.001", db_path=str(tmp_path / "ledger.db"), session_id="run-1")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        ask(provider)
    trip = caught.value
    assert trip.budget_limit == Decimal("0.001")
    assert trip.spent == trip.held == trip.current_spend == 0
    assert trip.requested == trip.estimated_cost > trip.budget_limit
    assert trip.overage == trip.requested - trip.budget_limit
    assert (trip.model, trip.session, trip.meter, trip.resets_at) == ("gpt-4o", "run-1", "usd", None)
    assert "\n" not in str(trip)
    assert "$0.001 per session 'run-1'" in str(trip)


def test_limits_on_calls_and_tokens(provider: LoopbackProvider, tmp_path: Path) -> None:
    """Limits in calls and tokens trip with whole figures."""
    AgentFuseSpanProcessor(limits=(Limit(calls=2),), db_path=str(tmp_path / "a.db"), session_id="s")
    ask(provider)
    ask(provider)
    with pytest.raises(SentinelBudgetExceeded) as caught:
        ask(provider)
    assert (caught.value.meter, caught.value.spent, caught.value.budget_limit) == ("calls", 2, 2)
    AgentFuseSpanProcessor(limits=Limit(tokens=100), db_path=str(tmp_path / "b.db"), session_id="s")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        ask(provider)
    assert caught.value.meter == "tokens"
    assert provider.count == 2


def test_nested_sessions_bind_too(provider: LoopbackProvider, tmp_path: Path) -> None:
    """A sub-agent's calls are spent by the session around it as well."""
    AgentFuseSpanProcessor(budget=100, db_path=str(tmp_path / "ledger.db"), session_id="s")
    with session("parent", limits=(Limit(calls=2),)), session("child", budget=50):
        ask(provider)
        ask(provider)
        with pytest.raises(SentinelBudgetExceeded, match="per session 'parent'"):
            ask(provider)
    ask(provider)
    assert provider.count == 3


@pytest.mark.parametrize("instrumented", [True, False], ids=["traceloop", "no spans"])
def test_a_retry_loop_over_a_call_too_big_ends(provider: LoopbackProvider, tmp_path: Path, instrumented: bool) -> None:
    """A call that is too big passes a framework's gate, which sees that something is left.

    The row of soft refusals by the exact gate goes on all the same, and blows the fuse.
    """
    tracing = TracerProvider()
    tracing.add_span_processor(
        AgentFuseSpanProcessor(budget="0.00001", db_path=str(tmp_path / "ledger.db"), session_id="s")
    )
    with restored():
        if instrumented:
            LangchainInstrumentor().instrument(tracer_provider=tracing)
        assert tries_until_trip(lambda: chat(provider).invoke("hi")) <= 4
    assert provider.count == 0


def test_a_call_from_inside_the_fuse_is_let_go_and_booked_when_availability_comes_first(tmp_path: Path) -> None:
    """fail_safe=False: a signal handler's call in the middle of our own work neither raises nor deadlocks, and counts."""
    processor = AgentFuseSpanProcessor(
        budget=1, db_path=str(tmp_path / "ledger.db"), session_id="s", fail_safe=False, request_gate=False
    )
    fuse = processor.fuse
    ask = CallRequest(
        layer=Layer.CLIENT, source="x", caller=processor.caller(None, None), model="gpt-4o", provider="openai"
    )
    fuse.reentrancy.enter()
    with fuse._lock:
        seen = fuse.open_call(ask)
        fuse.close_call(seen, usage=Usage(input_tokens=1000, output_tokens=500))
    assert fuse.reentrancy.busy
    assert list(fuse.ledger.journal()) == []
    fuse.reentrancy.leave()
    assert not fuse.reentrancy.busy
    assert [entry.cost for entry in fuse.ledger.journal()] == [7_500_000]
    processor.shutdown()
