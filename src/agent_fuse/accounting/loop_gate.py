"""The loop rule at work: a session's tool calls are remembered in the ledger, so that its processes share them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from agent_fuse.accounting.booking import Accounting
from agent_fuse.conversation import ToolUse
from agent_fuse.ledgers.base import NoteChange
from agent_fuse.limits import Caller
from agent_fuse.loops import (
    Level,
    LoopPolicy,
    LoopState,
    SeenCall,
    Signature,
    ToolOutcome,
    Verdict,
    error_outcome,
    gated,
    nudge_of,
    observe_call,
    observe_result,
    result_outcome,
    signature,
    state_note,
)
from agent_fuse.settings import Settings

if TYPE_CHECKING:
    from agent_fuse.accounting.loop_turns import LoopTurns

_KEY_NOTE = "loops/key"


@dataclass(slots=True, eq=False)
class LoopCheck:
    """One tool call before the loop rule: `note` asks it, in a ledger's transaction, and `verdict` is what it said."""

    signature: Signature
    caller: Caller
    policy: LoopPolicy
    verdict: Verdict | None = None

    @property
    def note(self) -> NoteChange:
        """The session's memory of tool calls, with this one; one that trips is not to be counted."""
        return NoteChange(state_note(self.caller.session.id), self._observe)

    def nudge(self) -> str:
        """What to tell of it, or "".

        Raises:
            SentinelLoopError: it goes round in a loop.
        """
        return nudge_of(self.verdict, self.signature, session=self.caller.session.id) if self.verdict else ""

    def _observe(self, note: bytes | None) -> tuple[bytes | None, bool]:
        state, self.verdict = observe_call(LoopState.from_bytes(note), self.signature, self.policy)
        counts = self.verdict.level is not Level.TRIP
        return (gated(state, self.signature) if counts else state).to_bytes(), counts


class LoopGate:
    """Judges tool calls by the loop rule. Arguments and results are stored as keyed hashes only."""

    def __init__(self, settings: Settings, accounting: Accounting) -> None:
        self._accounting = accounting
        self._key: bytes | None = None
        self.policy = LoopPolicy(
            enabled=settings.loop_detection_enabled,
            threshold=settings.loop_threshold,
            per_tool=settings.loop_tool_thresholds,
            ignore_args=LoopPolicy().ignore_args | frozenset(settings.loop_ignore_args),
            allow=frozenset(settings.loop_allow),
        )

    @cached_property
    def turns(self) -> "LoopTurns":
        """Where turns of conversations are judged; there once a conversation told of one."""
        from agent_fuse.accounting.loop_turns import LoopTurns  # noqa: PLC0415  not all agents call tools

        return LoopTurns(self._accounting, self.policy, self._told, self.key)

    def matters(self, tool: str) -> bool:
        """Whether calls of this tool are judged."""
        return self.policy.enabled and tool not in self.policy.allow

    def check(self, caller: Caller, tool: str, arguments: object) -> LoopCheck | None:
        """A tool is asked for with these arguments: what is to be asked of the rule; None where loops do not matter.

        Raises:
            SentinelSystemError: the ledger failed.
        """
        if not self.matters(tool):
            return None
        if "turns" in self.__dict__:
            self.turns.meet(caller)
        doing = signature(tool, arguments, ignore=self.policy.ignore_args, key=self.key())
        return LoopCheck(doing, caller, self.policy)

    def ask(self, check: LoopCheck) -> None:
        """Ask the rule alone, for a call that is counted at another time.

        Raises:
            SentinelSystemError: the ledger failed.
        """
        ledger, now, note = self._accounting.ledger, self._accounting.clock(), check.note
        self._accounting.retry.ask("loop check", lambda: ledger.update_note(note.key, note.change, now=now))

    def outcome(self, result: object, *, error: str, message: str) -> ToolOutcome:
        """What a tool gave, as a keyed hash: its error where there is one, else its result."""
        key = self._key or b""
        return error_outcome(error, message, key=key) if error else result_outcome(result, key=key)

    def learn(self, caller: Caller, doing: Signature, outcome: ToolOutcome) -> None:
        """Remember what came of a tool call.

        Raises:
            LedgerError: the ledger cannot take it now.
        """

        def change(note: bytes | None) -> tuple[bytes | None, None]:
            return observe_result(LoopState.from_bytes(note), doing, outcome).to_bytes(), None

        self._accounting.ledger.update_note(state_note(caller.session.id), change, now=self._accounting.clock())
        if "turns" in self.__dict__:
            self.turns.forget(caller)

    def _told(self, uses: Sequence[tuple[bytes, ToolUse]]) -> list[SeenCall]:
        """Calls that a conversation tells of, by their marks, as the rule wants them; less those that do not matter.

        Raises:
            SentinelSystemError: the ledger failed.
        """
        return [
            SeenCall(
                mark,
                signature(use.tool, use.arguments, ignore=self.policy.ignore_args, key=self.key()),
                self.outcome(
                    use.result, error="tool" if use.failed else "", message=str(use.result) if use.failed else ""
                ),
            )
            for mark, use in uses
            if self.matters(use.tool)
        ]

    def key(self) -> bytes:
        """The installation's secret, which digests are keyed with. Raises SentinelSystemError: the ledger failed."""
        if self._key is None:
            fresh = os.urandom(16)
            ledger, now = self._accounting.ledger, self._accounting.clock()
            self._key = self._accounting.retry.ask(
                "read", lambda: ledger.update_note(_KEY_NOTE, lambda note: (note or fresh, note or fresh), now=now)
            )
        return self._key
