"""A ledger with very many journal lines, written the quick way: in bulk, with the accounts they add up to."""

import random

import apsw

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import codec, open_ledger

NOW = 1_800_000_000.0
MODELS = ("gpt-5", "gpt-5-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro", "o4-mini", "mistral-large")
AGENTS = ("planner", "researcher", "writer", "critic", "triage", "")
TOOLS = ("search", "read_file", "sql", "browser")


def entries(count, seed):
    """So many lines over 90 days up to now, the last hour as busy as the others."""
    chance = random.Random(seed)
    step = 90 * 86_400 / count
    for number in range(count):
        at = NOW - (count - number) * step
        is_tool, refused = chance.random() < 0.2, chance.random() < 0.03
        yield Entry(
            id=f"{seed:x}-{number:x}",
            at=at,
            status=Status.REFUSED if refused else Status.ESTIMATED if chance.random() < 0.05 else Status.SETTLED,
            session=f"run-{number // 100}" if chance.random() < 0.98 else "shared",
            agent=chance.choice(AGENTS),
            provider="" if is_tool else "openai",
            model="" if is_tool else chance.choice(MODELS),
            operation="execute_tool" if is_tool else "chat",
            tool=chance.choice(TOOLS) if is_tool else "",
            cost=0 if is_tool else chance.randrange(10_000, 40_000_000),
            input_tokens=None if is_tool else chance.randrange(100, 90_000),
            output_tokens=None if is_tool else chance.randrange(10, 4_000),
            reason=chance.choice(("budget", "budget", "loop")) if refused else "",
            response_id=f"chatcmpl-{number:027d}",
            trace_id=f"{number:032x}",
            span_id=f"{number:016x}",
        )


def fill(path, count, seed=7):
    """Write them, and return the nano-dollars that were spent."""
    open_ledger(path).close()
    db = apsw.Connection(str(path))
    marks = ", ".join("?" * len(codec.ENTRY))
    spent, sessions = 0, {}

    def lines():
        nonlocal spent
        for one in entries(count, seed):
            own = sessions.setdefault(one.session, [0, 0, 0, 0, 0, 0])
            if one.status is Status.REFUSED:
                own[5] += 1
            else:
                spent += one.cost
                tool = one.operation == "execute_tool"
                figures = (one.cost, (one.input_tokens or 0) + (one.output_tokens or 0), one.output_tokens or 0)
                for place, figure in enumerate((*figures, 0 if tool else 1, 1 if tool else 0)):
                    own[place] += figure
            yield codec.entry_row(one)

    with db:
        db.executemany(f"INSERT INTO journal ({', '.join(codec.ENTRY)}) VALUES ({marks})", lines())
        totals = [sum(column) for column in zip(*sessions.values(), strict=True)]
        accounts = [("all", totals), *((f"session={name}", own) for name, own in sessions.items())]
        db.executemany(
            "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, ?, NULL, 0)",
            ((name, *own) for name, own in accounts),
        )
        db.execute(
            "INSERT INTO notes VALUES ('caps/per/usd/session', ?, ?), ('caps/per/tool_calls/session', ?, ?)",
            (NOW, b'{"amount": 5000000000}', NOW, b'{"amount": 500}'),
        )
    db.close()
    return spent
