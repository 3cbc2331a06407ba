"""What a gate asks of the fuse, what that knows of calls and tool actions under way, and what it tells listeners."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, TypedDict, cast

from agent_fuse.calls import Entry, Usage
from agent_fuse.errors import SentinelError
from agent_fuse.keys import first, spellings, told
from agent_fuse.ledgers.base import LAST, Amounts, Place
from agent_fuse.limits import Caller, Demand, Limit, demand
from agent_fuse.loops import Signature
from agent_fuse.quotes import Quote
from agent_fuse.sightings import Call, Layer, Outcome, Sighting
from agent_fuse.told_later import Clip
from agent_fuse.wire import semantic_operation

UNTOLD = object()
"""Stands for arguments or a result that nobody told."""

CLAMPED_FROM, CLAMPED_TO = "agent_fuse.clamped_from", "agent_fuse.clamped_to"
DOWNGRADED_FROM, TOLD = "agent_fuse.downgraded_from", "agent_fuse.told"
"""Names of what a span is told."""


class Stage(Enum):
    """How far a call is when a layer comes to see it, and so what its gate does."""

    READY = auto()
    """It is known and about to be made: quote it, take its hold."""
    UNNAMED = auto()
    """Its model is told before the request leaves: refuse it when nothing is left, hold when it can be priced."""
    FOLLOWED = auto()
    """A gate that knows more of it is sure to follow: leave the call to that one."""
    OVER = auto()
    """The work is done: account, never refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """How what leaves is to differ from what was asked for."""

    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    """Of the request's body, as they are to be."""
    marks: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    """What its span is told."""
    notes: tuple[str, ...] = ()
    """What the journal is told."""

    def and_also(self, fields: Mapping[str, object], marks: Mapping[str, str | int], *notes: str) -> "Altered":
        """Altered further."""
        return Altered(fields={**self.fields, **fields}, marks={**self.marks, **marks}, notes=(*self.notes, *notes))


AS_ASKED = Altered()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """What one layer asks of the fuse when it starts to see a call."""

    layer: Layer
    source: str
    caller: Caller
    stage: Stage = Stage.READY
    operation: str = "chat"
    provider: str = ""
    model: str = ""
    max_tokens: int | None = None
    prompt: str | None = None
    body: Mapping[str, Any] | None = None
    body_bytes: int | None = None
    estimate: tuple[int | None, int | None] | None = None
    """Input and output tokens, where a caller by hand says so."""
    trace_id: str = ""
    span_id: str = ""
    started_at: float | None = None
    """When the call began (seconds, UTC epoch, real time), where its layer saw it later than that; None: now."""
    alterable: bool = False
    """What leaves can still be altered."""
    renamable: bool = False
    """So can the model that is asked for."""
    loop: SentinelError | None = None
    """The trip that it is to be refused with: its own conversation tells of a loop."""
    requests_seen: bool = False
    """A gate sees every request that this call makes, though this layer holds for it."""
    hoped: bool = False
    """It is left to a gate that may follow, and may pass none."""

    @property
    def followed(self) -> bool:
        """Whether a gate sees every request that this call makes."""
        return self.requests_seen or (self.stage is Stage.FOLLOWED and not self.hoped)

    def fact(self, key: str) -> str:
        """What the call itself says of a limit's key; empty where it says nothing."""
        match key:
            case "model":
                return self.model
            case "provider":
                return self.provider
            case "operation":
                return semantic_operation(self.operation)
            case "user.id" if self.body is not None:
                return _user(self.body)
            case _:
                return ""


def _user(body: Mapping[str, Any]) -> str:
    """The user that a request names: OpenAI's `user` and `safety_identifier`, Anthropic's `metadata.user_id`."""
    notes: object = body.get("metadata")
    noted = told(spellings("user.id"), cast("Mapping[str, object]", notes)) if isinstance(notes, Mapping) else ""
    return first((body.get("user"), body.get("safety_identifier"), noted))


