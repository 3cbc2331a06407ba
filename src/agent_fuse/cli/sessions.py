"""`agent-fuse sessions`: what each run spent, the latest first."""

from typing import Annotated

import typer

from agent_fuse.cli import clock
from agent_fuse.cli.options import Agent, Db, Json, Model, Since, Until, User, reader, selection
from agent_fuse.cli.options import Session as SessionOption
from agent_fuse.cli.show import clean, console, emit, local, money, say
from agent_fuse.cli.tables import Column, TableRow, draw
from agent_fuse.views import as_json

_COLUMNS = (
    Column(title="session", shrink=True, least=10),
    Column(title="spent", right=True),
    Column(title="calls", right=True),
    Column(title="tools", right=True, optional=2),
    Column(title="refused", right=True),
    Column(title="tokens", right=True, optional=1),
    Column(title="last call"),
    Column(title="models", shrink=True, least=10, optional=3),
)


def sessions(
    *,
    db: Db = None,
    since: Since = None,
    until: Until = None,
    session: SessionOption = None,
    agent: Agent = None,
    user: User = None,
    model: Model = None,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Most sessions shown; 0 for all.")] = 20,
    json: Json = False,
) -> None:
    """What each session spent, from the journal, the latest first."""
    which = selection(now=clock.now(), since=since, until=until, session=session, agent=agent, user=user, model=model)
    found = reader(db).sums(which, "session", limit=limit + 1 if limit else -1)
    more = bool(limit) and len(found) > limit
    found = found[:limit] if limit else found
    if json:
        emit(
            "sessions",
            sessions=[as_json.session(name, one) for name, one in found],
            more=more,
        )
        return
    out = console()
    if not found:
        say(out, "No session fits.")
        return
    rows = [
        TableRow(
            (
                clean(name) or "(none)",
                money(one.cost),
                f"{one.calls:,}",
                f"{one.tool_calls:,}",
                f"{one.refused:,}",
                f"{one.input_tokens + one.output_tokens:,}",
                local(one.last)[5:16] if out.is_terminal else local(one.last),
                clean(", ".join(one.models)),
            )
        )
        for name, one in found
    ]
    draw(out, _COLUMNS, rows)
    if more:
        say(out, f"and more; see --limit (now {limit}), --since, --until", style="dim")
