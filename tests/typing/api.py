"""What a type checker must see of the public API. Checked by mypy and pyright, never run."""

from collections.abc import AsyncGenerator, Generator
from decimal import Decimal
from typing import assert_type

import agent_fuse
from agent_fuse import (
    AgentFuseSampler,
    AgentFuseSpanProcessor,
    Alert,
    AlertKind,
    HandCall,
    Limit,
    Price,
    SentinelBudgetExceeded,
    SentinelLoopError,
    SentinelSystemError,
    Usage,
    UsageStats,
    boundary,
    check_loop,
    guard,
    loop_guard,
    monitor,
    post_flight,
    pre_flight,
)


def setting_up(sampler: AgentFuseSampler) -> None:
    """`init` and the processor take the options they name and those of the table, each with its own type."""
    warned: list[Alert] = []
    assert_type(agent_fuse.init(5.00, True, "run-1", "ledger.db", 5, True), AgentFuseSpanProcessor)
    agent_fuse.init(
        budget="5.00",
        limits=[Limit(calls=60), Limit(usd=Decimal(100), per="user.id")],
        prices={"mine": Price(1, 2), "other": "mine"},
        strict=True,
        unknown_model="block",
        warn_at=(0.5, 0.8),
        on_warning=warned.append,
        loop_tool_thresholds={"search": 3},
    )
    AgentFuseSpanProcessor(budget=5, limits=Limit(tool_calls=200), loop_threshold=3, on_warning=warned.append)
    assert_type(warned[0].kind, AlertKind)
    assert_type(warned[0].spent, Decimal)
    agent_fuse.init(budget=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    agent_fuse.init(bugdet=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AgentFuseSpanProcessor(bugdet=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Limit(usd=5, par="user.id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent_fuse.init(unknown_model="pay")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    del sampler


def watching() -> None:
    """Spend is Decimal; a session gives itself."""
    assert_type(monitor(), UsageStats)
    assert_type(monitor().session_spend_usd, Decimal)
    assert_type(monitor().budget_remaining_usd, Decimal | None)
    with agent_fuse.session("run-1", budget=2.0, user_id="ann", attributes={"team": "red", "size": 3}) as one:
        assert_type(one.id, str)
    assert_type(agent_fuse.session_headers(), dict[str, str])
    with agent_fuse.session_from({"agent-fuse-session": "…"}) as found:
        assert_type(found.id if found is not None else None, str | None)
    bad = 5
    agent_fuse.session("run-1", bugdet=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    agent_fuse.session("run-1", limit=bad)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    agent_fuse.session("run-1", limits=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def by_hand(response: object) -> None:
    """A call by hand, as a pair and as a block."""
    made = pre_flight("gpt-4o", estimated_input_tokens=1000, messages=[{"role": "user", "content": "hi"}])
    assert_type(made, HandCall)
    assert_type(made.quoted_usd, Decimal)
    post_flight("gpt-4o", 950, None, {"response_id": "x"}, cache_read_tokens=10)
    with agent_fuse.call("gpt-4o", prompt="hi") as call:
        assert_type(call, HandCall)
        assert_type(call.response(response), bool)
        call.usage(1, 2, reasoning_tokens=1)
    pre_flight()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def by_hand_async() -> None:
    """The same, awaited."""
    async with agent_fuse.call("gpt-4o") as call:
        assert_type(call, HandCall)


@guard
def plain(question: str) -> int:
    """Bare."""
    return len(question)


@guard(model="gpt-4o", estimated_output_tokens=10)
async def asked(question: str) -> str:
    """With arguments."""
    return question


@guard()
def streamed(question: str) -> Generator[str, int, bool]:
    """A generator."""
    return bool((yield question))


@loop_guard()
def search(query: str, *, limit: int = 1) -> list[str]:
    """A tool."""
    return [query] * limit


@loop_guard
async def fetched(url: str) -> AsyncGenerator[bytes, None]:
    """An async generator as a tool."""
    yield url.encode()


@boundary()
def handled(number: int) -> int:
    """Trips leave it as exceptions."""
    return number


class Tools:
    """Methods keep their self."""

    @loop_guard("find")
    def find(self, name: str) -> bool:
        """A tool that is a method."""
        return bool(name)


async def decorated() -> None:
    """A decorated function keeps its signature and its kind."""
    assert_type(plain("x"), int)
    assert_type(await asked("x"), str)
    assert_type(streamed("x"), Generator[str, int, bool])
    assert_type(search("x", limit=2), list[str])
    assert_type(fetched("x"), AsyncGenerator[bytes, None])
    assert_type(handled(1), int)
    assert_type(Tools().find("x"), bool)
    search(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    check_loop("search", {"query": {1, 2}}, session_id="run-1")


def tripped(trip: SentinelBudgetExceeded | SentinelLoopError | SentinelSystemError) -> None:
    """Each trip has its fields."""
    match trip:
        case SentinelBudgetExceeded():
            assert_type(trip.current_spend, Decimal)
            assert_type(trip.estimated_cost, Decimal)
            assert_type(trip.budget_limit, Decimal)
        case SentinelLoopError():
            assert_type(trip.signature, str)
        case SentinelSystemError():
            assert_type(trip.original_error, BaseException)
            assert_type(trip.retry_count, int)
    assert_type(Usage(input_tokens=1).total_tokens, int)