@dataclass(slots=True, eq=False)
class PendingCall:
    """What the fuse knows of one call's money."""

    id: str
    request: CallRequest
    started_at: float
    """Seconds, UTC epoch, by the fuse's clock."""
    due: Demand
    quote: Quote | None = None
    held: bool = False
    place: Place | None = LAST
    """Where it stands in line, until it is held."""
    altered: Altered = AS_ASKED
    foreseen: Altered = AS_ASKED
    """How it would have been altered, in observe mode, which alters nothing."""
    cut: bool = False
    """It was cut off while it was answered."""
    observed: bool = False
    """It goes in observe mode alone, which is written down."""
    later: str = ""
    """The provider's id of the work that it has begun and that an answer will tell of; empty where there is none."""
    clip: Clip | None = None
    """What its first answer told of the video that it is to make."""

    def may_be_held(self) -> None:
        """The ledger may have taken its hold, though it could not tell of it: it is given back unless the call goes."""
        self.held = True

    def asked(
        self, request: CallRequest, due: Demand | None, limits: Sequence[Limit], clock: Callable[[], float]
    ) -> CallRequest | None:
        """What is asked for it now that a layer asks this; None where a layer that knows more holds already.

        `due` is what that layer's request is due, where it was reckoned just now.
        """
        if self.held and (
            request.stage is Stage.FOLLOWED
            or request.layer is Layer.WIRE
            or (request.body is None and self.request.body is not None)
        ):
            return None
        if request.layer is Layer.WIRE and self.request is not request:
            # What is around it knows more of the call than a URL does.
            request, due = replace(self.request, stage=Stage.READY), None
        if request is not self.request:
            if not self.held:
                self.due = due or demand(limits, request.caller, request.fact, now=clock())
            elif self.due.vague:  # the hold moves to the accounts of the keys that are told now
                keys = {**request.caller.keys, **self.request.caller.keys}
                self.due = demand(limits, replace(self.request.caller, keys=keys), request.fact, now=clock())
        self.request = request
        return request


class ClosingTold(TypedDict, total=False):
    """What a layer may tell of the end of a call."""

    outcome: Outcome
    unsure: bool
    """Its error tells nothing of a request; what other layers saw of the call says whether there was one."""
    usage: Usage | None
    """As reported; None when it was not."""
    estimate: Usage | None
    """As counted, fields unknown left None; the quote fills them."""
    model: str
    """That answered, or was asked for."""
    answered: str
    """The model that answered, where it is told beside the other."""
    response_id: str


@dataclass(slots=True, eq=False)
class Closing:
    """What is needed to close a call, and to close it once more where that is interrupted."""

    seen: Sighting[PendingCall]
    first: Call[PendingCall]
    """The call that it was a sighting of when it ended."""
    ended_at: float | None
    provider: str
    told: ClosingTold
    by: int = 0
    """The thread that is at it; 0 while it waits."""


@dataclass(slots=True, eq=False)
class Action:
    """One tool action under way."""

    entry: Entry
    caller: Caller
    due: Demand
    signature: Signature | None = None
    """None until its arguments are known."""
    sources: set[str] = field(default_factory=set[str])
    """The layers that see it: scopes of tool spans, the LangChain handler."""
    over: bool = False
    """Refused, or seen to end: nothing joins it any more."""
    told: bool = False
    """Its result or error is known."""
    held: bool = False
    """It is held against a limit on tool calls."""
    booked: bool = False
    priced: bool = False
    """It costs money: held when it begins, booked when it ends."""
    arguments: object = UNTOLD
    """Kept where its price depends on them."""
    place: Place | None = LAST
    """Where it stands in line, until it is held."""
    observed: bool = False
    """It goes in observe mode alone: nothing is asked of limits any more."""

    def may_be_held(self) -> None:
        """The ledger may have taken its hold, though it could not tell of it: it is given back unless the tool runs."""
        self.held = True

    @property
    def amounts(self) -> Amounts:
        """What it counts."""
        return Amounts(usd=self.entry.cost, tool_calls=1)


@dataclass(frozen=True, slots=True)
class Event:
    """What listeners are told: a call was booked or refused, or a tool is about to be stuck."""

    entry: Entry
    due: Demand
    trip: SentinelError | None = None
    nudge: str = ""
    """A loop is near: a message fit to hand to the model."""
