"""What a dialect reads off a span: a Spot when it starts, an Ending when it has ended, and how a call came out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, cast

from agent_fuse import foreign_text
from agent_fuse.calls import Usage
from agent_fuse.charged import FailureCost, of_error, of_words
from agent_fuse.charging.words import bare
from agent_fuse.sightings import Outcome


class SpanRole(Enum):
    """What a span stands for."""

    MODEL = auto()
    TOOL = auto()
    AGENT = auto()
    """It costs nothing itself; calls inside take its agent and session."""


class SpanLike(Protocol):
    """What a dialect reads of a span; both live and ended SDK spans have it."""

    @property
    def name(self) -> str:
        """The span's name."""
        ...

    @property
    def attributes(self) -> Mapping[str, Any] | None:
        """What it was told so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What a span says when it starts."""

    kind: SpanRole
    operation: str = ""
    provider: str = ""
    model: str = ""
    max_tokens: int | None = None
    prompt: str | None = None
    body: Mapping[str, Any] | None = None
    session: str = ""
    agent: str = ""
    tool: str = ""
    arguments: object = None
    late: bool = False
    """The span was made after the work (it tells usage already, or its name says so): account, never raise."""
    gate_follows: bool = False
    """The call goes through the openai or anthropic SDK, whose request gate is more exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a span says when it has ended."""

    outcome: Outcome = Outcome.DONE
    unsure: bool = False
    """Its error tells nothing of a request: what other layers saw of the call says more."""
    usage: Usage | None = None
    model: str = ""
    answered: str = ""
    """The model that answered, where it is told beside the one that was asked for."""
    provider: str = ""
    response_id: str = ""
    tool: str = ""
    arguments: object = None
    result: object = None
    error: str = ""
    """A class name, or an HTTP status."""
    message: str = ""


_STATUS_KEYS = ("http.response.status_code", "http.status_code", "error.code")

_UNNAMED = frozenset({"LangGraph"})
"""Names that instrumentations give to agents that have none."""


def tells_workflow(attributes: Mapping[str, Any], name: str) -> bool:
    """Whether what a span calls an agent is none: a workflow, or a graph without a name."""
    return name in _UNNAMED or attributes.get("gen_ai.operation.name") == "invoke_workflow"


def status_of(attributes: Mapping[str, Any]) -> int | None:
    """The HTTP status that the span of a call tells, by the HTTP conventions or (LiteLLM) as its error's code."""
    for key in _STATUS_KEYS:
        found = attributes.get(key)
        if isinstance(found, str) and found.isdigit():
            found = int(found)
        if type(found) is int:
            return found
    return None


def outcome_of(usage: Usage | None, *, failed: bool, error: str, message: str = "", response_id: str = "") -> Outcome:
    """How a call came out, by what its span says: `failed` is its status, `error` a class name or HTTP status."""
    charge = charge_of(usage, failed=failed, error=error, message=message, response_id=response_id)
    return charge.outcome if charge is not None else Outcome.DONE


def charge_of(
    usage: Usage | None,
    *,
    failed: bool,
    error: str,
    also: str = "",
    message: str = "",
    response_id: str = "",
    status: int | None = None,
    trace: str = "",
    raised: BaseException | None = None,
) -> FailureCost | None:
    """What a call may have cost that failed, by what its span says; None where it did not fail, or told its usage.

    Args:
        also: the class of its exception event, where that is not `error`.
        status: the HTTP status of the answer.
        trace: the traceback that its exception event prints.
        raised: the error itself, where the span ends while it is handled: it tells the most.
    """
    stopped = raised is not None and not isinstance(raised, Exception)
    if usage is not None or not (failed or error or stopped):
        return None
    if raised is not None and stopped and not error:
        return of_error(raised)  # no instrumentation writes down that whoever waited was stopped
    names = {bare(error), bare(also)}
    if raised is not None and type(raised).__name__ in names:
        found = of_error(raised, answered=bool(response_id))
        if found is not FailureCost.UNKNOWN:
            return found
    return of_words(error, also=also, message=message, status=status, trace=trace, answered=bool(response_id))


def json_object(text: str) -> Mapping[str, Any] | None:
    """A JSON object; None when the text is none."""
    try:
        found = foreign_text.read_json(text)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else None
