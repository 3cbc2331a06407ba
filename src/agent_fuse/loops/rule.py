"""Repeated, cyclic and fruitless tool calls: the rule that tells a loop from work (pure, bounded).

The seed rule: with `threshold` 5, five identical calls of a session pass and the sixth trips. Results bear on it:

- A success is *news* when the call's last four results do not contain it. A call whose own result changed, or that is
  repeated after news from another action (a file was edited, a job moved on), starts its count anew: polling with
  progress and re-running the tests after an edit are work. The same call with ever new results still trips past
  `threshold * hard_multiple`, lest a result that holds a counter or a random number pass for progress for ever.
- A cycle of 2 to 4 different actions trips when its (threshold + 1)th round begins, if no round after the first had
  news.
- A question that was answered the same `threshold` times in a row trips at the next time of asking, whatever other
  questions or thoughts lie between: only a change (an action that was carried out) makes it worth asking again. The
  question is the same where its arguments differ by white space, a clock time, an id or a counter only (`near`); and so
  is a search in like words. A bare acknowledgement is no answer: `ok` for another object is work (`weight`).
- Thinking is neither news nor a change, whatever it says (`effects`).
- The same error of one tool, `threshold` times in a row whatever the arguments, trips the next call of that tool. That
  trip clears the tool's errors, so that a session which is taken up again may try.

Without results (nobody reported them) nothing is news and the seed rule holds as it stands.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from struct import Struct
from typing import Self

from agent_fuse.loops.effects import Effect
from agent_fuse.loops.near import alike
from agent_fuse.loops.signatures import DIGEST_BYTES, OUTCOME_BYTES, TOOL_BYTES, Signature, ToolOutcome
from agent_fuse.loops.tables import PackedTable
from agent_fuse.loops.verdicts import PASS, Level, LoopKind, LoopPolicy, Verdict, judge
from agent_fuse.loops.weight import ResultWorth

RECENT = 64
"""Calls remembered in order, for cycles."""

LONGEST_CYCLE = 4

_MOST = 0xFFFF
_VERSION = 3
_HEAD = Struct(">BIIHHHH")
_CALLS = PackedTable(Struct(f">{DIGEST_BYTES}sI"), RECENT)
"""digest, news when it was called; oldest first."""
_ACTIONS = PackedTable(Struct(f">{DIGEST_BYTES}sHHI{4 * OUTCOME_BYTES}s"), 96)
"""digest, calls since anything new, calls in all, news when last called, its last four results."""
_QUESTIONS = PackedTable(Struct(f">{DIGEST_BYTES}s{OUTCOME_BYTES}sHIQ"), 48)
"""near digest (of a search in words: the tool, what is asked beside), answer, times in a row, changes then, words."""
_SEEN = PackedTable(Struct(">8s"), 32)
"""ids of calls that a conversation told of, and marks of those that a tool gate saw."""
_TOOLS = PackedTable(Struct(f">{TOOL_BYTES}sH{OUTCOME_BYTES}s36s"), 32)
"""digest, errors in a row, the error, the tool's name."""
_NONE = bytes(OUTCOME_BYTES)


@dataclass(frozen=True, slots=True)
class LoopState:
    """What one session remembers of its tool calls, for a ledger's note: digests, counts, names; at most 8.7 kB."""

    news: int = 0
    """How many results were news so far."""
    changes: int = 0
    """How many actions changed something so far."""
    calls: bytes = b""
    actions: bytes = b""
    questions: bytes = b""
    seen: bytes = b""
    tools: bytes = b""

    def to_bytes(self) -> bytes:
        """The state as a note."""
        counts = (table.count(part) for table, part in zip(_TABLES, self._parts(), strict=True))
        return _HEAD.pack(_VERSION, self.news, self.changes, *counts) + b"".join((*self._parts(), self.tools))

    def _parts(self) -> tuple[bytes, bytes, bytes, bytes]:
        return self.calls, self.actions, self.questions, self.seen

    @classmethod
    def from_bytes(cls, note: bytes | None) -> Self:
        """The state from a note; a fresh one from None, or from a note of another version (counting begins anew)."""
        if not note or len(note) < _HEAD.size or note[0] != _VERSION:
            return cls()
        _, news, changes, *counts = _HEAD.unpack_from(note)
        ends = list(accumulate((n * table.width for n, table in zip(counts, _TABLES, strict=True)), initial=_HEAD.size))
        tools = note[ends[-1] :]
        if len(note) < ends[-1] or len(tools) % _TOOLS.width:
            return cls()
        calls, actions, questions, seen = (note[start:end] for start, end in pairwise(ends))
        return cls(news, changes, calls, actions, questions, seen, tools)


