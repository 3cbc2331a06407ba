"""The tally of a run: each process writes what it spent into a file of its own, which outlives a killed process."""

import logging
import os
import struct
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from agent_fuse.accounting.call_request import Event
from agent_fuse.calls import Entry, Status
from agent_fuse.fuse import Fuse
from agent_fuse.locks import RLock

log = logging.getLogger("agent_fuse")

_FIGURES = struct.Struct("<4q")
_PREFIX = "tally-"
_MAX_CORRECTABLE = 4096
_TOOL = "execute_tool"
_NOWHERE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """What was spent and refused."""

    cost: int = 0
    """Nano-dollars."""
    calls: int = 0
    tool_calls: int = 0
    refused: int = 0


class RunTally:
    """What this process spent, in the run's folder. A forked child begins a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = RLock()  # a finaliser may book from inside it
        self._figures = [0, 0, 0, 0]
        self._estimated: OrderedDict[str, int] = OrderedDict()
        self._file: int | None = None

    def follow(self, fuse: Fuse) -> None:
        """Count what this fuse books and refuses."""
        fuse.listen(self._heard)

    def _heard(self, event: Event) -> None:
        if event.nudge or event.entry.status is Status.PRESUMED:  # another process's, which was killed
            return
        with self._lock:
            if event.trip is not None:
                self._figures[3] += 1
            else:
                self._book(event.entry)
            if self._file is None:
                self._file = self._make()
            if self._file != _NOWHERE:
                os.pwrite(self._file, _FIGURES.pack(*self._figures), 0)

    def _book(self, entry: Entry) -> None:
        """A real figure takes the place of an estimate."""
        known = self._estimated.pop(entry.id, None)
        if entry.status is Status.ESTIMATED:
            self._estimated[entry.id] = entry.cost
            if len(self._estimated) > _MAX_CORRECTABLE:
                self._estimated.popitem(last=False)
        self._figures[0] += entry.cost - (known or 0)
        if known is None:
            self._figures[2 if entry.operation == _TOOL else 1] += 1

    def _make(self) -> int:
        try:
            return tempfile.mkstemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=self._folder)[0]
        except OSError:  # the run is over, and this process outlives it
            log.debug("nobody counts what this process spends any more", exc_info=True)
            return _NOWHERE


def read(folder: Path) -> RunTotals:
    """What all processes of a run spent, those of runs inside it included."""
    sums = [0, 0, 0, 0]
    for path in folder.rglob(f"{_PREFIX}*"):
        found = path.read_bytes()
        if len(found) == _FIGURES.size:
            sums = [one + more for one, more in zip(sums, _FIGURES.unpack(found), strict=True)]
    cost, calls, tool_calls, refused = sums
    return RunTotals(cost=cost, calls=calls, tool_calls=tool_calls, refused=refused)
