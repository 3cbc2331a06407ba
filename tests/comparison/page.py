"""Makes docs/comparison.md from what was measured; says nothing that was not."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .peers_named import OURS, PEERS
from .questions import HISTORY_CALLS, PROCESSES, ROOM, THREADS

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
RESULTS = Path(__file__).parent / "results.json"

INTRODUCTION = """# Beside others

Every guard here is asked the same, in one run on one machine, by hand and as its own documentation says: before a call of gpt-4o with
1,000 tokens in and 500 out ($0.0075), and after it. `make compare` makes this page; the programs are in `tests/comparison`,
one file of a few lines for each.
"""

LEGEND = f"""
- **a call**: the median of asking and telling around a request that takes no time, and the slowest of a hundred, µs. Compare rows of one
  durability alone: what is in memory is lost with the process; *NORMAL* survives the process, *FULL* and PostgreSQL the machine too.
  What AgentFuse does in that time and most do not: it quotes the call, checks every limit, holds, settles, writes a line of a journal.
- **after {HISTORY_CALLS:,}**: the median after so many calls (or after as many as fit into some seconds), by that of the first.
- **of 40**: calls that a budget of exactly 40 lets go. 39 is arithmetic with floats, 41 a check that comes after the call.
- **threads, processes, of {ROOM}**: calls that {THREADS} threads, and {PROCESSES} processes of 4 threads, make together against one budget for {ROOM}. - where
  nothing is shared by processes.
- **failed**: of a budget for 10, the calls that are let go after 10 whose connection was refused, which cost nothing. 10 is right.
- **broken off**: of a budget for 10, the calls that are let go after 5 whose stream was broken off half way. The provider bills them, how much
  is not known: 5 counts them in full, 10 not at all.
- **killed**: of a budget for 10, the calls that are let go after 5 processes died in the middle of one that was sent. 5 is the safe side, 10
  forgets them; a worker that dies with a lease takes what it had leased along for 30 s, which is why 0 are let go.

pydantic-ai and LangChain are asked through a whole run of an agent, since their limits live in it: their times are those of the run. tokencap counts
tokens, not money, and is given a guess that is right; it runs SQLite at FULL unless it is told otherwise, which it has no option for. AgentFuse on PostgreSQL
is beside a server on this machine, without a network between. Other programs ran on the machine: compare rows with rows, not with other pages.
"""

AHEAD = """
## Where others are ahead

"""

COLUMNS = {
    "latency": "a call, µs: median / p99",
    "growth": f"after {HISTORY_CALLS:,}",
    "fit": "of 40",
    "threads": f"threads, of {ROOM}",
    "processes": f"processes, of {ROOM}",
    "release": "failed, of 10",
    "broken": "broken off, of 10",
    "crash": "killed, of 10",
}


def stored() -> dict[str, Any]:
    """What was measured."""
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


def page() -> str:
    """The whole page."""
    found = stored()
    return (
        "\n".join(
            [
                INTRODUCTION,
                f"Measured {found['date']}: {found['machine']}.\n",
                *_table(found["peers"]),
                LEGEND,
                *_ahead(found["peers"]),
            ]
        ).rstrip()
        + "\n"
    )


def _table(peers: Mapping[str, Any]) -> Iterator[str]:
    yield "| guard | kept in | " + " | ".join(COLUMNS.values()) + " |"
    yield "|" + "---|" * (len(COLUMNS) + 2)
    for name, title in PEERS.items():
        one = peers.get(name, {"missing": "it was not asked"})
        if "missing" in one:
            yield f"| {title} | not installed: {one['missing']} |" + " |" * len(COLUMNS)
            continue
        version = "" if name in OURS or one["version"] in title else f" {one['version']}"
        for kind, answers in one["kinds"].items():
            cells = [_cell(kind, question, answers.get(question)) for question in COLUMNS]
            yield f"| {title}{version} | {kind} | " + " | ".join(cells) + " |"


def _cell(kind: str, question: str, answer: Any) -> str:
    if answer is None or (question in ("processes", "crash") and "memory" in kind):
        return "-"
    if isinstance(answer, str):
        return answer.replace("|", "/")
    if question == "latency":
        return f"{_figure(answer[0])} / {_figure(answer[1])}"
    if question == "growth":
        after = "" if answer[0] >= HISTORY_CALLS else f" (after {answer[0]:,})"
        return f"x {answer[1]:.1f}{after}"
    return str(answer)


def _figure(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _ahead(peers: Mapping[str, Any]) -> Iterator[str]:
    """The peers that take less time for a call than AgentFuse with the same durability."""
    ours = {kind: answers["latency"][0] for kind, answers in peers["agentfuse"]["kinds"].items()}
    classes = {"memory": "memory", "NORMAL": "SQLite, NORMAL", "FULL": "SQLite, FULL"}
    lines = []
    for name, title in PEERS.items():
        for kind, answers in peers.get(name, {}).get("kinds", {}).items() if name not in OURS else ():
            same = next((mine for word, mine in classes.items() if word in kind), None)
            took = answers.get("latency")
            if same is not None and isinstance(took, list) and took[0] < ours[same]:
                lines.append(
                    f"- {title} ({kind}) takes {_figure(took[0])} µs a call, AgentFuse ({same}) {_figure(ours[same])} µs."
                )
    if lines:
        yield AHEAD + "\n".join(lines)
        yield "\nWhat they do in that time is less, as the columns beside it and their own pages say."
