"""Asks every framework every question: `python -m frameworks.matrix [NAME …]` rewrites results and docs/frameworks.md."""

import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from conformance.environments import ROOT

from .environments import Framework, named
from .questions import QUESTIONS

SECONDS = 420
"""Longest that one question may take."""
SECONDS_TO_END = 20
"""Longest that a process may go on after its answer."""
NOISE = re.compile(
    r"never retrieved|was destroyed but|was never awaited|closing of asynchronous generator|^Exception ignored|ended span|different Context",
    re.MULTILINE,
)
"""What Python or a library says of work that was left behind."""


def ask(python: Path | str, name: str, question: str) -> dict[str, Any]:
    """One question in a process of its own: versions, rows, how it ended (empty: well), and what was said of leftovers."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONHASHSEED": "0"}
    command = [python, "-X", "faulthandler", "-m", "frameworks.run", name, question]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, cwd=ROOT / "tests", env=environ, stdout=out, stderr=err, text=True)
        answer = _answer(process, out)
        ended = ""
        try:
            if process.wait(SECONDS_TO_END if answer else 0.1):
                ended = f"ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            ended = "did not end" if answer else f"no answer in {SECONDS} s"
            process.kill()
            process.wait()
        err.seek(0)
        said = err.read()
    if not answer:
        print(f"{name} {question}: {ended}\n{said[-2000:]}", file=sys.stderr)
    found = json.loads(answer) if answer else {"versions": {}, "rows": {question: "no answer"}}
    return {**found, "ended": ended, "noise": sorted({one.group() for one in NOISE.finditer(said)})}


def _answer(process: "subprocess.Popen[str]", out: Any) -> str:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        done = process.poll() is not None
        out.seek(0)
        _, found, rest = out.read().rpartition("\nROWS")
        if found and rest.endswith("\n"):
            return str(rest)
        if done:
            break
        time.sleep(0.1)
    return ""


def measure(framework: Framework, questions: list[str]) -> None:
    """Rewrite what is said of one framework, question by question; what is not asked now stays as it was stored."""
    found: dict[str, Any] = {"versions": {}, "rows": {}, "left": {}}
    if len(questions) < len(QUESTIONS):
        found = json.loads(framework.results.read_text())
    framework.results.parent.mkdir(exist_ok=True)
    found["date"] = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    found["python"] = platform.python_version()
    for question in questions:
        one = ask(framework.python, framework.name, question)
        print(f"  {question}: {one['rows']} {one['ended']} {' '.join(one['noise'])}", flush=True)
        found["versions"] |= one["versions"]
        found["rows"] |= one["rows"]
        left = [one["ended"], *one["noise"]] if one["ended"] else one["noise"]
        found["left"] |= {question: left} if one["rows"] else {}
        framework.results.write_text(json.dumps(found, indent=1) + "\n")


def main(words: list[str]) -> None:
    """Run what is asked for: names of frameworks, and of questions."""
    questions = [one for one in QUESTIONS if one in words]
    for framework in named([one for one in words if one not in (*questions, "--refreeze")]):
        print(f"{framework.why}:", flush=True)
        framework.install()
        if "--refreeze" in words:
            framework.freeze()
            continue
        measure(framework, questions or list(QUESTIONS))
    if "--refreeze" not in words:
        from .page import PAGE, page

        PAGE.write_text(page())


if __name__ == "__main__":
    main(sys.argv[1:])
