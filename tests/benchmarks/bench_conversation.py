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
        history: list[dict[str, Any]] = [one for n in range(100) for one in turn(n)]
        figures: dict[str, list[float]] = {"find the new turn": [], "judge it, in the ledger": [], "nothing new": []}
        for n in range(100, 100 + ROUNDS):
            body = {"messages": [*history[:-2], *turn(n)], "tools": [{}]}
            for what, work in (
                ("find the new turn", lambda body=body: last_turn(body)),
                ("judge it, in the ledger", lambda body=body: heard(caller, body)),
                ("nothing new", lambda body=body: heard(caller, body)),
            ):
                start = time.perf_counter()
                work()
                figures[what].append((time.perf_counter() - start) * 1e6)
        print(f"{'a turn after 200 messages':<40}{'median us':>10}{'best us':>10}")
        for what, those in figures.items():
            print(f"{what:<40}{statistics.median(those):>10.1f}{min(those):>10.1f}")


if __name__ == "__main__":
    main()
