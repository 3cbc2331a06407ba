"""`agent-fuse calls`: the journal, the latest call first."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.cli import clock
from agent_fuse.cli.options import (
    Agent,
    Db,
    Estimated,
    Json,
    Model,
    Refused,
    Session,
    Since,
    Tool,
    Until,
    reader,
    selection,
)
from agent_fuse.cli.show import amount, clean, console, emit, exact, iso, local, money, paragraph, say, usd
from agent_fuse.cli.tables import NARROW, Column, Row, draw
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.reading import Refused as Sum

_COLUMNS = (
    Column(title="time"),
    Column(title="session", shrink=True, least=8),
    Column(title="agent", shrink=True, optional=1),
    Column(title="model or tool", short="what", shrink=True, least=8),
    Column(title="tokens", right=True, optional=2),
    Column(title="cost", right=True),
    Column(title="status", shrink=True, least=10),
)
_REFUSED = (
    Column(title="time"),
    Column(title="session", shrink=True, least=8, optional=3),
    Column(title="agent", shrink=True, optional=5),
    Column(title="model or tool", short="what", shrink=True, least=12, optional=1),
    Column(title="refused by", shrink=True, least=24),
    Column(title="spent", right=True, optional=2),
    Column(title="held", right=True, optional=4),
    Column(title="asked for", short="asked", right=True),
)
_ADVICE = Column(title="what to do")
_STYLES = {Status.SETTLED: "", Status.ESTIMATED: "yellow", Status.PRESUMED: "yellow", Status.REFUSED: "red"}


def calls(
    *,
    db: Db = None,
    since: Since = None,
    until: Until = None,
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
        until=until,
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
    if refused and not estimated:
        _print_refused(out, found)
    else:
        draw(out, _COLUMNS, [_row(one, at) for one, at in zip(found, _times(out, found), strict=True)])
    if more:
        say(out, f"and more; see --limit (now {limit}), --since, --until", style="dim")


def _row(one: Entry, at: str) -> Row:
    return Row(
        (
            at,
            clean(one.session),
            clean(one.agent),
            clean(one.tool or one.model),
            _tokens(one),
            f"({money(one.cost)})" if one.status is Status.REFUSED else money(one.cost),
            f"{one.status} {_why(one)}".strip(),
        ),
        _STYLES[one.status],
    )


def _why(one: Entry) -> str:
    """What refused it, or how its cost is known where that is not by usage and our prices."""
    if one.status is Status.REFUSED:
        return refuser(one)
    drift = "" if one.computed is None else f"by provider (ours {money(one.computed)})"
    return " ".join(filter(None, (clean(one.reason), drift)))


def _print_refused(out: Console, found: Sequence[Entry]) -> None:
    """Refused calls by what refused them; on a terminal what to do stands once beneath, in a pipe on each line."""
    rows: list[Row] = []
    for one, at in zip(found, _times(out, found), strict=True):
        by = one.refused_by or RefusedBy()
        figures = [amount(Meter(by.meter), n) for n in (by.spent, by.held, by.requested)] if by.limit else [""] * 3
        cells = (at, clean(one.session), clean(one.agent), clean(one.tool or one.model))
        rows.append(Row((*cells, refuser(one), *figures, *(() if out.is_terminal else (clean(by.advice),)))))
    draw(out, _REFUSED if out.is_terminal else (*_REFUSED, _ADVICE), rows)
    if out.is_terminal:
        say(out)
        told = {refuser(one): clean(one.refused_by.advice) for one in reversed(found) if one.refused_by}
        for caller, what in reversed(told.items()):
            paragraph(out, f"{caller}: {what}")


def refuser(one: Entry | Sum) -> str:
    """What refused a call, in a few words: `$0.02 per user.id ann`, or the reason where it was no limit."""
    by = one.refused_by if isinstance(one, Entry) else one.by
    return clean(f"{by.limit} {by.value}".rstrip() if by is not None and by.limit else one.reason)


def _times(out: Console, found: Sequence[Entry]) -> list[str]:
    """The times of calls: on a narrow terminal without the date where they are of one day, else to the minute."""
    times = [local(one.at) for one in found]
    if not out.is_terminal:
        return times
    if out.width >= NARROW:
        return [one[5:] for one in times]
    one_day = len({one[:10] for one in times}) == 1
    return [one[11:] if one_day else one[5:16] for one in times]


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
        "refused_by": refused_by(one.refused_by),
        "session": one.session,
        "agent": one.agent,
        "provider": one.provider,
        "model": one.model,
        "operation": one.operation,
        "tool": one.tool,
        "cost_usd": usd(one.cost),
        "fee_usd": usd(one.fee),
        "source": one.source or "prices",
        "computed_usd": None if one.computed is None else usd(one.computed),
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cache_read_tokens": one.cache_read_tokens,
        "cache_write_tokens": one.cache_write_tokens,
        "reasoning_tokens": one.reasoning_tokens,
        "response_id": one.response_id,
        "trace_id": one.trace_id,
        "span_id": one.span_id,
    }


def refused_by(by: RefusedBy | None) -> dict[str, Any] | None:
    """What refused a call, in the schema of docs/cli.md; without a limit, advice alone."""
    if by is None:
        return None
    names = ("cap", "spent", "held", "requested")
    figures = {name: exact(Meter(by.meter), getattr(by, name)) if by.limit else None for name in names}
    of_limit = {name: getattr(by, name) or None for name in ("limit", "per", "value", "meter")}
    return {**of_limit, **figures, "advice": by.advice}
