"""Mutation testing from the command line: `python -m mutation.run --help`, with `tests` on the path; see `make mutation`."""

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from typing import Any

from mutation.operators import mutants_of
from mutation.targets import ROOT, SOURCE, WORK, excuses, modules

SLOW = ("cli", "running", "test_packaging.py")
"""More tests that start whole programs: they would be chosen last, and cost more than they tell of these modules."""

MAP, RESULTS, ORDERS = WORK / "map.json", WORK / "results.jsonl", WORK / "orders.json"


def pytest(plugin: str, tests: list[str], **environment: str) -> int:
    """The suite, under one of the plugins here."""
    given = tests or ["tests", *(f"--ignore=tests/{one}" for one in SLOW)]
    path = os.pathsep.join([str(SOURCE), str(ROOT / "tests"), str(ROOT / "tests" / "mutation" / "child")])
    command = [sys.executable, "-m", "pytest", "-q", "-p", f"mutation.{plugin}", "-p", "no:cacheprovider"]
    command += ["-m", "not soak and not programs", *given]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path, "CI": "1", **environment}, check=False
    )
    return done.returncode


def results() -> dict[str, dict[str, Any]]:
    """The last verdict on each mutant."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else ()
    return {told["name"]: told for told in map(json.loads, lines)}


def report(wanted: list[str], *, survivors: bool) -> int:
    """Scores by module; 1 when a survivor has no excuse."""
    found, excused = results(), excuses()
    scores: dict[str, Counter[str]] = defaultdict(Counter)
    open_ones = []
    for path in modules(wanted):
        for mutant in {one.name: one for one in mutants_of(path, SOURCE)}.values():
            verdict = found.get(mutant.name, {}).get("verdict", "not tried")
            if verdict in {"survived", "untested"}:
                if mutant.name in excused:
                    verdict = "excused"
                else:
                    open_ones.append(f"{mutant.file}:{mutant.line}: {verdict}: {mutant.name.partition(': ')[2]}")
            scores[str(path.relative_to(SOURCE / "agent_fuse"))][verdict] += 1
    total: Counter[str] = Counter()
    print(f"{'module':28}{'mutants':>9}{'killed':>9}{'excused':>9}{'alive':>7}{'untried':>9}{'score':>8}")
    for module, score in [*sorted(scores.items()), ("all", total)]:
        if module != "all":
            total += score
        killed, alive = score["killed"] + score["timeout"], score["survived"] + score["untested"]
        tried = killed + alive + score["excused"]
        share = f"{killed / tried:.0%}" if tried else "-"
        figures = f"{sum(score.values()):>9}{killed:>9}{score['excused']:>9}{alive:>7}{score['not tried']:>9}{share:>8}"
        print(f"{module:28}{figures}")
    if survivors:
        print(*open_ones, sep="\n")
    return 1 if open_ones else 0


def main() -> int:
    """Map, run, report."""
    parser = argparse.ArgumentParser(description="Break one thing at a time, and see a test fail.")
    parser.add_argument(
        "modules", nargs="*", help="paths below src/agent_fuse, such as accounting/ or fuse.py; all targets"
    )
    parser.add_argument("--map", action="store_true", help="find out anew which tests run which lines (minutes)")
    parser.add_argument("--tests", nargs="*", default=[], help="test files to map or to run, rather than the suite")
    parser.add_argument("--again", choices=["all", "survivors"], help="try those again that were tried before")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="try only N mutants, drawn by chance, the same each time"
    )
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of tests that one mutant may cost")
    parser.add_argument("--report", action="store_true", help="only tell what was found before")
    parser.add_argument("--survivors", action="store_true", help="list them")
    given = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    if given.map or not MAP.exists():
        pytest("mapping", given.tests, AGENT_FUSE_MAP=str(MAP))
        if given.map:
            return 0
    if not given.report:
        alive = {"survived", "untested"}
        told = results()
        skip = [] if given.again == "all" else [name for name, one in told.items() if one["verdict"] not in alive]
        if given.again is None:
            skip = list(told)
        only = [name for name in told if name not in skip] if given.again == "survivors" else []
        if given.sample:
            names = sorted({one.name for path in modules(given.modules) for one in mutants_of(path, SOURCE)})
            only = random.Random(given.sample).sample(names, min(given.sample, len(names)))
        orders = {
            "map": str(MAP),
            "results": str(RESULTS),
            "modules": given.modules,
            "budget": given.budget,
            "skip": skip,
            "only": only,
        }
        ORDERS.write_text(json.dumps(orders))
        pytest("server", given.tests, AGENT_FUSE_MUTATION=str(ORDERS))
    return report(given.modules, survivors=given.survivors)


if __name__ == "__main__":
    sys.exit(main())
