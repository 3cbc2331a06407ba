"""Verdicts on tool calls: when a loop is a loop, and the words for the model and for the person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent_fuse.errors import ConfigurationError, SentinelLoopError
from agent_fuse.foreign_text import name
from agent_fuse.loops.signatures import Signature


class Level(StrEnum):
    """What is to be done about a call."""

    OK = "ok"
    NUDGE = "nudge"
    """It may pass, and the model should be told `message`."""
    TRIP = "trip"


class LoopKind(StrEnum):
    """What kind of loop it is."""

    REPEAT = "repeat"
    CYCLE = "cycle"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPolicy:
    """When a loop is a loop.

    Raises:
        ConfigurationError: a threshold is below 1.
    """

    enabled: bool = True
    threshold: int = 5
    """Calls that pass; the next one trips."""
    per_tool: Mapping[str, int] = field(default_factory=dict[str, int])
    """Another threshold for a tool, by its name."""
    nudge_at: int | None = None
    """The count from which a call is nudged, never below 2; None is one before the last that passes."""
    hard_multiple: int = 20
    """`threshold` times this many identical calls pass, however new their results."""
    ignore_args: frozenset[str] = frozenset({"tool_call_id", "idempotency_key", "callbacks", "run_manager"})
    """Arguments that do not make a call another one; give it to `signature`."""
    allow: frozenset[str] = frozenset()
    """Tools that never trip."""

    def __post_init__(self) -> None:
        given = {"loop threshold": self.threshold, "loop hard_multiple": self.hard_multiple}
        given |= {f"loop threshold of tool {tool!r}": limit for tool, limit in self.per_tool.items()}
        for what, value in given.items():
            if value < 1:
                raise ConfigurationError(f"{what} is {value!r}; it must be a whole number, 1 or more")

    def limit(self, tool: str) -> int:
        """Calls of this tool that pass."""
        return self.per_tool.get(tool, self.threshold)

    def nudges(self, count: int, limit: int) -> bool:
        """Whether the `count`th call is one to warn about."""
        return count >= max(limit - 1 if self.nudge_at is None else self.nudge_at, 2)

    def is_far(self, tool: str, level: int, total: int) -> bool:
        """Whether a call of this tool that comes to these counts at most can only pass, without a word."""
        limit = self.limit(tool)
        return not self.nudges(level, limit) and level <= limit and total <= limit * self.hard_multiple


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about one call, and why."""

    level: Level = Level.OK
    kind: LoopKind | None = None
    count: int = 0
    """Times asked for with nothing new; the round of a cycle; the attempt after errors; this one included."""
    pattern: str = ""
    """Readable signature of the call, or the tools of a cycle: `edit → test`."""
    message: str = ""
    """For a nudge, words for the model; for a trip, one line for a person. No arguments."""


PASS = Verdict()


def nudge_of(verdict: Verdict, action: Signature, *, session: str) -> str:
    """What to tell the model of a verdict, or "".

    Raises:
        SentinelLoopError: it goes round in a loop.
    """
    if verdict.level is Level.TRIP:
        raise SentinelLoopError(
            verdict.message,
            tool=action.tool,
            call_count=verdict.count,
            pattern=verdict.pattern,
            kind=str(verdict.kind),
            session=session,
        )
    return verdict.message if verdict.level is Level.NUDGE else ""


def judge(policy: LoopPolicy, action: Signature, *, rounds: int, stale: int, total: int, errors: int) -> Verdict:
    """The verdict on a call, by its counts, this time included.

    Args:
        policy: when a loop is a loop.
        action: the call.
        rounds: which round of a cycle it belongs to, 0 for none.
        stale: how often it was asked for since anything new.
        total: how often it was asked for in all.
        errors: one more than the same errors in a row of this tool before it, 0 for none.
    """
    limit = policy.limit(action.tool)
    most = limit * policy.hard_multiple
    tool = name(action.tool)
    counts = ((LoopKind.CYCLE, rounds), (LoopKind.REPEAT, stale), (LoopKind.ERROR, errors))
    for kind, count in counts:
        if count > limit:
            return Verdict(Level.TRIP, kind, count, action.readable, _TRIPPED[kind].format(tool, count, limit))
    if total > most:
        message = _TRIPPED_HARD.format(tool, total, most, limit)
        return Verdict(Level.TRIP, LoopKind.REPEAT, total, action.readable, message)
    for kind, count in counts:
        if policy.nudges(count, limit):
            return Verdict(Level.NUDGE, kind, count, action.readable, _NUDGED[kind].format(tool, count, limit))
    return PASS


_TRIPPED = {
    LoopKind.REPEAT: "loop: {0} refused, asked for {1} times with the same arguments and nothing new (limit {2}); "
    "change what the agent does, or give {0} a higher threshold",
    LoopKind.CYCLE: "loop: {0} refused, the same cycle of calls goes into round {1} with nothing new (limit {2}); "
    "change what the agent does, or give {0} a higher threshold",
    LoopKind.ERROR: "loop: {0} refused, attempt {1} after the same error each time (limit {2}); "
    "mend what fails, or give {0} a higher threshold",
}
_TRIPPED_HARD = (
    "loop: {0} refused, asked for {1} times with the same arguments (limit {2}, were its results ever so new); "
    "allow {0}, or give it a higher threshold than {3}"
)
_NUDGED = {
    LoopKind.REPEAT: "You have now called `{0}` {1} times with the same arguments, and nothing new has come of it. "
    "The same call will be stopped soon. Use what you already have, change the arguments, or say what is in your way.",
    LoopKind.CYCLE: "You are going round in a circle: the same few calls, `{0}` among them, now in round {1} with "
    "nothing new. The circle will be stopped soon. Try another way, or say what is in your way.",
    LoopKind.ERROR: "`{0}` has failed with the same error each time, and this is attempt {1}. It will be stopped soon. "
    "The arguments do not seem to be the cause: look at the error itself, or say what is in your way.",
}
