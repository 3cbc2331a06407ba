"""`agent-fuse status`: the limits as bars, what is spent, held and left."""

import os
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.console import Console

from agent_fuse.cli import LIMIT_REACHED, clock
from agent_fuse.cli.options import Db, Json, reader
from agent_fuse.cli.show import amount, bar, clean, console, emit, exact, iso, money, say, usd
from agent_fuse.cli.tables import Column, Heading, Row, draw
from agent_fuse.ledgers.base import Balance, Meter
from agent_fuse.limits import ALL
from agent_fuse.views.standing import Standing, Standings, known_caps, standings


def status(
    *,
    db: Db = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Only this account, such as session=run-1 or all.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most accounts shown for each cap.")] = 10,
    json: Json = False,
) -> None:
    """Limits as bars: what is spent, held by open calls, and left.

    Caps are those that fuses posted in the ledger, else AGENTFUSE_BUDGET. Exits with 1 when a limit shown is reached.
    """
    with_ledger = reader(db)
    everything = with_ledger.balances([ALL])[ALL]
    open_calls, holding = with_ledger.open_calls()
    found = standings(with_ledger, known_caps(with_ledger, os.environ), limit=limit, account=account)
    if json:
        emit(
            "status",
            ledger=str(with_ledger.path),
            at=iso(clock.now()),
            total=_total(everything),
            open={"calls": open_calls, "held_usd": usd(holding)},
            limits=[as_json(one) for one in found.shown],
            more=found.more,
        )
    else:
        _print(console(), str(with_ledger.path), everything, (open_calls, holding), found)
    if any(one.reached for one in found.shown):
        raise typer.Exit(LIMIT_REACHED)


def as_json(one: Standing) -> dict[str, Any]:
    """A standing in the schema of docs/cli.md."""
    meter = one.cap.meter
    return {
        "account": one.account,
        "per": one.cap.per,
        "value": one.value,
        "meter": str(meter),
        "cap": exact(meter, one.cap.amount),
        "spent": exact(meter, one.spent),
        "held": exact(meter, one.held),
        "left": exact(meter, one.left),
        "used": round(one.used, 6),
        "refused": one.refused,
        "reached": one.reached,
        "source": one.cap.source,
    }


_COLUMNS = (
    Column(title="account", shrink=True),
    Column(title="cap", right=True),
    Column(title="spent", right=True),
    Column(title="held", right=True),
    Column(title="left", right=True),
    Column(title="refused", right=True, optional=1),
    Column(title="used"),
)


def print_standings(out: Console, shown: tuple[Standing, ...]) -> None:
    """The bars, under the cap they share; in a pipe the cap is a column."""
    rows: list[Row | Heading] = []
    ordered = sorted(shown, key=lambda one: (one.cap.meter is not Meter.USD, one.cap.per != ALL, bool(one.cap.account)))
    for cap, members in groupby(ordered, key=lambda one: str(one.cap)):
        rows.append(Heading(cap))
        rows += [_row(out, one) for one in members]
    if out.is_terminal:
        columns = tuple(column for column in _COLUMNS if column.title != "cap")
        draw(out, columns, [Row((*row.cells[:1], *row.cells[2:])) if isinstance(row, Row) else row for row in rows])
    else:
        draw(out, _COLUMNS, rows)


def _row(out: Console, one: Standing) -> Row:
    meter, cap = one.cap.meter, one.cap.amount
    name = one.value if out.is_terminal else one.account
    return Row(
        (
            f"  {clean(name)}" if out.is_terminal else clean(name),
            one.cap.words,
            amount(meter, one.spent),
            amount(meter, one.held),
            amount(meter, one.left),
            f"{one.refused:,}",
            bar(out, one.spent / cap if cap else 1.0, one.held / cap if cap else 0.0),
        )
    )


def _print(out: Console, path: str, everything: Balance, opened: tuple[int, int], found: Standings) -> None:
    settled = everything.settled
    say(out, clean(path), style="dim")
    say(
        out,
        f"{money(settled.usd)} spent in {settled.calls:,} calls, {settled.tokens:,} tokens, "
        f"{settled.tool_calls:,} tool calls; {everything.refused:,} refused",
        style="bold",
    )
    if opened[0]:
        say(out, f"{opened[0]:,} open, holding {money(opened[1])}")
    say(out)
    if not found.shown:
        say(out, "No limit is known: no fuse has posted one here, and AGENTFUSE_BUDGET is not set.")
        return
    print_standings(out, found.shown)
    if found.more:
        say(out, f"and {found.more:,} more, less used than those of their cap; see --limit, --account", style="dim")
    reached = sum(one.reached for one in found.shown)
    if reached:
        say(out)
        say(out, f"{reached} of the limits shown {'is' if reached == 1 else 'are'} reached.", style="bold red")


def _total(everything: Balance) -> dict[str, Any]:
    settled = everything.settled
    return {
        "usd": usd(settled.usd),
        "tokens": settled.tokens,
        "output_tokens": settled.output_tokens,
        "calls": settled.calls,
        "tool_calls": settled.tool_calls,
        "refused": everything.refused,
    }
