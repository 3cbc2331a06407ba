"""Tool calls seen in the conversation: an agent's next request tells what it called and what came back."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from agent_fuse.accounting.actions import Actions
from agent_fuse.accounting.reentrancy import Reentrancy
from agent_fuse.accounting.tripped import TrippedSessions
from agent_fuse.conversation import UNKNOWN_CALL, ToolUse, history_of, last_turn
from agent_fuse.errors import SentinelError, SentinelLoopError
from agent_fuse.foreign_text import unbroken
from agent_fuse.limits import Caller
from agent_fuse.quoting.recent import Recent
from agent_fuse.seams import unjudged
from agent_fuse.settings import Settings


class Conversations:
    """Judges what conversations tell by the loop rule, each call once."""

    def __init__(self, settings: Settings, actions: Actions, reentrancy: Reentrancy, tripped: TrippedSessions) -> None:
        self._fail_safe = settings.fail_safe
        self._enabled = settings.loop_detection_enabled
        self._actions = actions
        self._reentrancy = reentrancy
        self._tripped_sessions = tripped
        self._told: Recent[tuple[str, str], int] = Recent(8_192)
        """Where calls stood that were told of before, by session and id."""
        self._tripped: Recent[tuple[str, str], int] = Recent(256)
        """The call that a conversation tripped at, and how long it was then."""
        self._asked: Recent[str, tuple[str, object]] = Recent(4_096)
        """Tool and arguments of calls that an answer asked for, by their ids, where the provider keeps the history."""

    def asked(self, call_id: str, tool: str, arguments: object) -> None:
        """An answer asks for this call; the next request may tell its result alone."""
        if self._enabled and call_id and not (isinstance(arguments, str) and len(arguments) > 100_000):  # noqa: PLR2004
            self._asked.put(call_id, (tool, arguments))

    def heard(self, caller: Caller, body: Mapping[str, Any]) -> SentinelError | None:
        """A request with tools is about to leave: the trip that it is to be refused with, None where it may go."""
        if not self._enabled or self._reentrancy.busy:
            return None
        self._reentrancy.enter()
        try:
            return self._judge(caller, body)
        except SentinelError as trip:
            return trip
        except Exception as error:  # noqa: BLE001  fail_safe decides
            try:
                unjudged("reading a conversation", error, fail_safe=self._fail_safe)
            except SentinelError as trip:
                return trip
            return None
        finally:
            self._reentrancy.leave()

    def _judge(self, caller: Caller, body: Mapping[str, Any]) -> SentinelError | None:
        session, told = caller.session.id, self._told
        turn = last_turn(body, lambda one: told.get((session, one)))
        turn = [use for one in turn if (use := self._named(one)) and told.get((session, use.id)) is None]
        if not turn:
            return None
        length = len(history_of(body))
        at = self._tripped.get((session, turn[-1].id))
        trip = None
        if at is None or length <= at:  # longer: whoever heard of the trip has said something to it
            trip = self._looped(caller, turn)
        if trip is None:
            for use in turn:
                told.put((session, use.id), use.at)
        else:
            self._tripped.put((session, turn[-1].id), length)
        return trip

    def _looped(self, caller: Caller, turn: list[ToolUse]) -> SentinelError | None:
        """The trip for these calls, if they are a loop. What the tool gate judged is not judged again.

        Raises:
            SentinelSystemError: the ledger failed and fail_safe=True.
        """
        actions, fresh = self._actions, list[tuple[bytes, ToolUse]]()
        for use in turn:
            action = actions.at_gates.take(caller.session.id, use.tool)
            if action is None:
                fresh.append((_mark(use.id), use))
            elif not action.told:  # nobody else told what came of it
                actions.learn(action, use.result, error="tool" if use.failed else "", message=str(use.result))
        try:
            nudge = actions.loops.turns.judge(caller, fresh, self._late) if fresh else ""
        except SentinelLoopError as trip:
            return trip
        if nudge:
            actions.nudged(caller, fresh[-1][1].tool, nudge)
        return None

    def _late(self, caller: Caller, tool: str, told: SentinelLoopError | str) -> None:
        """A request that told of this had left: another process of the session had counted meanwhile."""
        if isinstance(told, SentinelLoopError):
            self._tripped_sessions.blow(caller.session.id, told)
        else:
            self._actions.nudged(caller, tool, told)

    def _named(self, use: ToolUse) -> ToolUse | None:
        if use.arguments is UNKNOWN_CALL:
            asked = self._asked.get(use.call_id)
            if asked is None:
                return None
            use = ToolUse(use.id, use.call_id, *asked, use.result, use.failed, use.at)
        if not use.tool.isascii():
            use = replace(use, tool=unbroken(use.tool))
        return use if use.tool else None


def _mark(call_id: str) -> bytes:
    return blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
