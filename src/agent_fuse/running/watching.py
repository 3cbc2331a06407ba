"""Starts a program and watches over it: signals go through to it, its end comes back, and it does not outlive us.

A program of the same process group gets the terminal's own signals (Ctrl-C, Ctrl-Z, a new window size) from the
terminal; only those that someone sends to us are handed on, so that none arrives twice.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

DEATH = 128
"""Exit status of a program that a signal ended: this and the signal's number, as shells have it."""

_KEPT = frozenset(
    getattr(signal, name)
    for name in ("SIGKILL", "SIGSTOP", "SIGTSTP", "SIGCONT", "SIGCHLD", "SIGPIPE", "SIGSEGV", "SIGBUS", "SIGFPE",
                 "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS", "SIGPROF", "SIGVTALRM", "SIGALRM", "SIGIO", "SIGURG",
                 "SIGXCPU", "SIGXFSZ")
    if hasattr(signal, name)
)  # fmt: skip
"""What is never handed on: it is ours alone, or stands for a fault or a timer of our own."""

_PR_SET_PDEATHSIG = 1


def watch_over(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program to its end; its exit status, or 128 and the signal that ended it.

    Raises:
        OSError: it can't be started.
    """
    code = _with_waiting(words, environ) if hasattr(signal, "sigwaitinfo") else _with_handlers(words, environ)
    return DEATH - code if code < 0 else code


def _with_waiting(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Signals stay blocked afterwards: one that comes while the program ends must not cut our last words short."""
    passed = set(signal.valid_signals()) - _KEPT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed | {signal.SIGCHLD})
    try:
        child = subprocess.Popen(words, env=dict(environ), preexec_fn=_in_child(before))  # noqa: PLW1509, S603
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    while child.poll() is None:
        told = signal.sigwaitinfo(passed | {signal.SIGCHLD})
        if told.si_signo != signal.SIGCHLD and told.si_code <= 0:  # sent by a process, not by the terminal
            child.send_signal(told.si_signo)
    return child.returncode


def _in_child(mask: set[int]) -> Callable[[], None]:
    """Before the program begins: its signals are as ours were, and it dies if we are killed."""
    above = os.getpid()
    control = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None

    def prepare() -> None:
        if control is not None:
            control(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != above:
                os._exit(DEATH + signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return prepare


def _with_handlers(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Where who sent a signal can't be told: those that a terminal sends are left to it."""
    child = subprocess.Popen(words, env=dict(environ))  # noqa: S603
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: child.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return child.wait()
