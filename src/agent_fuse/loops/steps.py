"""One turn of an agent before the loop rule: its calls were asked for at once, so they are one step (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent_fuse.loops.rule import LoopState, gate_saw, knows, observe_call, observe_result, seen, told_of
from agent_fuse.loops.signatures import Signature, ToolOutcome
from agent_fuse.loops.verdicts import PASS, Level, LoopPolicy, Verdict


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One call of the turn, with what came of it."""

    id: bytes
    """Keyed hash, 8 bytes, of the call's own id: it counts once, whoever tells of it again."""
    action: Signature
    outcome: ToolOutcome | None


def observe_turn(
    state: LoopState, turn: Sequence[SeenCall], policy: LoopPolicy
) -> tuple[LoopState, Verdict, Signature | None]:
    """The verdict on a turn, and the call that it is about. A turn that trips is asked about again when told again."""
    state, fresh = _fresh(state, turn)
    worst: tuple[Verdict, Signature | None] = (PASS, None)
    after, done, tools = state, list[SeenCall](), set[bytes]()
    for told in fresh:
        if any(told.action.near == other.action.near for other in done):
            continue
        # of a tool that is asked several things at once, only the first goes on a row of its searches
        action = replace(told.action, words=0) if told.action.tool_digest in tools else told.action
        tools.add(action.tool_digest)
        done.append(replace(told, action=action))
        after, verdict = observe_call(after, action, policy)
        if verdict.level is Level.TRIP:
            return after, verdict, told.action
        if verdict.level is Level.NUDGE and worst[1] is None:
            worst = verdict, told.action
    failed = set[bytes]()
    for told in done:
        if told.outcome is not None and told.outcome.failed:
            if told.action.tool_digest in failed:
                continue
            failed.add(told.action.tool_digest)
        after = observe_result(after, told.action, told.outcome)
    for told in fresh:
        after = seen(after, told.id)
    return after, worst[0], worst[1]


def _fresh(state: LoopState, turn: Sequence[SeenCall]) -> tuple[LoopState, list[SeenCall]]:
    """The calls of a turn that neither a conversation nor a tool gate counted before."""
    unknown = [told for told in turn if not knows(state, told.id)]
    fresh = [told for told in unknown if not gate_saw(state, told.action)]
    for told in unknown:
        if told not in fresh:
            state = told_of(state, told.action, told.id)
    return state, fresh
