"""The ledger's contract: accounts, integers, holds; all caps admit a hold, or none is charged."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from math import inf
from typing import Protocol, TypeVar

from agent_fuse.calls import Entry
from agent_fuse.foreign_text import inline

T = TypeVar("T")


class Meter(StrEnum):
    """What an account counts."""

    USD = "usd"
    """Integer nano-dollars."""
    TOKENS = "tokens"
    """Input and output tokens."""
    OUTPUT_TOKENS = "output_tokens"
    CALLS = "calls"
    TOOL_CALLS = "tool_calls"
    CONCURRENT = "concurrent"
    """Calls that are open: the holds on the account."""
    SECONDS = "seconds"
    """Since the account's first call was admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What one call asks for or has used, on each meter that adds up."""

    usd: int = 0
    tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    tool_calls: int = 0


ZERO = Amounts()


Place = tuple[float, str]
"""In line for room: since when (seconds, UTC epoch), and who, where two came at the same moment."""

LAST: Place = (inf, "")
"""Behind everyone who waits."""


@dataclass(frozen=True, slots=True)
class Cap:
    """On `account`, settled + held of `meter` must never pass `amount`.

    An account whose name has a rolling window counts what was admitted in it, by buckets (`windows.Rolling`).
    """

    account: str
    meter: Meter
    amount: int
    kept: int = field(default=0, compare=False)
    """What of it is not for this call, but kept for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What one call asks for: `amounts` on every one of `accounts`, if every one of `caps` admits it."""

    entry: Entry
    """The journal line as it is known now (its cost and tokens are the quote); its `id` names the hold."""
    accounts: tuple[str, ...]
    """One in a rolling window is named with the bucket of its admission (`account_names.within`)."""
    amounts: Amounts
    caps: tuple[Cap, ...] = ()
    expires_at: float
    """Seconds, UTC epoch: when the hold, still open, becomes presumed spent."""
    outlives: bool = False
    """Its call goes on when its process is gone: nobody owns it, so that it can only expire."""
    subjects: Callable[[], Iterable[str]] = tuple
    """Accounts that the call would be booked on if limits asked for them; asked only where something is stopped."""
    place: "Place | None" = None
    """Where it stands in line: what those before it wait for is held, for it. None: it passes them by."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One account as it stands. `held` is what open holds reserve."""

    settled: Amounts = ZERO
    held: Amounts = ZERO
    refused: int = 0
    """Refused calls."""
    since: float = field(default=0.0, compare=False)
    """When the first call was admitted, seconds, UTC epoch; 0 when none was, or by a version that did not say."""

    def used(self, meter: Meter, now: float) -> tuple[int, int]:
        """What counts against a cap on `meter`: settled (or passed, in seconds), and held by open calls."""
        match meter:
            case Meter.CONCURRENT:
                return 0, self.held.calls
            case Meter.SECONDS:
                return max(int(now - self.since), 0) if self.since else 0, 0
            case _:
                return getattr(self.settled, meter), getattr(self.held, meter)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The hold was taken. `balances` are the accounts after it."""

    id: str
    balances: Mapping[str, Balance] = field(default_factory=dict[str, Balance])


@dataclass(frozen=True, slots=True)
class NoteChange:
    """A note that is changed in the step that counts a call: `update_note` in one transaction with it."""

    key: str
    change: Callable[[bytes | None], tuple[bytes | None, bool]]
    """From the note to the note after it (None deletes it), and whether the call may be counted. Pure and quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Someone stopped an account."""

    who: str
    why: str
    at: float
    """Seconds, UTC epoch."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was charged: `cap` does not admit the hold."""

    cap: Cap
    settled: int
    """On the cap's account and meter."""
    held: int
    """By other calls: at a re-quote, without what this call holds already."""
    requested: int
    """By this call, in all: settled + held + requested > cap."""
    frees_at: float | None = None
    """When so much will have left the account's rolling window that the call fits, seconds, UTC epoch; None without
    such a window, or where it never does."""

    extra: int = 0
    """What the cap was topped up by."""
    ahead: int = 0
    """Of `held`: what no call holds, but others wait for who came first."""
    stop: "Stop | None" = None
    """Where it was no cap: who stopped the account, and why."""

    @property
    def amount(self) -> int:
        """What of the cap was for this call, topped up."""
        return self.cap.amount - self.cap.kept + self.extra

    @property
    def busy(self) -> bool:
        """Whether the call would fit if the open ones cost nothing: then it is worth a wait."""
        return bool(self.held) and self.settled + self.requested <= self.amount

    @property
    def used(self) -> float:
        """Share of the cap that is settled or held."""
        return (self.settled + self.held) / self.amount if self.amount else float("inf")


class Settling(StrEnum):
    """What settling did."""

    BOOKED = "booked"
    CORRECTED = "corrected"
    """An estimated or presumed entry was replaced by a real figure."""
    UNCHANGED = "unchanged"
    """The call was booked already; nothing was done."""


