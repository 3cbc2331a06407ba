"""The refusals: why calls were refused, by which limits and what to do, which loops were cut, and the latest of all."""

from collections.abc import Sequence

from agent_fuse.calls import Entry
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.reading import Refused
from agent_fuse.report.tables import MOST_ROWS, Cell, Columns, draw
from agent_fuse.report.tally import ReportTally
from agent_fuse.report.words import REASONS, money, name, safe, time
from agent_fuse.views.limit_status import refuser

_SHORT = 8


def refusals(tally: ReportTally, refused: Sequence[Refused], latest: Sequence[Entry]) -> str:
    """The section's content."""
    if not tally.total.refused:
        return '<p class="empty">Nothing was refused.</p>'
    parts = [_reasons(tally), _limits([one for one in refused if one.by is not None and one.by.limit]), _loops(tally)]
    hidden = tally.total.refused - len(latest)
    foot = f"and {hidden:,} before them; agent-fuse calls --refused lists them" if hidden else ""
    columns = Columns(
        titles=("time, UTC", "refused by", "model or tool", "session", "agent", "quote"),
        sorted_by=0,
        words=(1, 2, 3, 4),
    )
    table = draw("The latest refusals", columns, [_line(one) for one in latest], foot=foot)
    opened = " open" if len(latest) <= _SHORT else ""
    parts.append(f"<details{opened}><summary>The latest refusals, one by one</summary>{table}</details>")
    return "".join(parts)


def _reasons(tally: ReportTally) -> str:
    parts = ['<ul class="reasons">']
    for reason, line in sorted(tally.reasons.items(), key=lambda one: -one[1].refused):
        title, why = REASONS.get(reason, (f"Refused: {reason or 'no reason given'}", ""))
        saved = f", quoted at {money(line.saved)}" if line.saved else ""
        parts.append(
            f'<li><b class="bad">{line.refused:,}</b><span><strong>{safe(title)}</strong>{safe(saved)}'
            f"{f'<br>{safe(why)}' if why else ''}</span></li>"
        )
    return "".join([*parts, "</ul>"])


def _limits(refused: Sequence[Refused]) -> str:
    if not refused:
        return ""
    rows: list[list[Cell]] = []
    for one in refused[:MOST_ROWS]:
        by = one.by
        if by is None:
            continue
        limit = f'<span class="name">{safe(refuser(by))}</span><span class="advice">{safe(by.advice)}</span>'
        spent, held = (money(n) if by.meter == Meter.USD else f"{n:,}" for n in (by.spent, by.held))
        rows.append(
            [
                Cell(limit, refuser(by).casefold()),
                Cell(f'<span class="bad">{one.count:,}</span>', one.count),
                Cell(money(one.saved) if one.saved else '<span class="zero">none</span>', one.saved),
                Cell(spent, by.spent),
                Cell(held, by.held),
                Cell(time(one.last), time(one.last)),
            ]
        )
    titles = ("limit, and what to do", "refused", "quoted", "spent then", "held then", "last refused, UTC")
    rest = len(refused) - len(rows)
    foot = f"and {rest:,} more; agent-fuse report --json has them all" if rest else ""
    return draw("Limits that refused", Columns(titles=titles), rows, foot=foot)


def _loops(tally: ReportTally) -> str:
    if not tally.loops:
        return ""
    rows = [
        [
            Cell(name(tool), tool.casefold()),
            Cell(f'<span class="bad">{loop.count:,}</span>', loop.count),
            Cell(name(session), session.casefold()),
            Cell(name(agent), agent.casefold()),
            Cell(time(loop.first), time(loop.first)),
            Cell(time(loop.last), time(loop.last)),
        ]
        for (session, agent, tool), loop in sorted(tally.loops.items(), key=lambda one: -one[1].count)[:MOST_ROWS]
    ]
    titles = ("tool", "refused", "session", "agent", "first cut", "last cut")
    rest = len(tally.loops) - len(rows)
    foot = f"and {rest:,} more; agent-fuse report --json has them all" if rest else ""
    return draw("Loops that were cut", Columns(titles=titles, words=(0, 2, 3)), rows, foot=foot)


def _line(one: Entry) -> list[Cell]:
    by = one.refused_by
    what = refuser(by) if by is not None and by.limit else one.reason
    return [
        Cell(time(one.at), time(one.at)),
        Cell(safe(what), what),
        Cell(name(one.tool or one.model), (one.tool or one.model).casefold()),
        Cell(name(one.session), one.session.casefold()),
        Cell(name(one.agent), one.agent.casefold()),
        Cell(money(one.cost) if one.cost else '<span class="zero">none</span>', one.cost),
    ]
