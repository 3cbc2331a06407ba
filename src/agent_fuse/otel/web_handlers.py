"""Exception handlers of web applications that can never be reached, because a trip is no Exception."""

import gc
import sys
from collections.abc import Iterator
from typing import Any

from agent_fuse.errors import SentinelError
from agent_fuse.otel.facts import Fact, blind

_MEND = (
    "register agent_fuse.SentinelException or SentinelBudgetExceededError, and put @agent_fuse.boundary on the "
    "endpoint, or use AgentFuseMiddleware"
)


def of_handlers() -> Iterator[Fact]:
    """Handlers that Starlette and FastAPI take without a word, and with which they answer every request with 500."""
    module: Any = sys.modules.get("starlette.applications")
    if module is None:
        return
    for one in gc.get_objects():
        if not issubclass(type(one), module.Starlette):
            continue
        for kind in getattr(one, "exception_handlers", ()):
            if isinstance(kind, type) and issubclass(kind, SentinelError) and not issubclass(kind, Exception):
                yield blind(
                    f"an exception handler is registered for {kind.__name__}, which is no Exception: Starlette answers "
                    "every request with 500",
                    _MEND,
                )
