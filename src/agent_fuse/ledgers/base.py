"""The ledger's contract: accounts, integers, holds; all caps admit a hold, or none is charged."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from agent_fuse.calls import Entry

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """One integer for each meter."""

    usd: int = 0
    tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    tool_calls: int = 0


ZERO = Amounts()


@dataclass(frozen=True, slots=True)
class Cap:
    """On `account`, settled + held of `meter` must never pass `amount`."""

    account: str
    meter: Meter
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What one call asks for: `amounts` on every one of `accounts`, if every one of `caps` admits it."""

    entry: Entry
    """The journal line as it is known now (its cost and tokens are the quote); its `id` names the hold."""
    accounts: tuple[str, ...]
    amounts: Amounts
    caps: tuple[Cap, ...] = ()
    expires_at: float
    """Seconds, UTC epoch: when the hold, still open, becomes presumed spent."""
    outlives: bool = False
    """Its call goes on when its process is gone: nobody owns it, so that it can only expire."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One account as it stands. `held` is what open holds reserve."""

    settled: Amounts = ZERO
    held: Amounts = ZERO
    refused: int = 0
    """Refused calls."""


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


class Settling(StrEnum):
    """What settling did."""

    BOOKED = "booked"
    CORRECTED = "corrected"
    """An estimated or presumed entry was replaced by a real figure."""
    UNCHANGED = "unchanged"
    """The call was booked already; nothing was done."""


class LedgerError(Exception):
    """The ledger cannot answer: `operation` failed at `where` because of `cause`; the message says it in one line."""

    def __init__(self, operation: str, where: str, cause: str) -> None:
        super().__init__(operation, where, cause)
        self.operation = operation
        self.where = where
        self.cause = cause

    def __str__(self) -> str:
        return f"ledger {self.where}: {self.operation} failed: {self.cause}"


class Busy(LedgerError):
    """The ledger is well, but others kept it busy for as long as could be waited here."""


class Unwritable(LedgerError):
    """The ledger is well, but what it was given can never be written: a figure or a text out of range."""


class Ledger(Protocol):
    """The durable book. Every method is atomic, safe in threads, processes and after fork; each raises LedgerError.

    Times are `now`, seconds, UTC epoch, given by the caller.
    """

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """Take the hold on all its accounts if every cap admits it (settled + held + asked <= cap), else nothing.

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

    def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """The accounts as they stand, zero where unknown. Takes no write lock."""
        ...

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """Every account and its balance. Takes no write lock."""
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
