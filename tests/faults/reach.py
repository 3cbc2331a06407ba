"""Which functions of ours are really reached while something runs, and from where."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import agent_fuse

HOME = str(Path(agent_fuse.__file__).parent) + "/"
TESTING = f"{HOME}testing/"
GUARD = f"{HOME}seams.py"
"""What stands at the seams and keeps faults in: it cannot guard itself, and has tests of its own."""

_THROUGH = ("/contextlib.py", "/functools.py", "/weakref.py")
"""Of the standard library, what calls on behalf of whoever called it."""


def is_ours(code: CodeType) -> bool:
    """Whether a code object is of the package itself. Methods that dataclasses write have no file, and are not."""
    name = code.co_filename
    return name.startswith(HOME) and not name.startswith(TESTING)


def name_of(code: CodeType) -> str:
    """`otel/watch.py:watch.<locals>.set_attribute`."""
    return f"{code.co_filename.removeprefix(HOME)}:{code.co_qualname}"


@dataclass
class Reach:
    """Functions of ours that were reached, each with those of ours that called it; None stands for the host."""

    callers: dict[CodeType, set[CodeType | None]] = field(default_factory=dict)

    def edges(self) -> list[CodeType]:
        """Functions that others call, and nobody of ours: what stands there must keep faults in by itself."""
        return [code for code, callers in self.callers.items() if callers == {None}]

    def inside(self) -> list[CodeType]:
        """Functions that are called by ours, so that a fault of theirs can be kept in."""
        return [
            code
            for code, callers in self.callers.items()
            if callers != {None} and code.co_filename != GUARD and not code.co_name.startswith("<")
        ]


@contextmanager
def recorded() -> Iterator[Reach]:
    """What is reached inside the block, in this thread and those that it starts."""
    found = Reach()

    def seen(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and is_ours(code):
            found.callers.setdefault(code, set()).add(_caller(frame))

    gc.collect()  # what earlier tests left behind ends now, and not in the middle of a scene
    before = sys.getprofile()
    threading.setprofile(seen)
    sys.setprofile(seen)
    try:
        yield found
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]


def _caller(frame: FrameType) -> CodeType | None:
    outer = frame.f_back
    while outer is not None and outer.f_code.co_filename.endswith(_THROUGH):
        outer = outer.f_back
    return outer.f_code if outer is not None and is_ours(outer.f_code) else None


Work = Callable[[], Any]
