"""`agent-fuse calls`: the journal, the latest call first."""

from typing import Annotated, Any

import typer

from agent_fuse.calls import Entry, Status
from agent_fuse.cli import clock
from agent_fuse.cli.options import Agent, Db, Estimated, Json, Model, Refused, Session, Since, Tool, reader, selection
from agent_fuse.cli.show import clean, console, emit, iso, local, money, say, usd
from agent_fuse.cli.tables import Column, Row, draw

_COLUMNS = (
    Column(title="time"),
    Column(title="session", shrink=True),
    Column(title="agent", shrink=True, optional=1),
    Column(title="model or tool", shrink=True),
    Column(title="tokens", right=True, optional=2),
    Column(title="cost", right=True),
    Column(title="status"),
)

_STYLES = {Status.SETTLED: "", Status.ESTIMATED: "yellow", Status.PRESUMED: "yellow", Status.REFUSED: "red"}


def calls(
    *,
    db: Db = None,
    since: Since = None,
    session: Session = None,
    agent: Agent = None,
    model: Model = None,
    tool: Tool = None,
    refused: Refused = False,
    estimated: Estimated = False,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Most calls shown; 0 for all.")] = 20,
    json: Json = False,
) -> None:
    """The calls that were booked or refused, the latest first. Filters add up."""
    which = selection(
        now=clock.now(),
        since=since,
        session=session,
        agent=agent,
        model=model,
        tool=tool,
        refused=refused,
        estimated=estimated,
    )
    found = list(reader(db).entries(which, limit=limit + 1 if limit else None))
    more = bool(limit) and len(found) > limit
    found = found[:limit] if limit else found
    if json:
        emit("calls", calls=[as_json(one) for one in found], more=more)
        return
    out = console()
    if not found:
        say(out, "No call fits.")
        return
    rows = [
        Row(
            (
                local(one.at)[5:] if out.is_terminal else local(one.at),
                clean(one.session),
                clean(one.agent),
                clean(one.tool or one.model),
                _tokens(one),
                f"({money(one.cost)})" if one.status is Status.REFUSED else money(one.cost),
                f"{one.status} {clean(one.reason)}".strip(),
            ),
            _STYLES[one.status],
        )
        for one in found
    ]
    draw(out, _COLUMNS, rows)
    if more:
        say(out, f"and more; see --limit (now {limit}), --since", style="dim")


def _tokens(one: Entry) -> str:
    if one.input_tokens is None and one.output_tokens is None:
        return ""
    return f"{one.input_tokens or 0:,}+{one.output_tokens or 0:,}"


def as_json(one: Entry) -> dict[str, Any]:
    """A journal line in the schema of docs/cli.md."""
    return {
        "id": one.id,
        "at": iso(one.at),
        "status": str(one.status),
        "reason": one.reason,
        "session": one.session,
        "agent": one.agent,
        "provider": one.provider,
        "model": one.model,
        "operation": one.operation,
        "tool": one.tool,
        "cost_usd": usd(one.cost),
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cache_read_tokens": one.cache_read_tokens,
        "cache_write_tokens": one.cache_write_tokens,
        "reasoning_tokens": one.reasoning_tokens,
        "response_id": one.response_id,
        "trace_id": one.trace_id,
        "span_id": one.span_id,
    }
