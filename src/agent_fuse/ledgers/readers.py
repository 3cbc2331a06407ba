"""The contract of reading: what every kind of ledger answers to whoever looks into it from outside."""

from collections.abc import Iterator, Sequence
from typing import Protocol, Self

from agent_fuse.calls import Entry
from agent_fuse.ledgers.base import Balance, Hold, Meter
from agent_fuse.ledgers.controls import Control
from agent_fuse.ledgers.selecting import ANY, Fact, Refused, Saved, Selection, Sums


class Reader(Protocol):
    """One ledger, open for reading, also in the process that writes it. Closed by `close`, or `with`.

    Every method raises LedgerError; none takes a lock that a call waits for, keeps a transaction open for long, or
    makes or changes anything. One thread at a time.
    """

    @property
    def where(self) -> str:
        """The ledger in words: its path, or its URL without a password."""
        ...

    @property
    def name(self) -> str:
        """The same, short: the last part of it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Close it."""
        ...

    def gone(self) -> bool:
        """Whether another ledger, or none, is now where this one was opened: whoever looks for long opens it anew."""
        ...

    def unwritable(self) -> str | None:
        """Why this user could not write to the ledger; None where nothing speaks against it."""
        ...

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """These accounts, zero where unknown; those in a rolling window as they stand at `now` (the clock's)."""
        ...

    def accounts(self, scope: str, meter: Meter, limit: int, *, now: float | None = None) -> list[tuple[str, Balance]]:
        """Accounts per one key (`session`, `user.id@1h`, ...), those with the most of a meter first.

        Of a window, those of the interval of `now`.
        """
        ...

    def count_accounts(self, scope: str, *, now: float | None = None) -> int:
        """How many accounts there are per one key; of a window, in the interval of `now`."""
        ...

    def controls(self) -> list[Control]:
        """What is stopped or topped up, by account."""
        ...

    def knows(self, account: str) -> bool:
        """Whether there is such an account, or the journal names its session, agent, model, tool or provider."""
        ...

    def has_account(self, name: str) -> bool:
        """Whether anything was ever booked, held or refused on it, or on one of its windows."""
        ...

    def account_names(self, limit: int) -> list[str]:
        """Names of accounts, the largest in USD first."""
        ...

    def open_calls(self) -> tuple[int, int]:
        """How many calls are open, and the nano-dollars they hold."""
        ...

    def holds(self, limit: int) -> list[Hold]:
        """Calls that are open, the one that began first of all first."""
        ...

    def notes(self, prefix: str) -> dict[str, bytes]:
        """Notes whose key begins with `prefix`, an ASCII text."""
        ...

    def notes_stand(self, prefix: str) -> tuple[int, float]:
        """How many notes begin with `prefix`, and the sum of the times of their changes: another where one changed."""
        ...

    def entries(self, which: Selection = ANY, *, limit: int | None = None) -> Iterator[Entry]:
        """Journal lines, newest first, read a page at a time."""
        ...

    def facts(self, since: float = 0.0, until: float | None = None) -> Iterator[Fact]:
        """All lines from `since` to before `until`, oldest first, as plain tuples; read a page at a time."""
        ...

    def times(self, since: float = 0.0, until: float | None = None) -> tuple[float, float] | None:
        """When the first and the last line from `since` to before `until` began; None without one."""
        ...

    def since_last(self, lines: int) -> float:
        """When the oldest of so many last lines began; 0 where there are no more than those."""
        ...

    def refused(self, which: Selection) -> list[Refused]:
        """Refused calls, or only those that would have been, summed by the limit and account; the most first."""
        ...

    def saved(self, which: Selection) -> list[Saved]:
        """What calls saved that were clamped or downgraded, or only observed, summed by that; the most first."""
        ...

    def booked(self, which: Selection) -> tuple[int, int]:
        """Nano-dollars booked, and what of them is fees: no tokens."""
        ...

    def count_lines(self, before: float) -> int:
        """Journal lines older than `before`."""
        ...

    def steps(self, before: float, every: int) -> Iterator[float]:
        """Times that part the lines older than `before` into stretches of about `every` lines; the last is `before`."""
        ...

    def sums(self, which: Selection, by: str, *, limit: int | None = None) -> list[tuple[str, Sums]]:
        """Lines summed by `session`, `agent`, `model` or `tool`, the latest first; agents and models for sessions."""
        ...
