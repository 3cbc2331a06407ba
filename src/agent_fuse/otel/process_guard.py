"""Guards a whole process from outside: for programs that know nothing of AgentFuse (zero-code, `agent-fuse run`)."""

import os
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

from agent_fuse.errors import ConfigurationError, SentinelSystemError
from agent_fuse.fuse import Fuse
from agent_fuse.locks import Lock
from agent_fuse.otel import active, every_provider, langchain_tools
from agent_fuse.otel.blind import warn_of
from agent_fuse.otel.opening import on_open, open_fuse
from agent_fuse.otel.saying import tell_once, words_of
from agent_fuse.otel.self_test import self_test
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import Settings, settings

_lock = Lock()
_guard: "ProcessGuard | None" = None


class CannotGuard(Exception):
    """Why a process can't be guarded, in one line with its mend."""


class ProcessGuard(AgentFuseSpanProcessor):
    """The processor that is on every provider of a process.

    It steps back where the program has a processor of its own: a call is judged once, by the program's limits.
    """

    everywhere = True

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See AgentFuseSpanProcessor."""
        guards = active.guards()
        if guards and guards[0] is self:
            super().on_start(span, parent_context)

    def shutdown(self) -> None:
        """Nothing: one provider's end is not the end of the process."""


def guard_process(environ: Mapping[str, str] = os.environ) -> ProcessGuard:
    """Guard this process by the options in its environment: its requests, and the spans of all its providers.

    Raises:
        CannotGuard: a bad option, or a ledger that cannot be opened.
    """
    return _guarded_by(lambda: _open(environ), _own_limits)


def guard_as(found: Settings) -> ProcessGuard:
    """Guard this process by settings that another process found.

    Raises:
        SentinelSystemError: the ledger cannot be opened, and fail_safe=True.
    """
    return _guarded_by(lambda: open_fuse(found))


def _guarded_by(opened: Callable[[], Fuse], *watchers: Callable[[Fuse], None]) -> ProcessGuard:
    global _guard
    with _lock:
        if _guard is None:
            _guard = ProcessGuard(fuse=opened())
            for watcher in watchers:
                on_open(watcher)
        provider = every_provider.follow(_guard)
        langchain_tools.turn_on_when_used()
        warn_of([self_test(provider)])
    return _guard


def process_guard() -> ProcessGuard | None:
    """The guard of this process, where it was put there from outside."""
    return _guard


def _open(environ: Mapping[str, str]) -> Fuse:
    try:
        return open_fuse(settings(environ))
    except ConfigurationError as bad:
        raise CannotGuard(str(bad)) from bad
    except SentinelSystemError as failed:
        raise CannotGuard(
            f"cannot guard: {failed.original_error}; mend it, choose another (AGENTFUSE_DB_PATH), or let calls go "
            "while the ledger fails (AGENTFUSE_FAIL_SAFE=false)"
        ) from failed


def _own_limits(fuse: Fuse) -> None:
    """The program calls `init()`, or makes a processor of its own."""
    tell_once(f"the program sets limits of its own, which hold from here on: {words_of(fuse.limits)}")
