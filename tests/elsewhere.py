"""Other processes that begin at once: each is a fork of one that has loaded the libraries, and has done nothing else."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVER = """
import gc, json, os, signal, socket, sys
import openai, openai.resources.batches, openai.resources.files, openai.resources.responses.responses
import openai.resources.videos, opentelemetry.instrumentation.openai.v1, psycopg
import agent_fuse.api, agent_fuse.manual.pre_post_flight, agent_fuse.otel.instrumentor, agent_fuse.otel.span_processor
import agent_fuse.otel.wire_aiohttp, agent_fuse.otel.wire_gate, agent_fuse.otel.wire_httpx, agent_fuse.wire_formats
import agent_fuse.ledgers.postgres.kind, agent_fuse.ledgers.postgres.ledger, agent_fuse.ledgers.sqlite_kind

openai.OpenAI(api_key="x").close()  # which loads the HTTP client
ears = socket.socket(fileno=0)
gc.collect()
gc.freeze()  # a child ends in a seventh of the time: what it has from here it need not look through

def keep(child, told):
    while True:
        ended, how = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(how):
            os.write(told, f"{os.waitstatus_to_exitcode(how)}\\n".encode())
            os._exit(0)
        os.write(told, b"stopped\\n")

while True:
    asked, handed, _, _ = socket.recv_fds(ears, 1 << 20, 4)
    while asked and not asked.endswith(b"\\n"):
        asked += ears.recv(1 << 20)
    if not asked:
        sys.exit()
    if keeper := os.fork():
        for one in handed:
            os.close(one)
        os.waitpid(keeper, 0)
        continue
    if os.fork():  # whoever keeps the child is nobody's, and nobody waits for it
        os._exit(0)
    told, *its = handed
    if child := os.fork():
        for one in its:
            os.close(one)
        os.write(told, f"{child}\\n".encode())
        keep(child, told)
    break
os.close(told)
signal.alarm(120)  # whoever hangs is ended
for theirs, mine in enumerate(its):
    os.dup2(mine, theirs)
for one in its:
    os.close(one)
asked = json.loads(asked)
os.environ.clear()
os.environ.update(asked["environ"])
os.chdir(asked["folder"])
sys.argv = ["-c", *asked["args"]]
exec(compile(asked["script"], "<elsewhere>", "exec"), {"__name__": "__main__"})
"""
"""Reads what to run; a child leaves the loop, and ends as any program does. Another tells how it fares."""


class Elsewhere:
    """A process that was begun: it reads what is written to `stdin`; what it prints is in `stdout`."""

    def __init__(self, server: socket.socket, script: str, *args: str, together: bool = False) -> None:
        """Begin it.

        Args:
            together: its errors are in `stdout` too.
        """
        asked = {"script": script, "args": args, "environ": dict(os.environ), "folder": str(Path.cwd())}
        (told, tells), (reads, writes), (hears, says) = os.pipe(), os.pipe(), os.pipe()
        socket.send_fds(server, [b" "], [tells, reads, says, says if together else 2])
        server.sendall(f"{json.dumps(asked)}\n".encode())
        for one in (tells, reads, says):
            os.close(one)
        self.stdin, self.stdout, self._told = os.fdopen(writes, "w"), os.fdopen(hears), os.fdopen(told)
        self.pid = int(self._told.readline())
        self.code: int | None = None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        """It stands still when this returns."""
        self.signal(signal.SIGSTOP)
        assert self._told.readline() == "stopped\n"

    def kill(self) -> None:
        """It is gone when this returns."""
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            self.signal(signal.SIGKILL)
        self.wait()

    def tell(self, line: str) -> None:
        """It has this to read."""
        self.stdin.write(f"{line}\n")
        self.stdin.flush()

    def wait(self) -> int:
        """Wait for its end, the end of its input first; its exit code."""
        self.stdin.close()
        while self.code is None:
            told = self._told.readline().strip()
            self.code = None if told == "stopped" else int(told)
        return self.code

    def close(self) -> None:
        """It is no more, and nothing of it is open."""
        if self.code is None:
            self.kill()
        self.stdout.close()
        self._told.close()


@pytest.fixture(scope="session")
def _forks() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", SERVER], stdin=theirs) as server:
        theirs.close()
        yield ours
        ours.close()
        assert server.wait() == 0


@pytest.fixture
def begun(_forks: socket.socket) -> Iterator[Callable[..., Elsewhere]]:
    """Begin a script in a process that knows nothing of this one, in the test's environment; none outlives the test."""
    made: list[Elsewhere] = []

    def begin(script: str, *args: str, together: bool = False) -> Elsewhere:
        made.append(Elsewhere(_forks, script, *args, together=together))
        return made[-1]

    yield begin
    for one in made:
        one.close()


@pytest.fixture
def elsewhere(begun: Callable[..., Elsewhere]) -> Callable[..., str]:
    """Run a script in such a process; what it printed comes back."""

    def run(script: str, *args: str) -> str:
        one = begun(script, *args, together=True)
        said = one.stdout.read()
        assert one.wait() == 0, said
        return said

    return run
