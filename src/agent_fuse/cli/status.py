"""`agent-fuse status`: the limits as bars, what is spent, held and left, and what was refused lately."""

import os
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console

from agent_fuse.account_names import ALL, is_nobodys, plain
from agent_fuse.accounting.day_sum import NOTE, spent_today
from agent_fuse.calls import WOULD, Status
from agent_fuse.cli import LIMIT_REACHED, clock
from agent_fuse.cli.calls import refuser
from agent_fuse.cli.control import decisions_due
from agent_fuse.cli.options import Db, Json, Until, reader
from agent_fuse.cli.show import amount, bar, clean, console, emit, local, money, paragraph, say
from agent_fuse.cli.tables import Column, Heading, TableRow, draw
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import Balance, Meter
from agent_fuse.ledgers.reading import Reader, Refused, Saved, Selection
from agent_fuse.limits import counted
from agent_fuse.otel.facts import Fact
from agent_fuse.views import as_json
from agent_fuse.views.as_json import iso, usd
from agent_fuse.views.asked_period import period
from agent_fuse.views.limit_status import LimitStatus, Standings, account_of, known_caps, standings
from agent_fuse.views.other_processes import told_by_processes

_LATELY = "1h"
_REFUSERS = 5
_NEAR = 0.8
_MANY = 5_000
"""Accounts looked through for one that was perhaps meant."""


def status(
    *,
    db: Db = None,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="Refusals from then on: an age (1h, 2d) or an ISO time.")
    ] = _LATELY,
    until: Until = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Only this account, such as session=run-1 or all.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most accounts shown for each cap.")] = 10,
    json: Json = False,
) -> None:
    """Limits as bars: what is spent, held by open calls, and left.

    Then what was refused lately, and by which, and which guarded processes need a look.

    Caps are those that fuses posted in the ledger, else AGENTFUSE_BUDGET. Exits with 1 when a limit shown is reached,
    or something was refused since --since.
    """
    now = clock.now()
    books = reader(db)
    begin, end = period(since, until, now=now)
    if account is not None:
        account = plain(account)
        _must_exist(books, account)
    everything = books.balances([ALL])[ALL]
    opened = books.open_calls()
    today = spent_today(books.notes(NOTE).get(NOTE), everything.settled.usd, now)
    lately = Selection(since=begin, until=end)
    refused = [one for one in books.refused(lately) if _concerns(one, account)]
    observed = books.refused(replace(lately, statuses=frozenset([Status.WOULD_REFUSE])))
    observed = [one for one in observed if _concerns(one, account)]
    saved = books.saved(lately) if account is None else []
    cost, fees = books.booked(lately)
    unseen = told_by_processes(books, now=now) if account is None else []
    found = standings(books, known_caps(books, os.environ), now=now, limit=limit, account=account, refused=refused)
    if json:
        emit(
            "status",
            2,
            ledger=books.where,
            at=iso(now),
            total=as_json.total(everything),
            today_usd=None if today is None else usd(today),
            open={"calls": opened[0], "held_usd": usd(opened[1])},
            limits=[as_json.standing(one) for one in found.shown],
            more=found.more,
            tightest=as_json.standing(found.tightest) if found.tightest is not None else None,
            since=iso(begin),
            until=None if end is None else iso(end),
            booked={"usd": usd(cost), "token_usd": usd(cost - fees), "fee_usd": usd(fees)},
            refused=[as_json.refusals(one) for one in refused],
            would_refuse=[as_json.refusals(one) for one in observed],
            saved=[as_json.savings(one) for one in saved if not one.by.startswith(WOULD)],
            would_save=[as_json.savings(one) for one in saved if one.by.startswith(WOULD)],
            blind=[{"what": one.what, "fix": one.fix} for one in unseen],
        )
    else:
        out = console()
        say(out, clean(books.where), style="dim")
        _print_total(out, everything, opened)
        _print_limits(out, found, books.balances([account], now=now)[account] if account is not None else None)
        if account is None:
            _print_sum(out, found, everything.settled.usd, today)
        when = "in the last hour" if since == _LATELY else f"since {local(begin)}"
        if fees and account is None:
            say(out)
            paragraph(out, f"{when[0].upper()}{when[1:]}: {money(cost - fees)} for tokens, {money(fees)} for fees.")
        _print_refused(out, refused, "", when)
        _print_refused(out, observed, "would, without mode='observe', have been", when)
        _print_saved(out, saved, when)
        _print_blind(out, unseen)
        if account is None and (due := decisions_due(books)):
            say(out)
            paragraph(out, due, style="bold yellow")
        _print_tightest(out, found)
    if refused or any(one.reached for one in found.shown):
        raise typer.Exit(LIMIT_REACHED)


