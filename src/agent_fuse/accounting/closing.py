"""The end of a call as one layer tells of it, kept until it is in the books."""

from dataclasses import dataclass
from typing import TypedDict

from agent_fuse.accounting.call_request import PendingCall
from agent_fuse.calls import Usage
from agent_fuse.sightings import Call, Outcome, Sighting


class Told(TypedDict, total=False):
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
    told: Told
    by: int = 0
    """The thread that is at it; 0 while it waits."""
