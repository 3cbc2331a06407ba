"""Repeated, cyclic and fruitless tool calls: the rule that tells a loop from work (pure, bounded).

The seed rule: with `threshold` 5, five identical calls of a session pass and the sixth trips. Results bear on it:

- A success is *news* when the call's last four results do not contain it. A call whose own result changed, or that is
  repeated after news from another action (a file was edited, a job moved on), starts its count anew: polling with
  progress and re-running the tests after an edit are work. The same call with ever new results still trips past
  `threshold * hard_multiple`, lest a result that holds a counter or a random number pass for progress for ever.
- A cycle of 2 to 4 different actions trips when its (threshold + 1)th round begins, if no round after the first had
  news.
- The same error of one tool, `threshold` times in a row whatever the arguments, trips the next call of that tool. That
  trip clears the tool's errors, so that a session which is taken up again may try.

Without results (nobody reported them) nothing is news and the seed rule holds as it stands.
"""

from dataclasses import dataclass, replace
from struct import Struct
from typing import Self

from agent_fuse.loops.signatures import DIGEST_BYTES, OUTCOME_BYTES, TOOL_BYTES, Signature, ToolOutcome
from agent_fuse.loops.tables import Table
from agent_fuse.loops.verdicts import PASS, Level, LoopKind, LoopPolicy, Verdict, judge

RECENT = 64
"""Calls remembered in order, for cycles."""

LONGEST_CYCLE = 4

_MOST = 0xFFFF
_VERSION = 1
_HEAD = Struct(">BIHH")
_CALLS = Table(Struct(f">{DIGEST_BYTES}sI"), RECENT)
"""digest, news when it was called; oldest first."""
_ACTIONS = Table(Struct(f">{DIGEST_BYTES}sHHI{4 * OUTCOME_BYTES}s"), 96)
"""digest, calls since anything new, calls in all, news when last called, its last four results."""
_TOOLS = Table(Struct(f">{TOOL_BYTES}sH{OUTCOME_BYTES}s36s"), 32)
"""digest, errors in a row, the error, the tool's name."""
_NONE = bytes(OUTCOME_BYTES)


@dataclass(frozen=True, slots=True)
class LoopState:
    """What one session remembers of its tool calls, for a ledger's note: digests, counts, names; at most 6.8 kB."""

    news: int = 0
    """How many results were news so far."""
    calls: bytes = b""
    actions: bytes = b""
    tools: bytes = b""

    def to_bytes(self) -> bytes:
        """The state as a note."""
        head = _HEAD.pack(_VERSION, self.news, _CALLS.count(self.calls), _ACTIONS.count(self.actions))
        return head + self.calls + self.actions + self.tools

    @classmethod
    def from_bytes(cls, note: bytes | None) -> Self:
        """The state from a note; a fresh one from None, or from a note of another version (counting begins anew)."""
        if not note or len(note) < _HEAD.size or note[0] != _VERSION:
            return cls()
        _, news, calls, actions = _HEAD.unpack_from(note)
        first = _HEAD.size + calls * _CALLS.width
        second = first + actions * _ACTIONS.width
        tools = note[second:]
        if len(note) < second or len(tools) % _TOOLS.width:
            return cls()
        return cls(news, note[_HEAD.size : first], note[first:second], tools)


def observe_call(state: LoopState, action: Signature, policy: LoopPolicy) -> tuple[LoopState, Verdict]:
    """Before a tool runs: whether it may, and what the session remembers then. A tripped call counts as asked for."""
    if not policy.enabled or action.tool in policy.allow:
        return state, PASS
    limit = policy.limit(action.tool)
    stale, total, results = 0, 0, b""
    if record := _ACTIONS.get(state.actions, action.digest):
        _, stale, total, news, results = record
        stale = stale if news == state.news else 0
    stale, total = min(stale + 1, _MOST), min(total + 1, _MOST)
    period, rounds = _cycle(state, action.digest, limit)
    tool = _TOOLS.get(state.tools, action.tool_digest)
    errors = tool[1] + 1 if tool and tool[1] else 0
    verdict = judge(policy, action, rounds=rounds, stale=stale, total=total, errors=errors)
    tools = state.tools
    if tool is None or (verdict.level is Level.TRIP and verdict.kind is LoopKind.ERROR):
        tools = _TOOLS.put(tools, action.tool_digest, 0, _NONE, _short(action.tool))
    if verdict.kind is LoopKind.CYCLE:
        verdict = replace(verdict, pattern=_round(state, period))
    calls = state.calls if verdict.level is Level.TRIP else _CALLS.append(state.calls, action.digest, state.news)
    actions = _ACTIONS.put(state.actions, action.digest, stale, total, state.news, results)
    return LoopState(state.news, calls, actions, tools), verdict


def observe_result(state: LoopState, action: Signature, outcome: ToolOutcome | None) -> LoopState:
    """After a tool ran: what the session remembers then. None is an outcome that nobody knows, and changes nothing."""
    if outcome is None:
        return state
    news, actions, tools = state.news, state.actions, state.tools
    _, stale, total, called, results = _ACTIONS.get(actions, action.digest) or (b"", 0, 0, news, b"")
    known = [results[at : at + OUTCOME_BYTES] for at in range(0, len(results), OUTCOME_BYTES)]
    if outcome.digest not in known:
        if known and known[0] != _NONE:
            stale = min(stale, 1)
        if not outcome.failed:
            news = (news + 1) & 0xFFFFFFFF
            called = news if called == state.news else called
        actions = _ACTIONS.put(actions, action.digest, stale, total, called, outcome.digest + results[:-OUTCOME_BYTES])
    _, errors, error, _ = _TOOLS.get(tools, action.tool_digest) or (b"", 0, _NONE, b"")
    if outcome.failed:
        errors = min(errors + 1, _MOST) if error == outcome.digest else 1
        tools = _TOOLS.put(tools, action.tool_digest, errors, outcome.digest, _short(action.tool))
    elif errors:
        tools = _TOOLS.put(tools, action.tool_digest, 0, _NONE, _short(action.tool))
    return LoopState(news, state.calls, actions, tools)


def _cycle(state: LoopState, digest: bytes, limit: int) -> tuple[int, int]:
    """The cycle that this call goes on with: its period, and which of its rounds this is; (0, 0) below the third."""
    there = _CALLS.count(state.calls)
    for period in range(2, min(LONGEST_CYCLE, there) + 1):
        if limit == 1 or _CALLS.nth(state.calls, period)[0] != digest:
            continue
        same = 0
        for back in range(1, min(there - period, period * (limit - 1)) + 1):
            later, news = _CALLS.nth(state.calls, back)
            if news != state.news or later != _CALLS.nth(state.calls, back + period)[0]:
                break
            same += 1
        if same >= period and len({_CALLS.nth(state.calls, back)[0] for back in range(1, period + 1)}) > 1:
            return period, same // period + 2
    return 0, 0


def _round(state: LoopState, period: int) -> str:
    """One round of the cycle, for a person: the names of its tools, as far as they are remembered."""
    names: list[str] = []
    for back in range(period, 0, -1):
        tool = _TOOLS.get(state.tools, _CALLS.nth(state.calls, back)[0][:TOOL_BYTES])
        names.append(tool[3].rstrip(b"\0").decode(errors="ignore") if tool else "?")
    return " → ".join(names)


def _short(tool: str) -> bytes:
    return tool.encode(errors="replace")[:36]