def _concerns(one: Refused, account: str | None) -> bool:
    """Whether a refusal is the account's: by a limit on it, or, where it was no limit, of its session."""
    if account is None or one.by is None:
        return account is None
    return account_of(one.by) == account if one.by.limit else account == f"session={one.session}"


def _must_exist(books: Reader, account: str) -> None:
    """A name that is no account is a slip, and not to be taken for an account that is well."""
    if account == ALL or books.has_account(account):
        return
    names = list(dict.fromkeys(plain(name) for name in books.account_names(_MANY)))
    meant = [name for name in names if name.partition("=")[2] == account]
    meant = meant or get_close_matches(account, names, n=1)
    hint = f"did you mean {meant[0]!r}?" if meant else "accounts are named key=value, such as session=run-1, or all"
    raise ConfigurationError(f"--account is {account!r}, and the ledger has no such account; {hint}")


_COLUMNS = (
    Column(title="account", shrink=True, least=12),
    Column(title="cap", right=True),
    Column(title="spent", right=True),
    Column(title="held", right=True, optional=2),
    Column(title="left", right=True),
    Column(title="refused", right=True, optional=1),
    Column(title="used"),
)


def print_standings(out: Console, shown: Sequence[LimitStatus]) -> None:
    """The bars, under the cap they share; in a pipe the cap is a column."""
    rows: list[TableRow | Heading] = []
    ordered = sorted(shown, key=lambda one: (one.cap.meter is not Meter.USD, one.cap.per != ALL, bool(one.cap.account)))
    for cap, members in groupby(ordered, key=lambda one: str(one.cap)):
        rows.append(Heading(clean(cap)))
        rows += [_row(out, one) for one in members]
    if out.is_terminal:
        columns = tuple(column for column in _COLUMNS if column.title != "cap")
        draw(
            out,
            columns,
            [TableRow((*row.cells[:1], *row.cells[2:])) if isinstance(row, TableRow) else row for row in rows],
        )
    else:
        draw(out, _COLUMNS, rows)


def _row(out: Console, one: LimitStatus) -> TableRow:
    meter, cap = one.cap.meter, one.amount
    name = one.value if out.is_terminal else one.account
    if one.extra and out.is_terminal:  # under the cap that it shares with others
        name += f" (+{counted(meter, one.extra)})"
    return TableRow(
        (
            f"  {clean(name)}" if out.is_terminal else clean(name),
            one.words,
            amount(meter, one.spent),
            amount(meter, one.held),
            amount(meter, one.left),
            f"{one.refused:,}",
            bar(out, one.spent / cap if cap else 1.0, one.held / cap if cap else 0.0),
        )
    )


def _print_total(out: Console, everything: Balance, opened: tuple[int, int]) -> None:
    settled = everything.settled
    paragraph(
        out,
        f"{money(settled.usd)} spent in {settled.calls:,} calls, {settled.tokens:,} tokens, "
        f"{settled.tool_calls:,} tool calls; {everything.refused:,} refused",
        style="bold",
    )
    if opened[0]:
        say(out, f"{opened[0]:,} open, holding {money(opened[1])}")
    say(out)


