"""Keeping: what a ledger's keeper does with the whole of it: make it, check it, copy it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar, cast

from agent_fuse.ledgers import codec, kinds
from agent_fuse.ledgers.codec import METERS
from agent_fuse.mistakes import ConfigurationError

T = TypeVar("T")

PAGE = 5_000
"""Rows copied at a time."""


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """A table as every kind of ledger can tell it."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


_FIGURES = tuple(f"{what}_{one}" for what in ("settled", "held") for one in METERS)
ACCOUNTS = LedgerTable("accounts", ("name", *_FIGURES, "refused", "since"), ("name",))
"""Buckets of rolling windows among them."""
JOURNAL = LedgerTable(
    "journal",
    (*codec.ENTRY, "accounts", *(f"booked_{one}" for one in METERS), *codec.REFUSED_BY),
    ("at", "id"),
)
HOLDS = LedgerTable(
    "holds",
    (*codec.ENTRY, "accounts", *(f"hold_{one}" for one in METERS), "expires_at", "host", "pid", "started"),
    ("id",),
)
NOTES = LedgerTable("notes", ("key", "at", "value"), ("key",))
CONTROLS = LedgerTable("controls", ("account", "control"), ("account",))
TABLES = (ACCOUNTS, JOURNAL, HOLDS, NOTES, CONTROLS)


@dataclass(frozen=True, slots=True)
class Made:
    """Versions of the tables: before, 0 where there were none, and now."""

    before: int
    now: int


class WholeLedger(Protocol):
    """All of a ledger as it stood at one moment. Closed by `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """Rows of a query over TABLES, with `?` where values go. Raises LedgerError."""
        ...


class Filling(Protocol):
    """A ledger that is being filled, in one transaction."""

    def put(self, table: LedgerTable, page: Sequence[codec.Row]) -> None:
        """Add rows."""
        ...

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """As `Whole.ask`, of what was put so far."""
        ...


class Keeper(Protocol):
    """What can be done with the ledger at one URL from outside. Closed by `with`. Every method raises LedgerError."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def where(self) -> str:
        """The ledger in words, without a password."""
        ...

    def make(self) -> Made:
        """Make it where it is not there, and bring it to this version. Done again it does nothing."""
        ...

    def grants(self, role: str) -> list[str]:
        """The statements that give a role the least that a fuse needs; none where there are no roles."""
        ...

    def grant(self, role: str) -> None:
        """Give a role just that."""
        ...

    def faults(self) -> tuple[list[str], bool]:
        """What is wrong with it before its figures are looked at, a line each; and whether those can be."""
        ...

    def whole(self) -> WholeLedger:
        """All of it, for reading."""
        ...

    def fill(self, work: Callable[[Filling], T]) -> T:
        """Fill it, all or nothing. `work` may be done again from the start.

        Raises:
            ConfigurationError: it is not empty.
        """
        ...


class _Kept(Protocol):
    def keeper(self, url: str) -> Keeper: ...


def keeper(url: str) -> Keeper:
    """The keeper of the ledger at a path or URL.

    Raises:
        ConfigurationError: there is no such kind of ledger, or it is one that nobody keeps: in memory, or of a package
            that does not say how.
    """
    kind: object = kinds.of(url)
    if not hasattr(kind, "keeper"):
        raise ConfigurationError(
            f"ledger is {kinds.shown(url)!r}; it has no tables that could be made, checked or copied"
        )
    return cast("_Kept", kind).keeper(url)


def outdated(version: int, current: int) -> str:
    """The fault of tables of an older version."""
    return (
        f"its tables are of version {version}, this AgentFuse writes {current}: agent-fuse ledger init brings them up"
    )


def not_empty(where: str) -> ConfigurationError:
    """Nothing is copied into books that have something in them."""
    return ConfigurationError(f"ledger {where} is not empty; copy into a new one")
