"""Drives all roads of all frameworks: `python -m frameworks.roads.matrix [PROGRAM …]` rewrites results and the page."""

import datetime as dt
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from conformance.environments import ROOT

from .environments import ROOM, UP, Roads, named

SECONDS = 600
"""Longest that the roads of one framework may take."""


def ask(python: Path | str, program: str, mode: str, *providers: str) -> dict[str, Any]:
    """All roads in a process of their own: versions, and what was measured by provider and kind of call.

    Raises:
        RuntimeError: the process gave no answer.
    """
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONHASHSEED": "0"}
    command = [python, "-m", "frameworks.roads.run", program, mode, *providers]
    done = subprocess.run(
        command, cwd=ROOT / "tests", env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    _, found, answer = done.stdout.rpartition("\nROWS")
    if not found:
        raise RuntimeError(f"{program} {mode}: {done.stderr[-2000:]}")
    rows: dict[str, Any] = json.loads(answer)
    return rows


def measure(roads: Roads) -> None:
    """Rewrite what is said of one framework."""
    found: dict[str, Any] = {"date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "python": platform.python_version()}
    for mode in (UP, ROOM):
        one = ask(roads.python, roads.program, mode)
        found |= {"versions": one["versions"], mode: one["rows"]}
        print(f"  {mode}: {one['rows']}", flush=True)
    roads.results.parent.mkdir(exist_ok=True)
    roads.results.write_text(json.dumps(found, indent=1) + "\n")


def main(words: list[str]) -> None:
    """Run what is asked for, by the names of programs."""
    for roads in named([one for one in words if one != "--refreeze"]):
        print(f"{roads.why}:", flush=True)
        roads.install()
        if "--refreeze" in words:
            roads.freeze()
        else:
            measure(roads)
    if "--refreeze" not in words:
        from conformance import page as enforcement
        from frameworks import page as frameworks

        for page in (frameworks, enforcement):
            page.PAGE.write_text(page.page())


if __name__ == "__main__":
    main(sys.argv[1:])
