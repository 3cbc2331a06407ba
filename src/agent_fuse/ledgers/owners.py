"""Owners: which process took a hold, and whether that process is surely dead."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, told from every other that has or will have its number."""

    host: str
    """Where its number means something: host name, boot and process-number namespace (a container has its own)."""
    pid: int
    started: int
    """When it started: clock ticks since boot (proc_pid_stat(5), field 22); 0 where that cannot be known."""


def this_process() -> Owner:
    """The process that asks. A fork makes another one."""
    pid = os.getpid()
    stat = _stat(pid)
    return Owner(host=_host(), pid=pid, started=int(stat[_STARTED]) if stat else 0)


def is_dead(owner: Owner, *, here: Owner) -> bool:
    """Whether `owner` is surely gone. In doubt (another host, boot or container) it lives: its holds expire instead."""
    if owner.host != here.host or owner == here or sys.platform == "win32":
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # someone else's process, or a number no process has here
        return False
    stat = _stat(owner.pid)
    if not stat:
        return False
    # A zombie is dead and waits to be buried, unless other threads of it run on.
    return owner.started not in (0, int(stat[_STARTED])) or (stat[_STATE] in "ZX" and int(stat[_THREADS]) <= 1)


def is_of_another_boot(owner: Owner, *, here: Owner) -> bool:
    """Whether it ran before a machine of this name was started anew: on this machine, it is dead."""
    (there, *other), (name, *boot) = owner.host.split(" "), here.host.split(" ")
    return there == name and len(other) == len(boot) == _TOLD and other[0] != boot[0]


_TOLD = 2
"""What a host says beside its name."""
_STATE, _THREADS, _STARTED = 0, 17, 19


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third (state) on; empty where there is no such file to read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()  # the second field is the program's name, and may hold anything


def _host() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return platform.node()
    return f"{platform.node()} {boot} {space}"
