"""Drives all roads of one framework in this process: `python -m frameworks.roads.run PROGRAM (up|room) [PROVIDER …]`.

Prints as JSON how many requests the provider received on each road, and what was booked of them.
"""

import gc
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

import agent_fuse
from agent_fuse.calls import Entry, Status, Usage
from agent_fuse.testing import LoopbackProvider
from frameworks.run import stay_here, versions
from frameworks.world import Run, caught, named

from .environments import ROOM, UP

BUDGETS = {UP: "0.000000001", ROOM: "100"}
"""With the one no call has room, with the other all have."""
FREE = {"llama3.2": agent_fuse.Price(1, 1), "nomic-embed-text": agent_fuse.Price(1, 1)}
"""Models that cost nothing unless they are given a price."""
USED = Usage(input_tokens=1234, output_tokens=567)
"""What the provider bills, and tells, of every answer; an embedding has no output."""
SETTLES = 3.0
"""Seconds that a call may take to be booked after its answer (a stream that was left is booked as it is collected)."""


@contextmanager
def guarded(url: str, budget: str, folder: Path) -> Iterator[Any]:
    """A guard over this process, by `init` alone; gives its ledger."""
    del url
    prices = FREE if budget == BUDGETS[UP] else {}
    yield agent_fuse.init(budget=budget, db_path=str(folder / "ledger.db"), prices=prices).fuse.ledger


def drive(program: ModuleType, mode: str, providers: list[str], folder: Path) -> dict[str, dict[str, str]]:
    """Each road once, one after the other: by provider and kind of call, what was measured, in words."""
    found: dict[str, dict[str, str]] = {}
    with LoopbackProvider(usage=USED) as provider:
        roads = program.roads(provider.url)
        with getattr(program, "guarded", guarded)(provider.url, BUDGETS[mode], folder) as ledger:
            for name, kinds in roads.items():
                if providers and name not in providers:
                    continue
                for kind, call in kinds.items():
                    began, sent, held = time.time(), provider.count, len(ledger.holds())
                    raised = _raised(call)
                    sent = provider.count - sent
                    booked = _booked(ledger, began, max(sent, 1))
                    held = len(ledger.holds()) - held
                    word = raised if mode == UP else _words(booked, sent, held, raised)
                    found.setdefault(name, {})[kind] = f"{sent} sent, {word}"
    return found


def _raised(call: Run) -> str:
    """What reached the caller, in words: nothing of it is kept, so that what hangs on it can be collected."""
    error = caught(call)
    return f"{error.response.status_code} from the proxy" if isinstance(error, httpx.HTTPStatusError) else named(error)


def _booked(ledger: Any, began: float, wanted: int) -> list[Entry]:
    until = time.monotonic() + SETTLES
    while True:
        gc.collect()
        new = [one for one in ledger.journal() if one.at >= began]
        if (len(new) >= wanted and not ledger.holds()) or time.monotonic() > until:
            return new
        time.sleep(0.02)


def _words(booked: list[Entry], sent: int, held: int, raised: str) -> str:
    failed = f", then {raised.partition(',')[0]}" if raised != "nothing" else ""
    if held > 0:
        return f"held{failed}"
    if len(booked) != sent:
        return f"booked {len(booked)} times{failed}"
    if any(one.status is Status.REFUSED for one in booked):
        return "refused"
    right = all(
        one.input_tokens == USED.input_tokens
        and (one.output_tokens or 0) == (0 if one.operation == "embeddings" else USED.output_tokens)
        for one in booked
    )
    if right and all(one.status is Status.SETTLED for one in booked):
        return f"exact{failed}"
    return f"by {' '.join(sorted({one.reason or 'other figures' for one in booked}))}{failed}"


def main(name: str, mode: str, providers: list[str]) -> None:
    """Answer, and end as a program would."""
    stay_here()
    program = importlib.import_module(f"frameworks.roads.programs.{name}")
    with tempfile.TemporaryDirectory() as folder:
        rows = drive(program, mode, providers, Path(folder))
        print("\nROWS" + json.dumps({"versions": versions(program.PACKAGES), "rows": rows}), flush=True)
    sys.stdout.flush()
    os._exit(0)  # workers that a framework leaves behind are no matter of this page


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
