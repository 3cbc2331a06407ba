"""Ring-fenced sessions: their slice is kept for them in the ledger until they end; what they leave comes back then."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import TypeVar

from agent_fuse import sessions, spend
from agent_fuse.account_names import account, is_nobodys, plain
from agent_fuse.calls import RING_FENCE, Entry, Status, show_usd
from agent_fuse.errors import ConfigurationError, SentinelBudgetExceeded, SentinelError
from agent_fuse.foreign_text import inline
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers import deciding
from agent_fuse.ledgers.base import Amounts, Hold, Ledger, Meter, Refusal
from agent_fuse.ledgers.controls import Control, Fence, read
from agent_fuse.ledgers.owners import Owner, is_dead, this_process
from agent_fuse.ledgers.waiting import patience, pauses
from agent_fuse.limits import Caller, Session, demand
from agent_fuse.refusals import explain, of_stop

T = TypeVar("T")

LONGEST = 86_400.0
"""Seconds after which a fence falls by itself, where neither its session's end nor its process's is seen."""
_HOLD_SECONDS = 60.0
_LOCK = "fence/lock"
_ALONE_SECONDS = 2.0
_TRIES = 1_000


class RingFence:
    """What is kept for one session; `end` gives back what is left of it."""

    def __init__(self, fuse: Fuse, fence: Fence, accounts: tuple[str, ...]) -> None:
        self._fuse = fuse
        self._fence = fence
        self._accounts = accounts

    def end(self) -> None:
        """The session is over. In a forked child nothing is: it is the parent's."""
        if self._fence.pid != os.getpid():
            return
        self._fuse.reentrancy.enter()
        try:
            for name in self._accounts:
                _change(self._fuse.ledger, name, {self._fence.id}, None, now=self._fuse.clock())
        finally:
            self._fuse.reentrancy.leave()


def opened(fuse: Fuse, around: Caller, own: Session, part: Decimal | None) -> tuple[Session, RingFence | None]:
    """The session with its limit, and what keeps it; `part` is the share of what is left around it, if it is one.

    Raises:
        SentinelBudgetExceeded: there is not so much left. SentinelSystemError: the ledger failed.
        ConfigurationError: it is a share, and nothing around it limits USD.
    """
    with _alone(fuse):  # a share is of what those who came before have left
        for tries in count():
            limits = own.limits
            if part is not None:
                limits = (sessions.slice_of(spend.remaining(fuse, around).usd, part), *limits)
            found = None if fuse.settings.observes else put_up(fuse, around, own.id, limits[0].cap)
            if not isinstance(found, Refusal):
                return replace(own, limits=limits), found
            if part is None or tries > _TRIES:  # others may have spent of what the share was of
                raise _refused(fuse, found, around, own.id, limits[0].cap)
    raise AssertionError("count() does not end")


@contextmanager
def _alone(fuse: Fuse) -> Generator[None]:
    """One slice is cut at a time, over all processes: by a note. Who takes too long, or died, is waited for no more."""
    mine = fuse.accounting.new_id().encode()
    ledger, ask = fuse.ledger, fuse.accounting.retry.ask

    def take(found: bytes | None) -> tuple[bytes | None, bool]:
        until, _, _ = (found or b"0").partition(b" ")
        free = float(until) <= fuse.clock()
        return (b"%f %s" % (fuse.clock() + _ALONE_SECONDS, mine) if free else found), free

    def leave(found: bytes | None) -> tuple[bytes | None, None]:
        return (None if found is not None and found.endswith(b" " + mine) else found), None

    def change(how: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        fuse.reentrancy.enter()
        try:
            return ask("update_note", lambda: ledger.update_note(_LOCK, how, now=fuse.clock()))
        finally:
            fuse.reentrancy.leave()

    if not change(take):
        any(change(take) for _ in pauses(patience(_ALONE_SECONDS)))
    try:
        yield
    finally:
        change(leave)


def put_up(fuse: Fuse, around: Caller, child: str, amount: int) -> RingFence | Refusal | None:
    """Keep so many nano-dollars for a session inside, on every account around it that a limit in USD binds.

    Its place is taken by a hold, all or none, until the fence stands, so that there is no moment for anybody between.
    None where no limit in USD binds; the refusal where one has not so much left.

    Raises:
        SentinelSystemError: the ledger failed.
    """
    now, inner, here = fuse.clock(), account("session", child), this_process()
    if "\0" in inner:
        raise ConfigurationError("a ring-fenced session's id cannot have the character NUL")
    due = demand(fuse.limits, around, now=now)
    caps = tuple(cap for cap in due.caps if cap.meter is Meter.USD and not is_nobodys(cap.account))
    mine = fuse.accounting.new_id()
    fence = Fence(
        id=mine, child=inner, amount=amount, until=now + LONGEST, host=here.host, pid=here.pid, started=here.started
    )
    entry = Entry(id=mine, at=now, status=Status.PRESUMED, session=child, operation=RING_FENCE, cost=amount)
    accounts, amounts = due.accounts, Amounts(usd=amount)
    hold = Hold(entry=entry, accounts=accounts, amounts=amounts, caps=caps, expires_at=now + _HOLD_SECONDS)
    fuse.reentrancy.enter()
    try:
        ledger, ask = fuse.ledger, fuse.accounting.retry.ask
        answer = ask("reserve", lambda: ledger.reserve(hold, now=now))
        if isinstance(answer, Refusal):
            return answer
        try:
            names = _bare(ledger, around, dict.fromkeys(plain(cap.account) for cap in caps))
            made = RingFence(fuse, fence, names)
            for name in names:
                ask("control", partial(_change, ledger, name, set[str](), fence, now=now))
        finally:
            ask("release", lambda: ledger.release(mine, now=now))
    finally:
        fuse.reentrancy.leave()
    return made if names else None


def _refused(fuse: Fuse, answer: Refusal, around: Caller, child: str, amount: int) -> SentinelError:
    """The trip for a session whose slice is not there."""
    what, how, now = f"{show_usd(amount)} for session {inline(child)!r}", "cannot be ring-fenced", fuse.clock()
    if answer.stop is not None:
        return of_stop(answer, answer.stop, what=what, model="", session=child, how=how)
    due = demand(fuse.limits, around, now=now)
    message, facts = explain(answer, due.limits[due.caps.index(answer.cap)], what, now, how, alone=("give it less",))
    return SentinelBudgetExceeded(message, model="", session=child, **facts)


def drop_dead(ledger: Ledger, now: float) -> None:
    """Take down what dead processes of this machine kept, and the places of those that waited. Raises LedgerError."""
    here = this_process()
    for one in read(ledger.controls()).by_account.values():
        of = [
            fence
            for fence in one.fences
            if is_dead(Owner(host=fence.host, pid=fence.pid, started=fence.started), here=here)
        ]
        if of or one.waiting:
            _change(ledger, one.account, {fence.id for fence in of}, None, now=now)


def _bare(ledger: Ledger, around: Caller, names: dict[str, None]) -> tuple[str, ...]:
    """Those on which no session around is fenced: there this slice is a part of that one's."""
    chain = {account("session", one.id) for one in around.session.chain()}
    controls = read(ledger.controls(names)).by_account
    return tuple(
        name
        for name in names
        if not any(one.child in chain for one in controls.get(name, Control(account=name)).fences)
    )


def _change(ledger: Ledger, name: str, without: set[str], more: Fence | None, *, now: float) -> None:
    def changed(one: Control) -> Control:
        fences = tuple(fence for fence in one.fences if fence.id not in without) + ((more,) if more else ())
        return replace(one, fences=fences)

    deciding.change(ledger, name, changed, now=now)
