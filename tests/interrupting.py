"""A KeyboardInterrupt at every instant at which Python can raise one, one after the other, with no clock in it.

Python raises what a signal handler or another thread asks for only at certain instructions. The trace function asks
for it at a chosen step of our code, by C code that has no such instruction behind it: so it is raised where Python
itself would raise it next.
"""

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import agent_fuse
from agent_fuse.fuse import Fuse
from agent_fuse.testing.ledger import assert_books_balance

HOME = f"{Path(agent_fuse.__file__).parent}{os.sep}"
NOT_OURS = tuple(f"{HOME}{folder}{os.sep}" for folder in ("testing", "cli", "demo"))


def interrupted(work: Callable[[], object], at: int, *, opcodes: bool = False, also: str = HOME) -> tuple[bool, str]:
    """Run `work`, interrupted at the `at`-th step (line, or opcode) of our own code that it makes in this thread.

    `also`: a file whose steps count too.

    Returns whether there was such a step, and its place.
    """
    ask = ctypes.pythonapi.PyThreadState_SetAsyncExc
    me, what = ctypes.c_ulong(threading.get_ident()), ctypes.py_object(KeyboardInterrupt)
    steps, place = 0, ""

    def look(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps, place
        if not frame.f_code.co_filename.startswith((HOME, also)) or frame.f_code.co_filename.startswith(NOT_OURS):
            return None
        frame.f_trace_opcodes = opcodes
        if opcodes and event == "line":
            return look  # its first opcode follows: what is asked for here would be raised in the tracer, then
        steps += 1
        if steps == at:
            place = f"{frame.f_code.co_filename.removeprefix(HOME)}:{frame.f_lineno} {frame.f_code.co_name} {event}"
            sys.settrace(None)  # or it would be raised in here
            (_asked,) = map(ask, (me,), (what,))
        return look

    before = sys.gettrace()
    try:
        sys.settrace(look)
        try:
            work()
        finally:
            sys.settrace(before)
        for _ in range(3):
            len(place)  # what is still to be raised is raised here
    except KeyboardInterrupt:
        sys.settrace(before)
    return steps >= at, place


def every_instant(fuse: Fuse, work: Callable[[], object], *, stride: int = 1, opcodes: bool = False) -> int:
    """Interrupt `work` at one step after the other, the next call going in between. Answers how many steps it has."""
    for _ in range(3):
        work()
    at = 1
    while True:
        there, place = interrupted(work, at, opcodes=opcodes)
        work()
        if fuse.open_calls() or list(fuse.ledger.holds()):
            threading._limbo.clear()  # where Python keeps for ever a thread that was interrupted as it started
            gc.collect()  # a request that was dropped unsent is told by its finaliser, and a traceback keeps it alive
            work()
        assert (len(list(fuse.ledger.holds())), fuse.open_calls()) == (0, 0), (at, place)
        if not there:
            break
        at += stride
    assert_books_balance(fuse.ledger)
    return at
