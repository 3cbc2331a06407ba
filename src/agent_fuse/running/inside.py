"""What a process does before its program, where it is to be guarded from outside: it guards itself, or ends."""

import inspect
import os
import sys
import traceback
from typing import NoReturn

from agent_fuse.errors import SentinelError
from agent_fuse.otel import instrumentor, sdk_sources
from agent_fuse.otel.coverage import words
from agent_fuse.otel.opening import on_open
from agent_fuse.otel.process_guard import CannotGuard, ProcessGuard, guard_process, process_guard
from agent_fuse.otel.saying import be_quiet, tell, tell_once
from agent_fuse.running.handed import Run
from agent_fuse.running.tally import RunTally

REFUSED = 2
"""Exit status of a process that was to be guarded and can't be."""

_TOLD = "_AGENTFUSE_TOLD"
"""Set once a process has told what it is guarded against: those that it starts need not."""


def start(*, instead: str = "") -> None:
    """Guard this process as its environment says, or end it; where a run was asked for anyway, say so and go on.

    Args:
        instead: why it is not to be guarded, if so.
    """
    if process_guard() is not None:
        return
    run = Run.read(os.environ)
    if run is not None and run.quiet:
        be_quiet()
    if instead:
        tell_once(f"NOT guarding this process: {instead}")
        return
    try:
        guard = _guard(run)
    except CannotGuard as why:
        _refuse(run, str(why))
        return
    except (Exception, SentinelError) as fault:  # noqa: BLE001 - whatever it is, nothing may run unguarded
        traceback.print_exc()
        _refuse(run, f"AgentFuse itself failed ({type(fault).__name__})")
        return
    first = run.note_guarded() if run is not None else _TOLD not in os.environ
    os.environ[_TOLD] = "1"
    if first:
        tell_once(words(guard.fuse))


def _guard(run: Run | None) -> ProcessGuard:
    if run is not None and not run.guarded:
        _check_gates()
    guard = guard_process()
    if run is not None:
        if not run.anyway:
            instrumentor.on_problem(_end)
        tally = RunTally(run.folder)
        tally.follow(guard.fuse)
        on_open(tally.follow)
    return guard


def _check_gates() -> None:
    for sdk in instrumentor.SDKS:
        problem = sdk_sources.problem(sdk)
        if problem:
            raise CannotGuard(f"{problem}; install another {sdk}")


def _refuse(run: Run | None, why: str) -> None:
    if run is None:
        _end(why)
    if run.anyway:
        if run.note_unguarded():
            tell(f"NOT guarding this process: {why}")
        return
    run.note_refused()
    _end(f"{why}; or start it unguarded with --anyway")


def _end(why: str) -> NoReturn:
    """End this process. While Python itself is still starting, an exception would end it in a crash report.

    Raises:
        SystemExit: always, where Python has started.
    """
    tell(why)
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "site":
            os._exit(REFUSED)
        frame = frame.f_back
    sys.exit(REFUSED)
