"""One run of a tool whose body is seen: what it returns or raises tells progress from a loop."""

from typing import Any

from agent_fuse.accounting.actions import Actions
from agent_fuse.accounting.call_request import UNTOLD, Action
from agent_fuse.otel.gate import call_site
from agent_fuse.otel.wrapping import UNWATCHED, GuardedRun


class ToolRun:
    """A run that is watched, from its action's beginning on."""

    def __init__(self, actions: Actions, action: Action) -> None:
        self._actions = actions
        self._action = action

    def enter(self) -> None:
        """Nothing is kept for its stretches."""

    def leave(self) -> None:
        """Nor for its pauses."""

    def yielded(self, value: object) -> None:
        """A generator's items are not its result."""

    def returned(self, value: object) -> None:
        """It is done."""
        self._actions.close(self._action, UNTOLD if value is None else value)

    def raised(self, error: BaseException) -> None:
        """It failed, or was broken off."""
        if isinstance(error, Exception):
            self._actions.close(self._action, error=type(error).__qualname__, message=str(error))
        else:
            self._actions.close(self._action)


def begun(tool: str, arguments: Any, source: str) -> GuardedRun:
    """A framework's tool is about to run here.

    Raises:
        SentinelError: it is refused.
    """
    site = call_site()
    if site is None:
        return UNWATCHED
    of = site.caller
    actions = site.fuse.actions
    return ToolRun(actions, actions.open(of, tool, arguments, source=source, trace_id=of.trace, span_id=site.span_id))
