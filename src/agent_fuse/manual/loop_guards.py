"""`check_loop` and `loop_guard`: the tool gate by hand."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar, cast, overload

from agent_fuse import terms as check
from agent_fuse.accounting.actions import UNDER_WAY
from agent_fuse.accounting.call_request import Action
from agent_fuse.api import init
from agent_fuse.limits import Caller, Session
from agent_fuse.loops import digest_of
from agent_fuse.manual.arguments import Parameters
from agent_fuse.mistakes import spelled
from agent_fuse.otel.gate import CallSite, fail_safe, guarded_call_site
from agent_fuse.otel.tool_runs import ToolRun
from agent_fuse.otel.wrapping import UNWATCHED, GuardedRun, Start, wrap
from agent_fuse.seams import judge

F = TypeVar("F", bound=Callable[..., Any])

_LAST: ContextVar[tuple[Action, bytes] | None] = ContextVar("agent_fuse_action_by_hand", default=None)
"""The action begun last by hand in this context, and a mark of its arguments."""


@spelled()
def check_loop(tool_name: str, args: object = None, session_id: str | None = None) -> None:
    """Refuse a tool action that goes round in a loop; count it. Call it right before the tool runs.

    Args:
        args: the tool's arguments, of any type; best a dict by name.
        session_id: the session it counts in; where left out, the caller's.

    Raises:
        ConfigurationError: a bad argument. SentinelLoopError: it is a loop. SentinelBudgetExceeded: a limit on tool
        calls does not admit it. SentinelSystemError: the ledger failed and fail_safe=True.
    """
    judge("checking a tool action", fail_safe, _check, tool_name, {} if args is None else args, session_id)


def _check(tool_name: str, args: object, session_id: str | None) -> None:
    tool = check.told_name("check_loop", "tool_name", tool_name)
    site = guarded_call_site(init)
    caller = site.caller
    if session_id is not None:
        named = check.name("check_loop", "session_id", session_id)
        if named != caller.session.id:
            caller = replace(caller, session=Session(id=named))
    _open(site, caller, tool, args, "check_loop")


@overload
def loop_guard(func: F, /) -> F: ...
@overload
def loop_guard(tool_name: str | None = None) -> Callable[[F], F]: ...
@spelled()
def loop_guard(tool_name: Any = None) -> Any:
    """Guard a tool: `@loop_guard()`, `@loop_guard("search")`, `@loop_guard`. Its calls trip when they loop.

    Each call is an action named `tool_name`, by default the function's name, with its arguments by parameter name; the
    `self` of a method is not among them. What it returns or raises tells progress from a loop. Plain and async
    functions, methods, generators and async generators stay what they are.

    Raises:
        ConfigurationError: a bad argument. The function raises what `check_loop` does.
    """
    if callable(tool_name):
        return wrap("loop_guard", cast("Callable[..., Any]", tool_name), lambda func: _start(func, None))
    named = None if tool_name is None else check.told_name("loop_guard", "tool_name", tool_name)

    def decorate(func: F) -> F:
        return wrap("loop_guard", func, lambda one: _start(one, named))

    return decorate


def _open(site: CallSite, caller: Caller, tool: str, arguments: object, source: str) -> Action:
    """Begin an action, unless a layer around has: by hand it is the same one only with the same arguments."""
    mark, last = digest_of(tool, arguments), _LAST.get()
    if last is not None and last[1] != mark and UNDER_WAY.get() is last[0]:
        UNDER_WAY.set(None)
    action = site.fuse.actions.open(caller, tool, arguments, source=source, trace_id=caller.trace, span_id=site.span_id)
    _LAST.set((action, mark))
    return action


def _start(func: Callable[..., Any], tool_name: str | None) -> Start:
    parameters = Parameters(func)
    tool = tool_name or getattr(func, "__name__", "") or type(func).__name__

    def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> GuardedRun:
        given = parameters.bind(args, kwargs)
        if given is None:
            return UNWATCHED  # a call that the function does not take: it will say so itself
        site = guarded_call_site(init)
        return ToolRun(site.fuse.actions, _open(site, site.caller, tool, given, "loop_guard"))

    return start
