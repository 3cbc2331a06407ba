"""`agent-fuse calls`: the journal, the latest call first."""

from collections.abc import Sequence
from typing import Annotated

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
    User,
    reader,
    selection,
)
from agent_fuse.cli.show import amount, clean, console, emit, local, money, paragraph, say
from agent_fuse.cli.tables import NARROW, Column, TableRow, draw
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.reading import Refused as Sum
from agent_fuse.views import as_json, limit_status

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
_STYLES = {
    Status.SETTLED: "",
    Status.ESTIMATED: "yellow",
    Status.PRESUMED: "yellow",
    Status.REFUSED: "red",
    Status.WOULD_REFUSE: "red",
}


def calls(
    *,
    db: Db = None,
    since: Since = None,
    until: Until = None,
    session: Session = None,
    agent: Agent = None,
    user: User = None,
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
        user=user,
        model=model,
        tool=tool,
        refused=refused,
        estimated=estimated,
    )
    found = list(reader(db).entries(which, limit=limit + 1 if limit else None))
    more = bool(limit) and len(found) > limit
    found = found[:limit] if limit else found
    if json:
        emit("calls", calls=[as_json.call(one) for one in found], more=more)
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


def _row(one: Entry, at: str) -> TableRow:
    return TableRow(
        (
            at,
            clean(one.session),
            clean(one.agent),
            clean(one.tool or one.model),
            _tokens(one),
            money(one.cost) if one.status.is_booked else f"({money(one.cost)})",
            f"{one.status} {_why(one)}".strip(),
        ),
        _STYLES[one.status],
    )


def _why(one: Entry) -> str:
    """What refused it, or how its cost is known where that is not by usage and our prices."""
    if not one.status.is_booked:
        return refuser(one)
    fee = f"of it {money(one.fee)} fees" if one.fee else ""
    saved = "" if one.saved is None else f"{one.saved_by} saves {money(one.saved)}"
    drift = "" if one.computed is None else f"by provider (ours {money(one.computed)})"
    return " ".join(filter(None, (clean(one.reason), drift, fee, saved)))


def _print_refused(out: Console, found: Sequence[Entry]) -> None:
    """Refused calls by what refused them; on a terminal what to do stands once beneath, in a pipe on each line."""
    rows: list[TableRow] = []
    for one, at in zip(found, _times(out, found), strict=True):
        by = one.refused_by or RefusedBy()
        figures = [amount(Meter(by.meter), n) for n in (by.spent, by.held, by.requested)] if by.limit else [""] * 3
        cells = (at, clean(one.session), clean(one.agent), clean(one.tool or one.model))
        who = refuser(one) if one.status is Status.REFUSED else f"observed: {refuser(one)}"
        rows.append(TableRow((*cells, who, *figures, *(() if out.is_terminal else (clean(by.advice),)))))
    draw(out, _REFUSED if out.is_terminal else (*_REFUSED, _ADVICE), rows)
    if out.is_terminal:
        say(out)
        told = {refuser(one): clean(one.refused_by.advice) for one in reversed(found) if one.refused_by}
        for caller, what in reversed(told.items()):
            paragraph(out, f"{caller}: {what}")


def refuser(one: Entry | Sum) -> str:
    """What refused a call, in a few words: `$0.02 per user.id ann`, or the reason where it was no limit."""
    by = one.refused_by if isinstance(one, Entry) else one.by
    return clean(limit_status.refuser(by) if by is not None and by.limit else one.reason)


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
