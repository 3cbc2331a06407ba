"""`agent-fuse stop`, `resume`, `top-up`, `approve`, `deny` and `limits`: a hand on the switch."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from agent_fuse.account_names import ALL, key_of
from agent_fuse.accounting import paused_calls
from agent_fuse.accounting.paused_calls import PausedCall
from agent_fuse.accounting.published_limits import PREFIX, read_published
from agent_fuse.cli import clock
from agent_fuse.cli.options import Db, Json, ledger_url, reader
from agent_fuse.cli.show import clean, console, emit, local, paragraph, say
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import shell_word
from agent_fuse.keys import meant_by
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.controls import Control, TopUp
from agent_fuse.ledgers.reading import Reader
from agent_fuse.limits import counted
from agent_fuse.views import as_json
from agent_fuse.views.as_json import iso
from agent_fuse.views.asked_period import when

_DECISIONS = 20

What = Annotated[
    str,
    typer.Argument(metavar="ACCOUNT", help="session=run-1, user.id=ann, …, or all; a word alone is a session."),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Said to whoever meets the refusal.")]
Who = Annotated[str | None, typer.Option("--who", metavar="NAME", help="Who decides; by default the user.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="30m, 2h or an ISO time; without it, for good.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Needed for all where nobody can answer.")]


def stop(what: What, *, db: Db = None, why: Why = "", who: Who = None, yes: Yes = False, json: Json = False) -> None:
    """Refuse every call of a session, of a user, or of everything.

    From its next call on, in every process. A user is one value of a key: user.id=ann.
    """
    _ask(what, "Stop everything that uses this ledger?", yes=yes, json=json)
    from agent_fuse import control  # noqa: PLC0415  loads the guards, which other commands need not wait for

    _done("stop", control.stop(what, why=why, who=who, db_path=_there(db)), db, json=json)


def resume(what: What, *, db: Db = None, why: Why = "", who: Who = None, yes: Yes = False, json: Json = False) -> None:
    """Let go on what was stopped under the same name."""
    _ask(what, "Let everything go on that was stopped with all?", yes=yes, json=json)
    from agent_fuse import control  # noqa: PLC0415

    _done("resume", control.resume(what, why=why, who=who, db_path=_there(db)), db, json=json)


def top_up(
    what: What,
    usd: Annotated[str, typer.Argument(metavar="USD", help="How much more, such as 2.00.")],
    *,
    db: Db = None,
    until: Until = None,
    why: Why = "",
    who: Who = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Raise the limits in USD on an account.

    From its next call on, in every process.
    """
    _ask(what, f"Raise the limits on everything by {clean(usd)} USD?", yes=yes, json=json)
    from agent_fuse import control  # noqa: PLC0415

    _done("top-up", control.top_up(what, usd, until=_end(until), why=why, who=who, db_path=_there(db)), db, json=json)


