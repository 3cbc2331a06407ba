"""What it costs to read the new end of a conversation: a turn that adds two messages to a history of 200."""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import agent_fuse
from agent_fuse.conversation import last_turn
from agent_fuse.otel.gate import call_site

ROUNDS = 2_000


def turn(n: int) -> list[dict[str, Any]]:
    """A call of a tool, and its result."""
    function = {"name": "search", "arguments": json.dumps({"q": f"word{n}", "limit": 5})}
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": f"call_{n:020}", "function": function}]},
        {"role": "tool", "tool_call_id": f"call_{n:020}", "content": f"result {n}"},
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        agent_fuse.init(budget=1, db_path=str(Path(folder) / "ledger.db"))
        site = call_site()
        assert site is not None
        heard, caller = site.fuse.conversations.heard, site.caller
        forget = site.fuse.actions.loops.turns.forget
        history: list[dict[str, Any]] = [one for n in range(100) for one in turn(n)]
        figures: dict[str, list[float]] = {}
        for n in range(100, 100 + ROUNDS, 2):
            body = {"messages": [*history[:-2], *turn(n)], "tools": [{}]}
            near = {"messages": [*history[:-2], *turn(n + 1)], "tools": [{}]}
            for what, work in (
                ("find the new turn", lambda body=body: last_turn(body)),
                ("judge it", lambda body=body: heard(caller, body)),
                ("nothing new", lambda body=body: heard(caller, body)),
                ("", lambda: forget(caller)),
                ("judge one at once, in the ledger", lambda near=near: heard(caller, near)),
            ):
                start = time.perf_counter()
                work()
                figures.setdefault(what, []).append((time.perf_counter() - start) * 1e6)
        figures.pop("")
        figures["judge turns that come without a pause"] = in_a_row(heard, caller, history)
        print(f"{'a turn after 200 messages':<40}{'median us':>10}{'best us':>10}")
        for what, those in figures.items():
            print(f"{what:<40}{statistics.median(those):>10.1f}{min(those):>10.1f}")


def in_a_row(heard: Any, caller: Any, history: list[dict[str, Any]]) -> list[float]:
    """A turn's part of three that are judged together: the third of them in the ledger, with the two before it."""
    bodies = [{"messages": [*history[:-2], *turn(n)], "tools": [{}]} for n in range(9_000, 9_000 + ROUNDS)]
    figures: list[float] = []
    for at in range(0, ROUNDS - 2, 3):
        start = time.perf_counter()
        for body in bodies[at : at + 3]:
            heard(caller, body)
        figures.append((time.perf_counter() - start) * 1e6 / 3)
    return figures


if __name__ == "__main__":
    main()
