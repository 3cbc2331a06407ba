"""What one kind of call does under AgentFuse: refused, booked, broken off, looping, and whose it is."""

import asyncio
import contextlib
import contextvars
import gc
import time
from collections.abc import Callable
from typing import Any

import agent_fuse
from agent_fuse import Limit, Price, SentinelError
from agent_fuse.calls import Entry, Status, Usage, to_nanos
from agent_fuse.errors import public_class
from agent_fuse.ledgers.base import Amounts
from agent_fuse.otel.opening import open_fuse
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import settings
from agent_fuse.testing import LedgerReader, Reply, Request, ToolCall

from .kinds.base import LOOP, Kind
from .place import CLAUDE, EMBEDDER, GEMINI, MODEL, Place
from .switches import NAMING

SMALL = "Say hello to the world, please."
LARGE = "All work and no play makes Jack a dull boy. " * 6_000
"""About 66,000 tokens: $0.66 at PRICE, over SIZE_BUDGET, while a call of which nothing is known is quoted at less."""
SIZE_BUDGET = "0.40"

PRICE = Price(10, 10, cache_read=5, cache_write=20)
NANOS = {"fresh": 10_000, "read": 5_000, "written": 20_000, "out": 10_000}
"""PRICE, nano-dollars a token."""
PRICES = dict.fromkeys((MODEL, EMBEDDER, CLAUDE, GEMINI), PRICE)

TOLD = Usage(input_tokens=1117, output_tokens=233, cache_read_tokens=512, reasoning_tokens=100)
CLAUDE_TOLD = Usage(input_tokens=2117, output_tokens=233, cache_read_tokens=512, cache_write_tokens=300)
EMBEDDED = Usage(input_tokens=1117, output_tokens=0)

BOOKINGS = 3
RIGHT = "once, exact"

LOOP_THRESHOLD = 3
ROUNDS = 8
"""Times that the model asks for the same tool before it gives in."""

BOOKED = (Status.SETTLED, Status.ESTIMATED, Status.PRESUMED)


def usage_for(request: Request) -> Usage:
    if "embeddings" in request.path:
        return EMBEDDED
    return CLAUDE_TOLD if "messages" in request.path else TOLD