def _print_limits(out: Console, found: Standings, account: Balance | None) -> None:
    shown = {one.cap for one in found.shown}
    unmet = ", ".join(dict.fromkeys(clean(str(cap)) for cap in found.caps if cap not in shown))
    if found.shown:
        print_standings(out, found.shown)
        if unmet and account is None:
            paragraph(out, f"No call has met yet: {unmet}.")
        if found.more:
            say(out, f"and {found.more:,} more, less used than those of their cap; see --limit, --account", style="dim")
    elif account is not None:
        say(out, f"No limit is known for this account; {money(account.settled.usd)} is spent on it.")
    elif unmet:
        paragraph(out, f"No call has met a limit yet. The limits are {unmet}.")
    else:
        say(out, "No limit is known: no fuse has posted one here, and AGENTFUSE_BUDGET is not set.")


def _print_sum(out: Console, found: Standings, spent: int, today: int | None) -> None:
    """The sum of all sessions, where each of them has a budget; and whether anything caps it."""
    caps = {cap.per for cap in found.caps if cap.meter is Meter.USD}
    if spent and "session" in caps:
        capped = "" if ALL in caps else "; no total_budget caps the sum"
        say(out)
        of_today = "" if today is None else f", {money(today)} of it today (UTC)"
        paragraph(out, f"All sessions together: {money(spent)} spent{of_today}{capped}.")


def _print_refused(out: Console, refused: Sequence[Refused], would: str, when: str) -> None:
    if not refused:
        return
    calls = sum(one.count for one in refused)
    say(out)
    say(
        out,
        f"{calls:,} {'call' if calls == 1 else 'calls'} {would or ('was' if calls == 1 else 'were')} refused {when}:",
        style="bold red",
    )
    for one in refused[:_REFUSERS]:
        what = f"{one.count:,} by {refuser(one)}" if one.by and one.by.limit else f"{one.count:,}: {refuser(one)}"
        what += f" of {clean(one.tool)}" if one.tool else ""
        paragraph(out, f"{what}; {clean(one.by.advice)}" if one.by and one.by.advice else what, indent=2)
    if len(refused) > _REFUSERS:
        say(out, f"  and {len(refused) - _REFUSERS:,} more limits; see agent-fuse calls --refused", style="dim")


def _print_saved(out: Console, saved: Sequence[Saved], when: str) -> None:
    if saved:
        say(out)
    for one in saved:
        way = one.by.removeprefix(WOULD)
        did = "would have saved" if one.by.startswith(WOULD) else "saved"
        most = "up to " if "clamp" in way and did == "saved" else ""
        calls = f"{one.count:,} {'call' if one.count == 1 else 'calls'}"
        paragraph(out, f"{way.capitalize()} {did} {most}{money(one.saved)} on {calls} {when}.")


def _print_blind(out: Console, unseen: Sequence[Fact]) -> None:
    if unseen:
        say(out)
        say(out, "Guarded processes that need a look:", style="bold yellow")
    for one in unseen[:_REFUSERS]:
        paragraph(out, f"{clean(one.what)}; {clean(one.fix)}" if one.fix else clean(one.what), indent=2)
    if len(unseen) > _REFUSERS:
        say(out, f"  and {len(unseen) - _REFUSERS:,} more; see agent-fuse doctor --db", style="dim")


def _print_tightest(out: Console, found: Standings) -> None:
    one = found.tightest
    if one is None:
        return
    reached = sum(other.reached for other in found.shown)
    style = "bold red" if reached or one.refused else "yellow" if one.used >= _NEAR else ""
    meter = one.cap.meter
    of = str(one.cap) if one.cap.account or one.cap.per == ALL else f"{one.cap} {one.value}"
    of = f"{one.words} of {one.whose}" if one.cap.window or is_nobodys(one.account) else of
    more = f"; {reached:,} of the limits shown {'is' if reached == 1 else 'are'} reached" if reached else ""
    say(out)
    text = f"Tightest: {of}, {one.used * 100:.0f} % used, {amount(meter, one.left)} left{more}."
    paragraph(out, clean(text), style=style)
