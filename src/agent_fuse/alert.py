"""What a warning tells: a limit passed a share of its cap, or a tool is about to be stopped."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from agent_fuse.foreign_text import inline


class AlertKind(StrEnum):
    """What an alert is about."""

    LIMIT = "limit"
    LOOP = "loop"
    PAUSED = "paused"
    """A call waits for a person's answer."""
    TOTAL = "total"
    """All sessions together spent much in a day, and no limit caps their sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What `on_warning` gets. Amounts are USD (Decimal) for a `usd` limit, else counts."""

    kind: AlertKind
    message: str
    """Fit to hand to the model as it is. No tool arguments, no prompt."""
    session: str
    agent: str = ""
    tool: str = ""
    """The tool that is about to be stopped, for a loop."""
    limit: str = ""
    """The limit in words: `$5.00 per session 'run-1'`."""
    rule: str = ""
    """The same without whose it is, as the limit itself is written: `$5.00 per session`."""
    meter: str = ""
    share: float = 0.0
    """The share of the limit that was passed, of `warn_at`."""
    spent: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    """By calls still open."""
    budget_limit: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", inline(self.message))
