"""The page: what was spent and what was stopped, first in one sentence, then in figures, charts and tables."""

from dataclasses import dataclass
from importlib.resources import files

from agent_fuse.calls import Entry
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.reading import Refused
from agent_fuse.report.charts import over_time
from agent_fuse.report.refusals import refusals
from agent_fuse.report.tables import Cell, Columns, draw, spenders
from agent_fuse.report.tally import ReportTally
from agent_fuse.report.words import count, day, money, rounded, safe, short
from agent_fuse.views.limit_status import LimitStatus

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_FUSE = (
    '<svg class="fuse" viewBox="0 0 48 24" aria-hidden="true"><path d="M0 12h10M38 12h10"/>'
    '<rect x="10" y="4" width="28" height="16" rx="8"/><path d="M14 12c4-6 6-6 10 0s6 6 10 0"/></svg>'
)
_ALMOST, _NEAR = 0.95, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the page shows."""

    ledger: str
    """The ledger's name, for the head of the page."""
    made_at: float
    """Seconds, UTC epoch."""
    first: float
    """The oldest call in it, and the latest."""
    last: float
    tally: ReportTally
    limits: tuple[LimitStatus, ...] = ()
    refused: tuple[Refused, ...] = ()
    """Refused calls by the limit that refused them, the most first."""
    latest: tuple[Entry, ...] = ()
    """The last refused calls, the latest first."""


def page(report: Report) -> str:
    """One HTML file that needs nothing else."""
    tally = report.tally
    body = [_head(report)]
    if tally.total.calls or tally.total.refused or tally.total.tool_calls:
        body += [
            _figures(tally),
            _section("Spend over time", over_time(tally, report.first, report.last)),
            _section("Refusals, and why", refusals(tally, report.refused, report.latest)),
            *([_section("Limits", _limits(report.limits))] if report.limits else []),
            '<div class="pair">',
            _section("Models", spenders("Spend by model", "model", tally.models, empty="(no model)")),
            _section("Agents", spenders("Spend by agent", "agent", tally.agents, empty="(no agent named)")),
            _section("Sessions", spenders("Spend by session", "session", tally.sessions, empty="(no session)")),
        ]
        if tally.tools:
            tools = spenders("Calls by tool", "tool", tally.tools, empty="(no name)", money_matters=False)
            body.append(_section("Tools", tools))
        body.append("</div>")
    else:
        body.append('<p class="empty">No call was booked or refused in this time.</p>')
    resources = files("agent_fuse.report")
    style, script = (resources.joinpath(one).read_text("utf-8") for one in ("style.css", "script.js"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>AgentFuse report: {safe(report.ledger)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<main>\n{''.join(body)}\n</main>\n{_foot(report)}<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _head(report: Report) -> str:
    total = report.tally.total
    period = f"{day(report.first)} to {day(report.last)} UTC" if report.last else "no calls yet"
    stopped = ""
    if total.refused:
        worth = f", quoted at <strong>{rounded(total.saved)}</strong>" if total.saved else ""
        stopped = f' AgentFuse refused <strong class="bad">{count(total.refused, "call")}</strong>{worth}.'
    return (
        f'<header><p class="brand">{_FUSE}AgentFuse</p><h1>Agents spent <strong>{rounded(total.cost)}</strong> '
        f"in {count(total.calls, 'call')}.{stopped}</h1>"
        f'<p class="period">{period} <span class="dot">·</span> {safe(report.ledger)}</p></header>\n'
    )


def _figures(tally: ReportTally) -> str:
    total = tally.total
    share = f"{100 * total.estimated / total.cost:.0f} % of it estimated" if total.estimated else "all as reported"
    if total.fees:
        share += f", {rounded(total.fees)} of it fees"
    loops = f"{count(len(tally.loops), 'loop')} cut" if tally.loops else "no loop"
    figures = (
        ("spent", rounded(total.cost), share, ""),
        ("saved", rounded(total.saved), "refusals, as quoted", "good" if total.saved else ""),
        ("refused", f"{total.refused:,}", loops, "bad" if total.refused else ""),
        ("calls", f"{total.calls:,}", count(total.tool_calls, "tool call"), ""),
        ("sessions", f"{len(tally.sessions):,}", count(sum(1 for agent in tally.agents if agent), "agent"), ""),
        (
            "tokens",
            short(total.input_tokens + total.output_tokens),
            f"{short(total.input_tokens)} in, {short(total.output_tokens)} out",
            "",
        ),
    )
    items = "".join(
        f'<div class="figure {kind}"><dt>{what}</dt><dd><b>{value}</b><span>{more}</span></dd></div>'
        for what, value, more, kind in figures
    )
    return f'<dl class="figures">{items}</dl>\n'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{safe(title)}</h2>{content}</section>\n"


def _limits(limits: tuple[LimitStatus, ...]) -> str:
    rows: list[list[Cell]] = []
    for one in sorted(limits, key=lambda one: -one.used):
        usd = one.cap.meter is Meter.USD
        spent, held, left = ((money(n) if usd else f"{n:,}") for n in (one.spent, one.held, one.left))
        kind = "full" if one.used >= _ALMOST else "near" if one.used >= _NEAR else "well"
        solid = min(one.spent / one.amount, 1.0) if one.amount else 1.0
        gauge = (
            f'<span class="gauge {kind}" aria-hidden="true"><span style="width:{min(one.used, 1) * 100:.1f}%"></span>'
            f'<span style="width:{solid * 100:.1f}%"></span></span><span class="of-gauge">{one.used * 100:.0f} %</span>'
        )
        rows.append(
            [
                Cell(safe(one.whose), one.whose.casefold()),
                Cell(safe(one.words), one.words),
                Cell(gauge, round(one.used, 6)),
                Cell(spent, one.spent),
                Cell(held, one.held),
                Cell(left, one.left),
                Cell(f'<span class="{"bad" if one.refused else "zero"}">{one.refused:,}</span>', one.refused),
            ]
        )
    return draw(
        "Limits, and what is left of them",
        Columns(titles=("per", "limit", "used", "spent", "held", "left", "refused"), sorted_by=2, words=(0,)),
        rows,
    )


def _foot(report: Report) -> str:
    return (
        f"<footer><p>Made {day(report.made_at)} UTC by agent-fuse report. All times are UTC, all money US dollars. "
        "Saved is what refused calls were quoted at: a call that is tried again counts each time, and one refused "
        "before it was quoted counts nothing. Estimated calls are booked at their quote or by counted tokens, since "
        "the provider reported no usage.</p></footer>\n"
    )