_TABLES = (_CALLS, _ACTIONS, _QUESTIONS, _SEEN)


def state_note(session: str) -> str:
    """The key of the note in which a session's tool calls are remembered."""
    return f"loops/{session}/" if session.rstrip("/") == "key" else f"loops/{session}"  # `loops/key` is taken


def stale_actions(state: LoopState) -> Iterator[tuple[str, int]]:
    """What was asked for with nothing new since: the tool's name, and how often; one line for each set of arguments."""
    for at in range(0, len(state.actions), _ACTIONS.width):
        digest, stale, _, news, _ = _ACTIONS.record.unpack_from(state.actions, at)
        tool = _TOOLS.get(state.tools, digest[:TOOL_BYTES]) if news == state.news else None
        if tool is not None:
            yield _named(tool[3]), stale


LOW = 1, 8
"""The counts that `levels` leaves out as too low to matter."""


def levels(state: LoopState) -> dict[bytes, tuple[int, int]]:
    """By a tool's digest: the highest count that its next call can add one to, and the most often that one was called.

    No count of a verdict grows by more than one a turn, so what lies far below a threshold cannot reach it in the next.
    """
    low, seldom = LOW
    rows = _ACTIONS.record.iter_unpack(state.actions)
    found = [
        (digest, stale if news == state.news else 0, total)
        for digest, stale, total, news, _ in rows
        if (stale > low and news == state.news) or total > seldom
    ]
    asked = _QUESTIONS.record.iter_unpack(state.questions)
    found += [(key, times, 0) for key, _, times, changes, _ in asked if times > low and changes == state.changes]
    found += [(digest, errors, 0) for digest, errors, _, _ in _TOOLS.record.iter_unpack(state.tools) if errors > low]
    called = list(_CALLS.record.iter_unpack(state.calls))
    again = [(digest, times) for digest, times in Counter([digest for digest, _ in called]).items() if times > low]
    for digest, times in again:  # rounds of a cycle
        found.append((digest, min(times, 1 + sum(one == digest and news == state.news for one, news in called)), 0))
    most: dict[bytes, tuple[int, int]] = {}
    for digest, level, total in found:
        known = most.get(digest[:TOOL_BYTES], LOW)
        most[digest[:TOOL_BYTES]] = max(level, known[0]), max(total, known[1])
    return most


def knows(state: LoopState, id: bytes) -> bool:
    """Whether a conversation told of this call before."""
    return _SEEN.get(state.seen, id) is not None


def seen(state: LoopState, id: bytes) -> LoopState:
    """A conversation told of this call."""
    return replace(state, seen=_SEEN.put(state.seen, id))


def gated(state: LoopState, action: Signature) -> LoopState:
    """A tool gate saw this call: a conversation that goes on in another process will tell of it as well."""
    return seen(state, action.digest[TOOL_BYTES:])


def gate_saw(state: LoopState, action: Signature) -> bool:
    """Whether a tool gate saw this call, and no conversation was taken for telling of it."""
    return knows(state, action.digest[TOOL_BYTES:])


def told_of(state: LoopState, action: Signature, id: bytes) -> LoopState:
    """A conversation told of this call, which a tool gate had seen."""
    return seen(replace(state, seen=_SEEN.drop(state.seen, action.digest[TOOL_BYTES:])), id)


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
    asked = _asked(state, action)
    verdict = judge(policy, action, rounds=rounds, stale=max(stale, asked), total=total, errors=errors)
    tools = state.tools
    if tool is None or (verdict.level is Level.TRIP and verdict.kind is LoopKind.ERROR):
        tools = _TOOLS.put(tools, action.tool_digest, 0, _NONE, _short(action.tool))
    if verdict.kind is LoopKind.CYCLE:
        verdict = replace(verdict, pattern=_round(state, period))
    calls = state.calls if verdict.level is Level.TRIP else _CALLS.append(state.calls, action.digest, state.news)
    actions = _ACTIONS.put(state.actions, action.digest, stale, total, state.news, results)
    return LoopState(state.news, state.changes, calls, actions, state.questions, state.seen, tools), verdict


