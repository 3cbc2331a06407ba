"""Turns that conversations tell of, before the loop rule: at once where one could be a loop, else a little later.

No count of the rule grows by more than one a turn. So a turn whose tools are all far below their thresholds can only
pass: it waits in memory, and is judged and written with the next one that is near, or by a thread while the provider
thinks (docs/decisions/0021).
"""

from collections.abc import Callable, Sequence
from typing import cast

from agent_fuse.accounting.booking import Accounting
from agent_fuse.conversation import ToolUse
from agent_fuse.errors import SentinelLoopError
from agent_fuse.ledgers import forks
from agent_fuse.ledgers.turns import Turn
from agent_fuse.limits import Caller
from agent_fuse.loops import (
    LOW,
    Level,
    LoopPolicy,
    LoopState,
    SeenCall,
    Signature,
    Verdict,
    head_of,
    levels,
    nudge_of,
    observe_turn,
    state_note,
)
from agent_fuse.quoting.recent import Recent

Uses = Sequence[tuple[bytes, ToolUse]]
"""The calls of one turn, each with its mark."""
Late = Callable[[Caller, str, SentinelLoopError | str], object]
Found = tuple[Verdict, Signature]
_Answer = tuple[LoopState, Found | None]

_SESSIONS = 1_024
_MOST = 8
"""Turns of a session that wait."""
_WAIT_SECONDS = 4.0


def _nobody(_caller: Caller, _tool: str, _told: SentinelLoopError | str) -> None:
    """Nobody is told."""


class _Session:
    """What is known of a session's counts, and the turns that wait."""

    __slots__ = ("levels", "queued", "turn", "waiting")

    def __init__(self) -> None:
        self.levels: dict[bytes, tuple[int, int]] | None = None
        """As `levels` tells them; None where somebody else may have counted since."""
        self.waiting: list[Uses] = []
        self.queued = False
        self.turn = Turn(lambda: _WAIT_SECONDS)


class LoopTurns:
    """Judges turns. What a session has waiting is lost with a process that is killed, and no more than that."""

    def __init__(
        self,
        accounting: Accounting,
        policy: LoopPolicy,
        read: Callable[[Uses], list[SeenCall]],
        key: Callable[[], bytes],
    ) -> None:
        self._accounting = accounting
        self._policy = policy
        self._read = read
        self._key = key
        self._sessions: Recent[str, _Session] = Recent(_SESSIONS)
        forks.watch(self)

    def before_fork(self) -> None:
        """Nothing to do: what waits is written by the parent."""

    def after_fork(self, *, child: bool) -> None:
        """What waits is the parent's to write."""
        if child:
            self._sessions = Recent(_SESSIONS)

    def judge(self, caller: Caller, uses: Uses, late: Late = _nobody) -> str:
        """Ask the rule about a turn; what to tell of it, or "".

        `late` is told of a trip, or of a nudge, that was found too late for the request that told of it, and its tool.

        Raises:
            SentinelLoopError: it goes round in a loop. SentinelSystemError: the ledger failed.
        """
        session = self._sessions.get(caller.session.id)
        if session is None:
            session = _Session()
            self._sessions.put(caller.session.id, session)
        if not self._is_far(session, uses):
            return self._judge(caller, session, uses)
        session.waiting.append(uses)
        if not session.queued:
            session.queued = True
            backlog = self._accounting.retry.backlog
            backlog.do(lambda: self._beside(caller, session, late))
            backlog.start(stays=True)
        return ""

    def meet(self, caller: Caller) -> None:
        """Somebody else is about to count a call of this session: what waits is counted before it.

        Raises:
            SentinelLoopError: as `judge`. SentinelSystemError: the ledger failed.
        """
        session = self._sessions.get(caller.session.id)
        if session is not None:
            if session.waiting:
                self._judge(caller, session, ())
            session.levels = None

    def forget(self, caller: Caller) -> None:
        """Somebody else counted in this session: what is known of its counts is not so any more."""
        session = self._sessions.get(caller.session.id)
        if session is not None:
            session.levels = None

    def _is_far(self, session: _Session, uses: Uses) -> bool:
        known, waiting = session.levels, session.waiting
        if known is None or len(waiting) >= _MOST:
            return False
        for _, use in uses:
            level, total = known.get(head_of(use.tool, self._key()), LOW)
            more = 1 + sum(any(one.tool == use.tool for _, one in turn) for turn in waiting) if waiting else 1
            if not self._policy.is_far(use.tool, level + more, total + more):
                return False
        return True

    def _judge(self, caller: Caller, session: _Session, uses: Uses) -> str:
        ask = self._accounting.retry.ask
        found = self._write(caller, session, uses, lambda work: ask("loop check", work))
        return nudge_of(*found, session=caller.session.id) if found else ""

    def _beside(self, caller: Caller, session: _Session, late: Late) -> None:
        """Write what waits, while nobody waits for it. Raises LedgerError: it cannot be written now."""
        session.queued = False
        if not session.waiting:
            return
        found = self._write(caller, session, (), lambda work: work())
        try:
            told: SentinelLoopError | str = nudge_of(*found, session=caller.session.id) if found else ""
        except SentinelLoopError as trip:
            told = trip
        if found and told:
            late(caller, found[1].tool, told)

    def _write(
        self, caller: Caller, session: _Session, uses: Uses, ask: Callable[[Callable[[], _Answer]], _Answer]
    ) -> Found | None:
        """Judge what waits and then this turn, in one step of the ledger. The first trip counts, else the last word."""
        with session.turn:
            waiting = session.waiting[:]
            turns = [told for one in (*waiting, uses) if (told := self._read(one))]
            if not turns:
                return None

            def change(note: bytes | None) -> tuple[bytes | None, _Answer]:
                state, found = LoopState.from_bytes(note), cast("Found | None", None)
                for turn in turns:
                    state, verdict, action = observe_turn(state, turn, self._policy)
                    if action is not None:
                        found = verdict, action
                    if verdict.level is Level.TRIP:
                        break
                return state.to_bytes(), (state, found)

            ledger, now = self._accounting.ledger, self._accounting.clock()
            state, found = ask(lambda: ledger.update_note(state_note(caller.session.id), change, now=now))
            session.levels = levels(state)
            del session.waiting[: len(waiting)]
        return found
