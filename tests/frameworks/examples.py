"""Runs the examples of frameworks, each in its environment: `python -m frameworks.examples [NAME …]`; notes how they ended."""

import json
import os
import subprocess
import sys
import tempfile

from conformance.environments import ROOT

from .environments import HERE, named
from .run import QUIET

EXAMPLES = ROOT / "examples" / "frameworks"
RESULTS = HERE / "results" / "examples.json"
SECONDS = 120


def main(names: list[str]) -> None:
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for framework in named(names):
        path = EXAMPLES / f"{framework.name}_agent.py"
        if not path.exists():
            continue
        framework.install()
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [framework.python, path],
                cwd=folder,
                env={**os.environ, **QUIET, "AGENTFUSE_DB_PATH": f"{folder}/ledger.db"},
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        said = [
            line for line in done.stdout.splitlines() if line.startswith("call to gpt-4o refused before it was sent")
        ]
        found[framework.name] = (
            "stopped" if said and done.returncode == 0 else f"{done.returncode}: {done.stderr[-600:]}"
        )
        print(f"{framework.name}: {found[framework.name]}", flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
