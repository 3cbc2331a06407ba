"""What is posted of a trip and of a warning: JSON for programs, and a `text` as Slack and its likes show it."""

from datetime import UTC, datetime

from agent_fuse.accounting.call_request import Event
from agent_fuse.alert import Alert, AlertKind
from agent_fuse.calls import RefusedBy, to_usd
from agent_fuse.errors import SentinelError
from agent_fuse.foreign_text import inline

SCHEMA = "agent-fuse/webhook/1"

Message = dict[str, object]

_MOST_OF_NAME = 1_000
"""Characters: receivers take messages of some tens of kilobytes, and whoever chooses names must not silence them."""


def of_trip(event: Event, trip: SentinelError) -> Message:
    """A call or a tool action was refused."""
    entry = event.entry
    by = entry.refused_by or RefusedBy()
    figures = (("cap", by.cap), ("spent", by.spent), ("held", by.held), ("requested", by.requested))
    return {
        **_headed("trip", trip.reason, trip.message, entry.at),
        "session": _name(entry.session),
        "agent": _name(entry.agent),
        "model": _name(entry.model),
        "tool": _name(entry.tool),
        "limit": by.limit,
        "per": by.per,
        "key": _name(by.value),
        "meter": by.meter,
        "advice": by.advice,
        **{name: _amount(by.meter, amount) if by.limit else None for name, amount in figures},
    }


def of_alert(alert: Alert, at: float) -> Message:
    """A limit passed a share of its cap, a tool is about to be stopped, or a call waits for an answer."""
    event = "pause" if alert.kind is AlertKind.PAUSED else "warning"
    known = bool(alert.budget_limit)
    return {
        **_headed(event, str(alert.kind), alert.message, at),
        "session": _name(alert.session),
        "agent": _name(alert.agent),
        "tool": _name(alert.tool),
        "limit": alert.limit,
        "meter": alert.meter,
        "share": alert.share or None,
        "cap": f"{alert.budget_limit:f}" if known else None,
        "spent": f"{alert.spent:f}" if known else None,
        "held": f"{alert.held:f}" if known else None,
    }


def text_of(message: str, more: int = 0, lost: int = 0) -> str:
    """A message as Slack shows it, where what is in it links and calls nobody.

    Args:
        more: refusals like it that were not posted each.
        lost: messages that there was no room for.
    """
    others = f" ({more:,} more like it)" if more else ""
    others += f" ({lost:,} messages before it were not posted)" if lost else ""
    # Slack reads these three and nothing else: <!channel> would call everybody, <https://…|name> would link.
    shown = inline(message).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"AgentFuse: {shown}{others}"


def _headed(event: str, kind: str, message: str, at: float) -> Message:
    moment = datetime.fromtimestamp(at, UTC)
    return {
        "text": text_of(message),
        "mrkdwn": False,
        "schema": SCHEMA,
        "event": event,
        "kind": kind,
        "at": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
        "message": message,
    }


def _name(text: str) -> str:
    return text if len(text) <= _MOST_OF_NAME else f"{text[: _MOST_OF_NAME - 1]}…"


def _amount(meter: str, amount: int) -> str:
    return f"{to_usd(amount):f}" if meter == "usd" else str(amount)