class LedgerError(Exception):
    """The ledger cannot answer: `operation` failed at `where` because of `cause`; the message says it in one line."""

    unsure = False
    """It may have been done all the same: the answer was lost."""

    def __init__(self, operation: str, where: str, cause: str) -> None:
        super().__init__(operation, where, cause)
        self.operation = operation
        self.where = where
        self.cause = cause

    def __str__(self) -> str:
        return inline(f"ledger {self.where}: {self.operation} failed: {self.cause}")


class Busy(LedgerError):
    """The ledger is well, but others kept it busy for as long as could be waited here."""

    goes_on: Callable[[], bool] | None = None
    """Whether what was asked is still under way, in a thread that nobody waits for; None where it was given up."""


class Unwritable(LedgerError):
    """The ledger is well, but what it was given can never be written: a figure or a text out of range."""


class Ledger(Protocol):
    """The durable book. Every method is atomic, safe in threads, processes and after fork; each raises LedgerError.

    Times are `now`, seconds, UTC epoch, given by the caller.
    """

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """Take the hold on all its accounts if every cap admits it (settled + held + asked <= cap), else nothing.

        Of several caps that do not admit it the tightest is named: one that no open call will free before one that
        may, then the most used.

        A second reserve under the same id replaces the first hold (a re-quote): caps see the difference. On a
        refused re-quote the first hold stands as it was. A call that is booked already holds nothing more.
        """
        ...

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """Book `amounts` for the call and free its hold, if it has one; write `entry` to the journal. Idempotent.

        Caps are not asked: what was spent was spent. Without a hold the amounts are booked on `accounts`. If the
        journal already has the call: a real figure (status settled) corrects an estimated or presumed one, by the
        difference; a refused one is booked after all; anything else leaves the books unchanged.
        """
        ...

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """Reserve and settle in one step: for a call whose amounts are known before it runs, as a tool action's are.

        `note` is changed in the same step, before caps are asked, and whatever they answer; None where it says that
        the call may not be counted. What its change raises passes, and nothing is written.
        """
        ...

    def release(self, id: str, *, now: float) -> bool:
        """Give a hold back in full. False when there is none under this id."""
        ...

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """Write a refused call to the journal and count it on its accounts, unless the journal has the call already."""
        ...

    def used_up(self, caps: Sequence[Cap], subjects: Iterable[str] = (), *, now: float) -> Refusal | None:
        """Why no call goes now: one of the subjects is stopped, or the tightest cap of which nothing is left.

        Takes no write lock.
        """
        ...

    def control(
        self, account: str, before: str | None, after: str | None, note: tuple[str, bytes] | None = None, *, now: float
    ) -> bool:
        """Put what is decided about an account (a `controls.Control`, written) in force, from the next call on.

        Only if what is in force is still `before`, and then with a note of the decision, in one step. None is nothing.
        Returns whether it did.
        """
        ...

    def controls(self, accounts: Iterable[str] | None = None) -> dict[str, str]:
        """What is in force for these accounts, named without windows, or for all. Takes no write lock."""
        ...

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """The accounts as they stand, zero where unknown. Takes no write lock.

        Without `now` an account in a rolling window is told as it stood when it was last asked for room.
        """
        ...

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """Every account and its balance, buckets left out. Takes no write lock."""
        ...

    def holds(self) -> list[Hold]:
        """Open holds, oldest first (their caps are not kept)."""
        ...

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """Journal lines at or after `since`, newest first."""
        ...

    def sweep(self, *, now: float) -> list[Entry]:
        """Turn holds that expired, or whose owner on this host is dead, into presumed spend at their quote, once."""
        ...

    def prune(self, *, before: float) -> int:
        """Drop journal lines, and notes that do not last, older than `before`; accounts keep their figures.

        Accounts of intervals that ended before it go too, unless a call is open on them.

        Returns the lines dropped.
        """
        ...

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """Read a small note, change it, write it, in one step. `change` returns (new note, answer); None deletes.

        `change` runs inside the transaction: it must be pure and quick. What it raises passes, and nothing is written.
        """
        ...

    def close(self) -> None:
        """Close what this process holds open; holds in the book stay."""
        ...


def lasts(key: str) -> bool:
    """Whether a note is no history, and so is never pruned: a posted cap, the key of the loops' hashes."""
    return key.startswith("caps/") or key == "loops/key"


def total(amounts: Iterable[Amounts]) -> Amounts:
    """Sum, meter by meter."""
    usd = tokens = output = calls = tools = 0
    for one in amounts:
        usd += one.usd
        tokens += one.tokens
        output += one.output_tokens
        calls += one.calls
        tools += one.tool_calls
    return Amounts(usd=usd, tokens=tokens, output_tokens=output, calls=calls, tool_calls=tools)


AMOUNTS: tuple[Meter, ...] = tuple(Meter(one.name) for one in fields(Amounts))
"""The meters that add up."""


def tightest(refusals: Iterable[Refusal | None]) -> Refusal | None:
    """The one that binds: what no open call frees before what one may, then the most used."""
    return max((one for one in refusals if one is not None), key=lambda one: (not one.busy, one.used), default=None)