class Bench:
    """One process with its instrumentations on: measures kinds of call."""

    def __init__(self, place: Place, processor: AgentFuseSpanProcessor, naming: str = "", linger: float = 0.0) -> None:
        self.place = place
        self.processor = processor
        self.naming = naming
        self.linger = linger

    def measure(self, kind: Kind) -> dict[str, str]:
        """Every column of one row."""
        columns: dict[str, Callable[[], str]] = {"exhausted": lambda: self.exhausted(kind)}
        if kind.requests == 1 or kind.agent:
            columns["size"] = lambda: self.size(kind)
        columns["booked"] = lambda: self.worst_of(BOOKINGS, kind)
        if kind.stream:
            columns["broken"] = lambda: self.broken(kind)
        if kind.agent:
            columns["tools"] = lambda: self.tools(kind)
        if not kind.many:
            columns["session"] = lambda: self.session(kind, lambda: agent_fuse.session("named"))
            if self.naming:
                columns["own"] = lambda: self.session(kind, lambda: NAMING[self.naming](self.place, "named"))
        # A context of its own for each: some instrumentations leave things behind in it.
        return {name: contextvars.copy_context().run(column) for name, column in columns.items()}

    def exhausted(self, kind: Kind) -> str:
        """A limit over everything has nothing left."""
        self._fresh(limits=Limit(usd=1, per="all"))
        self._spend("matrix")
        trip = _trip(lambda: kind.run(self.place, SMALL))
        return f"{self._sent()}, {trip}"

    def size(self, kind: Kind) -> str:
        """Enough is left for a usual call, not for this one."""
        self._fresh(limits=Limit(usd=SIZE_BUDGET, per="all"))
        trip = _trip(lambda: kind.run(self.place, LARGE))
        return f"{self._sent()}, {trip}"

    def worst_of(self, times: int, kind: Kind) -> str:
        """What a few bookings came to: the first that is not as it should be, since matching is a matter of timing."""
        found = (self.booked(kind) for _ in range(times))
        return next((word for word in found if word != RIGHT), RIGHT)

    def booked(self, kind: Kind) -> str:
        """What is in the books after a call, against what the provider served."""
        books = self._fresh(budget=100, loop_detection_enabled=False)
        self._answer(rounds=1)
        trip = _trip(lambda: kind.run(self.place, SMALL))
        served = [(one.usage) for one in self.place.openai.served] + self.place.google.served
        due = sum(_cost(one) for one in served)

        def right() -> bool:
            lines = _models(books)
            return len(lines) == len(served) and sum(one.cost for one in lines) == due and not books.open_holds()

        _wait(right)
        lines = _models(books)
        spent = sum(one.cost for one in lines)
        words = [_count(len(lines), len(served)), _figure(lines, spent, due)]
        if trip != "no trip":
            words.append(trip)
        if books.open_holds():
            words.append("a hold is left")
        return ", ".join(words)

    def broken(self, kind: Kind) -> str:
        """The caller leaves after the first piece."""
        books = self._fresh(budget=100)
        self.place.openai.default = Reply(text="word " * 200)
        trip = _trip(lambda: kind.abandon(self.place, SMALL))
        gc.collect()
        _wait(lambda: bool(_models(books)) and not books.open_holds())
        lines = _models(books)
        words = [_count(len(lines), self.place.requests), "estimated" if sum(one.cost for one in lines) else "nothing"]
        if trip != "no trip":
            words.append(trip)
        if books.open_holds():
            words.append("a hold is left")
        return ", ".join(words)

    def tools(self, kind: Kind) -> str:
        """The model asks for the same tool call again and again; the next one after three trips."""
        self._fresh(budget=100, loop_threshold=LOOP_THRESHOLD)
        self._answer(rounds=ROUNDS)
        trip = _trip(lambda: kind.run(self.place, SMALL))
        bodies = self.place.bodies
        if trip == "no trip":
            return "not at all" if bodies > LOOP_THRESHOLD else f"{bodies} bodies, no trip"
        where = {LOOP_THRESHOLD: "before the body", LOOP_THRESHOLD + 1: "at the next gate"}
        return f"{where.get(bodies, f'after {bodies} bodies')}, {trip}"

    def session(self, kind: Kind, named: Callable[[], Any]) -> str:
        """A session that is named has nothing left, others have."""
        books = self._fresh(budget=1)
        self._spend("named")
        self._answer(rounds=1)

        def call() -> None:
            with named():
                kind.run(self.place, SMALL)

        trip = _trip(call)
        if self.place.requests == 0:
            return f"at the gate, {trip}"
        _wait(lambda: bool(_models(books)))
        found = any(one.session == "named" for one in _models(books))
        return "when booked" if found else "not found"

    def _fresh(self, **options: Any) -> LedgerReader:
        if self.linger:
            _wait(lambda: False, self.linger)
        self.place.reset()
        self.place.openai.default = Reply()
        self.place.google.tool = False
        self.processor.fuse.ledger.close()
        own = (self.place.openai.url, self.place.google.url)
        made = open_fuse(
            settings(
                {},
                db_path="memory://",
                session_id="matrix",
                prices=PRICES,
                endpoints=own,
                stream_usage=False,  # what a call does not ask for is not asked for
                **options,
            )
        )
        self.processor.use(made)
        return LedgerReader(made.ledger)

    def _answer(self, *, rounds: int) -> None:
        turn = 0

        def answer(request: Request) -> Reply:
            nonlocal turn
            body = request.body if isinstance(request.body, dict) else {}
            if body.get("tools") and turn < rounds:
                turn += 1
                call = ToolCall(name="weather", arguments={"city": "Bergen"})
                return Reply(tool_calls=(call,), usage=usage_for(request))
            return Reply(usage=usage_for(request))

        self.place.openai.default = answer

    def _spend(self, session: str) -> None:
        entry = Entry(id="earlier", at=1.0, status=Status.SETTLED, session=session, cost=to_nanos(1))
        accounts = ["all", f"session={session}"]
        self.processor.fuse.ledger.settle(entry, accounts, Amounts(usd=to_nanos(1), calls=1), now=1.0)

    def _sent(self) -> str:
        return f"{self.place.requests} sent"


def _trip(call: Callable[[], Any]) -> str:
    try:
        call()
    except SentinelError as trip:
        return f"{public_class(trip).__name__} ({'Exception' if isinstance(trip, Exception) else 'BaseException'})"
    except Exception as error:
        return f"{type(error).__name__} instead of a trip"
    except BaseExceptionGroup as error:
        return f"{type(error).__name__} instead of a trip"
    return "no trip"


def _models(books: LedgerReader) -> list[Entry]:
    return [one for one in books.entries(*BOOKED) if one.operation != "execute_tool" and one.id != "earlier"]


def _count(lines: int, served: int) -> str:
    if lines == served:
        return "once"
    return "not" if lines == 0 else f"{lines} for {served}"


def _figure(lines: list[Entry], spent: int, due: int) -> str:
    if not lines:
        return "nothing"
    states = {one.status for one in lines}
    if states == {Status.SETTLED} and spent == due:
        return "exact"
    if states == {Status.SETTLED}:
        return f"off by {(spent - due) / due:+.2%}"
    return "estimated" if states == {Status.ESTIMATED} else "partly estimated"


def _cost(usage: Usage) -> int:
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    fresh = (usage.input_tokens or 0) - read - written
    return (
        fresh * NANOS["fresh"]
        + read * NANOS["read"]
        + written * NANOS["written"]
        + (usage.output_tokens or 0) * NANOS["out"]
    )


def _wait(until: Callable[[], bool], seconds: float = 2.0) -> None:
    """Give background threads and the event loop time; how long it took is nobody's business."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        gc.collect()
        LOOP.run_until_complete(asyncio.sleep(0.02))


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Warnings of other people's libraries say nothing here."""
    import warnings

    return warnings.catch_warnings(action="ignore")