def observe_result(state: LoopState, action: Signature, outcome: ToolOutcome | None) -> LoopState:
    """After a tool ran: what the session remembers then. None is an outcome that nobody knows, and changes nothing."""
    if outcome is None:
        return state
    news, actions, tools = state.news, state.actions, state.tools
    _, stale, total, called, results = _ACTIONS.get(actions, action.digest) or (b"", 0, 0, news, b"")
    known = [results[at : at + OUTCOME_BYTES] for at in range(0, len(results), OUTCOME_BYTES)]
    questions, fruitless = _answered(state, action, outcome)
    changes = state.changes
    if outcome.digest not in known:
        if known and known[0] != _NONE:
            stale = min(stale, 1)
        if not (outcome.failed or fruitless or action.effect is Effect.IDLE):
            news = (news + 1) & 0xFFFFFFFF
            called = news if called == state.news else called
            changes = (changes + _changed(action, outcome)) & 0xFFFFFFFF
        actions = _ACTIONS.put(actions, action.digest, stale, total, called, outcome.digest + results[:-OUTCOME_BYTES])
    _, errors, error, _ = _TOOLS.get(tools, action.tool_digest) or (b"", 0, _NONE, b"")
    if outcome.failed:
        errors = min(errors + 1, _MOST) if error == outcome.digest else 1
        tools = _TOOLS.put(tools, action.tool_digest, errors, outcome.digest, _short(action.tool))
    elif errors:
        tools = _TOOLS.put(tools, action.tool_digest, 0, _NONE, _short(action.tool))
    return LoopState(news, changes, state.calls, actions, questions, state.seen, tools)


def _keys(action: Signature) -> tuple[tuple[bytes, int], ...]:
    """Under what a question is remembered: as it was asked, and by its words."""
    if action.effect in {Effect.ACTS, Effect.IDLE}:
        return ()
    asked = (action.near or action.digest, 0)
    return (asked, (action.tool_digest + action.beside, action.words)) if action.words else (asked,)


def _asked(state: LoopState, action: Signature) -> int:
    """Which time the question is asked since its answer or anything else changed, 0 for the first."""
    most = 0
    for key, words in _keys(action):
        row = _QUESTIONS.get(state.questions, key)
        if row and row[3] == state.changes and (not words or alike(words, row[4])):
            most = max(most, row[2] + 1)
    return most


def _answered(state: LoopState, action: Signature, outcome: ToolOutcome) -> tuple[bytes, bool]:
    """The questions with this answer among them, and whether it says again what was answered before."""
    questions, again = state.questions, False
    if outcome.failed or outcome.weight is ResultWorth.DONE:
        return questions, again
    for key, words in _keys(action):
        _, answer, times, changes, before = _QUESTIONS.get(questions, key) or (b"", _NONE, 0, 0, 0)
        same = answer == outcome.digest and changes == state.changes and (not words or alike(words, before))
        as_asked = bool(words) and again  # that is counted under the question itself
        again = again or same
        times = min(times + (not as_asked), _MOST) if same else 1
        questions = _QUESTIONS.put(questions, key, outcome.digest, times, state.changes, words)
    return questions, again


def _changed(action: Signature, outcome: ToolOutcome) -> bool:
    """Whether an action that brought news changed something, rather than told something."""
    acted = action.effect is Effect.UNKNOWN and outcome.weight in {ResultWorth.DONE, ResultWorth.BLANK}
    return acted or action.effect is Effect.ACTS


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
        names.append(_named(tool[3]) if tool else "?")
    return " → ".join(names)


def _named(tool: bytes) -> str:
    return tool.rstrip(b"\0").decode(errors="ignore")


def _short(tool: str) -> bytes:
    return tool.encode(errors="replace")[:36]