def approve(
    what: What,
    usd: Annotated[
        str | None, typer.Argument(metavar="USD", help="How much more, such as 2.00; without it, what the calls lack.")
    ] = None,
    *,
    db: Db = None,
    until: Until = None,
    why: Why = "",
    who: Who = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let paused calls of an account go.

    Its limits are raised by what they lack, or by so much.
    """
    _ask(what, "Approve every call that waits for a limit on everything?", yes=yes, json=json)
    from agent_fuse import control  # noqa: PLC0415

    done = control.approve(what, usd, until=_end(until), why=why, who=who, db_path=_there(db))
    _done("approve", done, db, json=json)


def deny(what: What, *, db: Db = None, why: Why = "", who: Who = None, json: Json = False) -> None:
    """Refuse the paused calls of an account now."""
    from agent_fuse import control  # noqa: PLC0415

    found = control.deny(what, why=why, who=who, db_path=_there(db))
    if json:
        emit("deny", 1, calls=[as_json.paused(one) for one in found])
        return
    calls = "1 call is" if len(found) == 1 else f"{len(found)} calls are"
    say(console(), f"{calls} refused on {clean(found[0].account)}.")


def limits(*, db: Db = None, json: Json = False) -> None:
    """Limits in force, what is stopped or topped up, and who did it."""
    from agent_fuse import control  # noqa: PLC0415

    with reader(db) as books:
        caps = read_published(books.notes(PREFIX))
        found = books.controls()
        log = control.read_log(books.notes(control.LOG))
        paused = _waiting(books)
    if json:
        emit(
            "limits",
            1,
            limits=[as_json.limit(one) for one in caps],
            in_force=[as_json.control(one) for one in found],
            paused=[as_json.paused(one) for one in paused],
            decisions=[{**asdict(one), "at": iso(one.at)} for one in log],
        )
        return
    out = console()
    for cap in caps:
        say(out, clean(str(cap)))
    if not caps:
        say(out, "No limit is known: no fuse has posted one here.")
    for one in found:
        say(out, clean(_words(one)), style="bold red" if one.stopped else "yellow")
    for call in paused:
        paragraph(out, clean(_paused_words(call)), style="bold yellow")
    if log:
        say(out)
    for decision in log[:_DECISIONS]:
        by = f" by {decision.who}" if decision.who else ""
        why = f": {decision.why}" if decision.why else ""
        what = f"{decision.what} {decision.account} {decision.amount}".rstrip()
        paragraph(out, clean(f"{local(decision.at)}  {what}{by}{why}"))


def _there(db: str | None) -> str:
    """The ledger that is meant. Raises LedgerError where there is none: a slip in its name must stop nothing else."""
    reader(db).close()
    return ledger_url(db)


def _end(until: str | None) -> datetime | None:
    if until is None:
        return None
    now = clock.now()
    end = when(until, now=now, option="--until", ahead=True)
    if end <= now:
        raise ConfigurationError(f"--until is {until!r}, which is past; name a time to come")
    try:
        return datetime.fromtimestamp(end, UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f"--until is {until!r}, which no calendar tells; leave it out for good") from None


def decisions_due(books: Reader) -> str:
    """In a sentence: how many calls wait for an answer, and what is stopped; empty where neither is."""
    waiting, stopped = len(_waiting(books)), [one.account for one in books.controls() if one.stopped]
    told = [f"{waiting:,} call{' waits' if waiting == 1 else 's wait'} for an answer"] if waiting else []
    if ALL in stopped:
        told.append("everything is stopped")
    elif stopped:
        told.append(
            f"{clean(stopped[0])} is stopped" if len(stopped) == 1 else f"{len(stopped):,} accounts are stopped"
        )
    return f"{', '.join(told)}: agent-fuse limits tells more." if told else ""


def _waiting(books: Reader) -> list[PausedCall]:
    noted = books.notes(paused_calls.NOTE).get(paused_calls.NOTE)
    return [one for one in paused_calls.read(noted, clock.now()).values() if not one.denied]


def _paused_words(one: PausedCall) -> str:
    more = f"{counted(one.meter, one.short)} more than the limit of {one.limit} admits"
    asks = f"agent-fuse approve {shell_word(one.account)}, or deny"
    return f"paused: {one.what} since {local(one.at)}: {more}; until {local(one.until)}: {asks}"


def _ask(what: str, question: str, *, yes: bool, json: bool) -> None:
    if what.strip() != ALL or yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or json:
        raise ConfigurationError("it would act on everything that uses this ledger: add --yes, or name an account")
    typer.confirm(question, abort=True)


def _done(verb: str, one: Control, db: str | None, *, json: bool) -> None:
    with reader(db) as books:
        known = one.account == ALL or books.knows(one.account)
    if json:
        emit(verb, 1, at=iso(one.at), known=known, **as_json.control(one))
        return
    out = console()
    say(out, clean(_words(one, verb)) + "; from its next call on, in every process.")
    if not known:
        key, value = key_of(one.account)
        meant = meant_by(key)
        hint = f"did you mean {meant}={value}?" if meant else "is it spelt as in agent-fuse sessions?"
        say(out, f"No call was booked on {clean(one.account)} so far: {clean(hint)}")


def _words(one: Control, verb: str = "") -> str:
    what = "everything" if one.account == ALL else one.account
    by = f" by {one.who}" if one.who else ""
    why = f" ({one.why})" if one.why else ""
    state = ["stopped"] if one.stopped else ["resumed"] if verb == "resume" else []
    state += [f"topped up by {_more(each)}" for each in one.top_ups]
    kept = ", ".join(f"{counted(Meter.USD, each.amount)} of it is kept for {each.child}" for each in one.fences)
    if not state:
        return f"{what}: {kept}"
    return f"{what} is {', '.join(state)}{by}{why}{f'; {kept}' if kept else ''}"


def _more(one: TopUp) -> str:
    amount = counted(one.meter, one.amount)
    return amount if one.until is None else f"{amount} until {local(one.until)}"
