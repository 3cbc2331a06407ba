"""A pytest plugin that collects once, then forks for each mutant: `pytest -p mutation.server`, started by `run.py`."""

import contextlib
import gc
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mutation.live import functions_of, patch
from mutation.mapping import Mapping
from mutation.operators import Mutant, mutants_of
from mutation.pick import Pick
from mutation.targets import ROOT, SOURCE, modules

LONGEST_SECONDS, WAITING = 60.0, 10


class Verdict:
    """What became of one mutant."""

    KILLED, SURVIVED, TIMEOUT, UNTESTED = "killed", "survived", "timeout", "untested"


def warm_up() -> None:
    """Load what tests load when they first need it, so that not every child does."""
    from agent_fuse.prices import PriceBook
    from agent_fuse.quoting.families import Vocabulary
    from agent_fuse.quoting.vocabularies import load

    PriceBook({}, "fallback")
    load(Vocabulary.O200K)


def run_forked(work: Callable[[Callable[[str], None]], None], seconds: float) -> tuple[str, str]:
    """Run in a child of its own process group; its last word, and how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            os.close(reading)
            cpu = int(seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            work(lambda word: os.write(writing, word.encode()) and None)
        finally:
            os._exit(3)
    os.close(writing)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    # What computes for ever is ended by its own CPU time; what waits for ever, by the clock: other programs run too.
    word, deadline, late = b"", time.monotonic() + WAITING * seconds, False
    while True:
        ready, _, _ = select.select([reading], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            late = True
            break
        piece = os.read(reading, 65536)
        word += piece
        if not piece or b"\n" in word:
            break
    os.close(reading)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) and not word):
        return Verdict.TIMEOUT, ""
    told = word.decode().strip()
    return (Verdict.SURVIVED, "") if told == "passed" else (Verdict.KILLED, told or "ended by itself")


class Server:
    """Runs all jobs in place of the session's own loop."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.orders = orders
        self.mapping = Mapping(Path(orders["map"]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        pick = Pick(self.mapping, set(items), self.orders["budget"])
        results = Path(self.orders["results"])
        known = set(self.orders["skip"])
        warm_up()
        paths = list(modules(self.orders["modules"]))
        gc.unfreeze()  # what the suite froze is not found
        live = {path: functions_of(str(path)) for path in paths}
        gc.collect()
        gc.freeze()  # children then share what they do not change
        for path in paths:
            text = path.read_bytes()
            for mutant in mutants_of(path, SOURCE):
                if mutant.name in known or (self.orders["only"] and mutant.name not in self.orders["only"]):
                    continue
                known.add(mutant.name)
                began = time.monotonic()
                chosen = pick.tests(mutant)
                verdict, word = self._try(session, mutant, text, path, live[path], [items[one] for one in chosen])
                told = {
                    "name": mutant.name,
                    "line": mutant.line,
                    "verdict": verdict,
                    "by": word,
                    "tests": len(chosen),
                    "seconds": round(time.monotonic() - began, 2),
                }
                with results.open("a") as out:
                    out.write(json.dumps(told) + "\n")
        return True

    def _try(
        self, session: Any, mutant: Mutant, text: bytes, path: Path, live: dict[str, Any], items: list[Any]
    ) -> tuple[str, str]:
        if not items:
            return Verdict.UNTESTED, ""
        nominal = sum(self.mapping.seconds.get(item.nodeid, 0.1) for item in items)
        folder = tempfile.mkdtemp(prefix="mutant-")

        def work(say: Callable[[str], None]) -> None:
            mutated = Path(folder, "mutated.py")
            mutated.write_bytes(mutant.apply(text))
            os.environ["AGENT_FUSE_MUTANT"] = f"{module_of(path)}={mutated}"
            base = Path(folder, "tmp")
            base.mkdir()
            session.config._tmp_path_factory._basetemp = base
            if not mutant.function or not patch(mutant, text, str(path), live):
                say("not live\n")
                os._exit(0)
            _run(session, items, say)

        try:
            verdict, word = run_forked(work, min(LONGEST_SECONDS, 5 + 5 * nominal))
            if word == "not live":
                return _anew(mutant, text, path, [item.nodeid for item in items], 60 + 5 * nominal)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return verdict, word


def _run(session: Any, items: list[Any], say: Callable[[str], None]) -> None:
    """Run tests until one fails, and leave."""
    session.items = items
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            say(f"{item.nodeid}\n")
            os._exit(1)
    say("passed\n")
    os._exit(0)


def _anew(mutant: Mutant, text: bytes, path: Path, tests: list[str], seconds: float) -> tuple[str, str]:
    """A mutant in a module's own body: load everything anew, in an interpreter of its own."""
    folder = Path(tempfile.mkdtemp(prefix="mutant-"))
    mutated, said = folder / "mutated.py", folder / "said.txt"
    mutated.write_bytes(mutant.apply(text))
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"]
    environment = {**os.environ, "AGENT_FUSE_MUTANT": f"{module_of(path)}={mutated}"}
    try:
        with said.open("w") as out:
            running = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *tests],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            try:
                code = running.wait(seconds)
            except subprocess.TimeoutExpired:
                return Verdict.TIMEOUT, ""
            finally:
                with contextlib.suppress(OSError):
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        failed = [line.split(" ")[1] for line in said.read_text().splitlines() if line.startswith(("FAILED", "ERROR"))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return (Verdict.KILLED, (failed or ["it could not be loaded"])[0]) if code else (Verdict.SURVIVED, "")


def module_of(path: Path) -> str:
    """A file's dotted name."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def pytest_configure(config: Any) -> None:
    orders = json.loads(Path(os.environ["AGENT_FUSE_MUTATION"]).read_text())
    config.pluginmanager.register(Server(orders), "mutation-server")
