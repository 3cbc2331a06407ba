"""Runs the matrix: `python -m conformance.matrix [ENVIRONMENT …]` rewrites the results and docs/enforcement.md."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .environments import HERE, ROOT, Environment, named
from .setups import SETUPS

RESULTS = HERE / "results"
SECONDS = 300
"""Longest that one set-up may take."""


def run(python: Path | str, setup: str, mode: str) -> dict[str, Any]:
    """One set-up in a process of its own; its versions and rows.

    Raises:
        RuntimeError: it ended badly, with the end of what it said.
    """
    done = subprocess.run(
        [python, "-X", "faulthandler", "-m", "conformance.run", setup, mode],
        cwd=ROOT / "tests",
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    last = done.stdout.rpartition("\nROWS")[2]
    if done.returncode or not last:
        raise RuntimeError(f"{python} {setup} {mode} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(last)
    return found


def measure(environment: Environment) -> None:
    """Rewrite the results of one environment."""
    jobs = [(setup, mode) for setup in environment.setups for mode in modes(setup)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(lambda job: run(environment.python, *job), jobs))
    found: dict[str, Any] = {}
    for (setup, mode), one in zip(jobs, done, strict=True):
        entry = found.setdefault(setup, {"versions": one["versions"]})
        entry[mode] = one["rows"]
    write(environment.name, found)


def modes(setup: str) -> tuple[str, ...]:
    """With the request gate, and by spans alone where there are spans."""
    return ("gate", "spans") if SETUPS[setup].spans else ("gate",)


def write(name: str, found: dict[str, Any]) -> None:
    """Store results so that a change is a readable diff."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def main(words: list[str]) -> None:
    """Run what is asked for."""
    freezing = "--refreeze" in words
    for environment in named([one for one in words if not one.startswith("-")]):
        print(f"{environment.name}: {environment.why}", flush=True)
        environment.install()
        if freezing:
            environment.freeze()
            continue
        measure(environment)
    if not freezing:
        from .page import PAGE, page

        PAGE.write_text(page())


if __name__ == "__main__":
    main(sys.argv[1:])
