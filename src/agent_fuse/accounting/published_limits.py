"""Posted caps: which limits the fuses enforce, written in the ledger so that the command line can show them."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from agent_fuse.account_names import OF, escaped, key_of, window_of
from agent_fuse.accounting.call_request import Event
from agent_fuse.errors import SentinelSystemError
from agent_fuse.ledgers.base import Ledger, LedgerError, Meter
from agent_fuse.limits import Demand, Limit, counted, in_words
from agent_fuse.locks import Lock
from agent_fuse.windows import Window, read

if TYPE_CHECKING:
    from agent_fuse.accounting.children import Children

PREFIX = "caps/"
"""Notes `caps/per/<meter>/<key>` hold for every account of a key, `caps/own/<meter>/<account>` for one account."""

_REMEMBERED = 10_000
_INSIDE = 2
"""Where the account of the session around a call's own stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLimit:
    """A cap that a fuse enforces, or did when it last ran."""

    per: str
    """`session`, `agent`, `all`, or an attribute's name."""
    meter: Meter
    amount: int
    """Nano-dollars for usd, else a count."""
    window: str = ""
    """Over which it counts: `1h`, `day:Europe/Berlin`; empty without end."""
    account: str = ""
    """The one account it is for, without its interval; empty when it holds for every account of its key."""
    source: str = "ledger"
    """`ledger`, or the environment variable it is read from."""

    @property
    def words(self) -> str:
        """The amount alone: `$5.00`, `40 tool calls`."""
        return counted(self.meter, self.amount)

    def __str__(self) -> str:
        over = self.over
        if self.account:
            whose = " ".join(key_of(self.account)).rstrip()
            return f"{self.words} for {whose}{f' {over.words}' if over is not None else ''}"
        return in_words(self.meter, self.amount, self.per, over)

    @property
    def over(self) -> Window | None:
        """The window, read."""
        return read(self.window) if self.window else None

    @property
    def scope(self) -> str:
        """How the names of the accounts that it holds for begin."""
        return f"{escaped(self.per)}@{self.window}" if self.window else escaped(self.per)


class LimitPublisher:
    """Posts the caps of one fuse: those of its limits when it opens, those of sessions when they are first met.

    A ledger that cannot write now is asked again at the next call; nothing is raised.
    """

    def __init__(self, ledger: Ledger, limits: Sequence[Limit], clock: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._clock = clock
        self._general = {(limit.key, limit.over, limit.meter, limit.cap) for limit in limits}
        self._waiting: dict[str, int] = {_key("per", limit.meter, _scope(limit)): limit.cap for limit in limits}
        self._met: dict[str, int] = {}
        self._lock = Lock()
        self._children: Children | None = None

    def heard(self, event: Event) -> None:
        """A listener of the fuse: a call met its limits. A ledger that just failed is not asked again at once."""
        if not isinstance(event.trip, SentinelSystemError):
            self.met(event.due, now=self._clock())

    def post(self, *, now: float) -> None:
        """Write what waits to be written; with nothing waiting, nothing is done."""
        if not self._waiting:
            return
        with self._lock:
            waiting, self._waiting = self._waiting, dict[str, int]()
        for key, amount in waiting.items():
            try:
                self._ledger.update_note(key, partial(_set, amount), now=now)
            except LedgerError:
                # The call itself told of the broken ledger, loudly; what is shown of limits can wait for the next one.
                with self._lock:
                    self._waiting = {key: amount, **self._waiting}

    def met(self, due: Demand, *, now: float) -> None:
        """A call met these caps, on accounts of which the second is its session's, and then come those around it."""
        if len(due.accounts) > _INSIDE and due.accounts[_INSIDE].startswith("session="):
            for child, parent in pairwise(due.accounts[1:]):
                if parent.startswith("session="):
                    self._inside(child, parent, now)
        for cap, limit in zip(due.caps, due.limits, strict=True):
            if (limit.key, limit.over, cap.meter, cap.amount) in self._general:
                continue
            key = _key("own", cap.meter, cap.account if limit.over is None else cap.account.partition(OF)[0])
            if self._met.get(key) != cap.amount:
                if len(self._met) >= _REMEMBERED:
                    self._met.clear()
                self._met[key] = cap.amount
                with self._lock:
                    self._waiting = {**self._waiting, key: cap.amount}
        if self._waiting:
            self.post(now=now)

    def _inside(self, child: str, parent: str, now: float) -> None:
        if self._children is None:
            from agent_fuse.accounting.children import Children  # noqa: PLC0415  most programs have no such sessions

            self._children = Children(self._ledger)
        self._children.met(child, parent, now=now)


def own_limit(ledger: Ledger, account: str, meter: Meter, *, now: float) -> int | None:
    """The cap that was posted for this one account, if any. Raises LedgerError."""
    note = ledger.update_note(_key("own", meter, account), lambda note: (note, note), now=now)
    try:
        return int(json.loads(note)["amount"]) if note else None
    except (ValueError, KeyError, TypeError):  # written by a later version
        return None


def read_published(notes: Mapping[str, bytes]) -> list[PublishedLimit]:
    """Caps from the ledger's notes; those of single accounts first. What cannot be read is left out."""
    found: list[PublishedLimit] = []
    for key, value in sorted(notes.items()):
        _, kind, meter, name = (*key.split("/", 3), "", "", "")[:4]
        try:
            amount: Any = cast("dict[str, Any]", json.loads(value))["amount"]
            own = kind == "own"
            window = str(window_of(name) or "")
            per = key_of(name)[0] if own else name.removesuffix(f"@{window}") if window else name
            found.append(
                PublishedLimit(
                    per=per, meter=Meter(meter), amount=int(amount), window=window, account=name if own else ""
                )
            )
        except (ValueError, KeyError, TypeError):  # written by a later version
            continue
    return found


def _set(amount: int, _: bytes | None) -> tuple[bytes, None]:
    return json.dumps({"amount": amount}).encode(), None


def _scope(limit: Limit) -> str:
    return limit.key if limit.over is None else f"{limit.key}@{limit.over}"


def _key(kind: str, meter: Meter, name: str) -> str:
    return f"{PREFIX}{kind}/{meter}/{name}"
