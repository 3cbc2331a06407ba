"""A hand on the switch: stop, resume or top up what runs, answer what waits, from any process that shares the ledger.

What is decided holds from the next gate on, in every process, and for the windows of the account too. Who decided it,
when and why stands in the ledger.
"""

import getpass
import json
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from agent_fuse.account_names import ALL, key_of, plain
from agent_fuse.account_names import account as named
from agent_fuse.accounting import paused_calls
from agent_fuse.accounting.paused_calls import PausedCall, lacked
from agent_fuse.calls import Usd, to_nanos, to_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.keys import key_named
from agent_fuse.ledgers import deciding, kinds, open_ledger
from agent_fuse.ledgers.base import Ledger, Meter
from agent_fuse.ledgers.controls import Control, TopUp, read
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.mistakes import spelled
from agent_fuse.otel import active
from agent_fuse.settings import settings

__all__ = [
    "Control",
    "Decision",
    "PausedCall",
    "TopUp",
    "approve",
    "deny",
    "in_force",
    "paused",
    "resume",
    "stop",
    "top_up",
]

LOG = "control/"
"""Begins the notes in which decisions stand, by their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What someone decided, as the ledger keeps it."""

    at: float
    """Seconds, UTC epoch."""
    what: str
    """`stop`, `resume`, `top-up` or `deny`."""
    account: str
    amount: str
    """Of a top-up, in words; else empty."""
    who: str
    why: str


@spelled()
def stop(what: str, *, why: str = "", who: str | None = None, db_path: str | None = None) -> Control:
    """Refuse every call of a session, a key's value, or everything, until it is resumed.

    Args:
        what: an account: `session=run-1`, `user.id=ann`, `agent=writer`, or `all`. A word alone is a session.
        why: a few words for whoever meets the refusal. who: by default the name of the user whose process this is.
        db_path: the ledger; by default that of the guard of this process, else that of the settings.

    Raises:
        ConfigurationError: `what` names no account. LedgerError: there is no such ledger, or it cannot be written.
    """
    return _decide("stop", what, lambda one, _: replace(one, stopped=True), why=why, who=who, db_path=db_path)


@spelled()
def resume(what: str, *, why: str = "", who: str | None = None, db_path: str | None = None) -> Control:
    """Let go on what was stopped under the same name. Arguments and errors as of `stop`."""
    return _decide("resume", what, lambda one, _: replace(one, stopped=False), why=why, who=who, db_path=db_path)


@spelled()
def top_up(
    what: str,
    usd: Usd | None = None,
    *,
    tokens: int | None = None,
    output_tokens: int | None = None,
    calls: int | None = None,
    tool_calls: int | None = None,
    concurrent: int | None = None,
    seconds: int | None = None,
    until: datetime | timedelta | None = None,
    why: str = "",
    who: str | None = None,
    db_path: str | None = None,
) -> Control:
    """Raise every limit on an account by so much: on one meter, for good or `until` a moment.

    Top-ups add up. What is given beyond need stays unspent: nobody is billed for a limit.

    Args:
        what: an account, as in `stop`.
        usd: US dollars; or `tokens`, `output_tokens`, `calls`, `tool_calls`, `concurrent`, `seconds`. Exactly one.
        until: when it ends, a moment to come; a duration counts from now. None is for good.

    Raises:
        ConfigurationError: no amount or several, one that cannot be, or an end that is past. LedgerError: the ledger
            cannot be written.
    """
    given = {Meter.USD: usd, Meter.TOKENS: tokens, Meter.OUTPUT_TOKENS: output_tokens}
    given |= {Meter.CALLS: calls, Meter.TOOL_CALLS: tool_calls, Meter.CONCURRENT: concurrent, Meter.SECONDS: seconds}
    chosen = [(meter, value) for meter, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise ConfigurationError(f"a top-up is of exactly one of {', '.join(Meter)}; got {len(chosen)}")
    meter, value = chosen[0]
    amount = _amount(meter, value)

    def raised(one: Control, now: float) -> Control:
        return replace(one, top_ups=(*one.top_ups, TopUp(meter=meter, amount=amount, until=_end(until, now))))

    words = f"${to_usd(amount):f}" if meter is Meter.USD else f"{amount} {meter}"
    return _decide("top-up", what, raised, amount=words, why=why, who=who, db_path=db_path)


@spelled()
def approve(
    what: str,
    usd: Usd | None = None,
    *,
    until: datetime | timedelta | None = None,
    why: str = "",
    who: str | None = None,
    db_path: str | None = None,
) -> Control:
    """Let paused calls of an account go: raise the limit that each waits for, by what it lacks, or by `usd`.

    A limit on seconds is raised to ten from now on. Arguments and errors as of `top_up`; ConfigurationError too where
    no call is paused on the account and no `usd` is given, or where it is and those that are lack no USD.
    """
    account = account_of(what)
    those, now = _paused(db_path)
    waiting = [one for one in those if one.account == account]
    lacking = sorted({one.meter for one in waiting})
    if usd is not None:
        if lacking and Meter.USD not in lacking:
            words = ", ".join(one.replace("_", " ") for one in lacking)
            raise ConfigurationError(f"the calls paused on {account} lack {words}, not USD; approve without an amount")
        return top_up(what, usd, until=until, why=why, who=who, db_path=db_path)
    if not waiting:
        raise ConfigurationError(f"no call is paused on {account}; see agent-fuse limits, or name an amount")
    found: Control | None = None
    for meter in lacking:
        amount = lacked((one for one in waiting if one.meter is meter), now)
        given: dict[str, Any] = {meter.value: to_usd(amount) if meter is Meter.USD else amount}
        found = top_up(what, **given, until=until, why=why, who=who, db_path=db_path)
    return cast("Control", found)


@spelled()
def deny(what: str, *, why: str = "", who: str | None = None, db_path: str | None = None) -> list[PausedCall]:
    """Refuse the paused calls of an account now; those to come may be asked about again. They are returned.

    Raises:
        ConfigurationError: none is paused. LedgerError: the ledger cannot be written.
    """
    account, by = account_of(what), _by(who, why)
    found: list[PausedCall] = []

    def denied(those: dict[str, PausedCall]) -> None:
        found[:] = [replace(one, denied=True, who=by, why=why) for one in those.values() if one.account == account]
        those.update({one.id: one for one in found})

    with _ledger(db_path) as (ledger, now):
        paused_calls.change(ledger, denied, now)
        if found:
            _log(ledger, {"at": now, "what": "deny", "account": account, "amount": "", "who": by, "why": why}, now)
    if not found:
        raise ConfigurationError(f"no call is paused on {account}; agent-fuse limits shows those that are")
    return found


@spelled()
def paused(*, db_path: str | None = None) -> list[PausedCall]:
    """Calls that wait for an answer now, the longest waiting first. Raises LedgerError."""
    return _paused(db_path)[0]


@spelled()
def in_force(*, db_path: str | None = None) -> list[Control]:
    """What is stopped or topped up now. Raises LedgerError."""
    with _ledger(db_path) as (ledger, _):
        found = read(ledger.controls())
    return sorted((one for one in found.by_account.values() if one.is_decided), key=lambda one: one.account)


def account_of(what: str) -> str:
    """The account that a person means. Raises ConfigurationError."""
    text = what.strip() if isinstance(what, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    if not text or "\0" in text:
        raise ConfigurationError(f"account is {what!r}; name a session, key=value such as user.id=ann, or all")
    if text == ALL:
        return ALL
    key, value = key_of(plain(text)) if "=" in text else ("session", text)
    if not key.strip():
        raise ConfigurationError(f"account is {what!r}; before = comes a key, as in user.id=ann")
    if not value:
        raise ConfigurationError(f"account is {what!r}; after {key}= comes whose it is, as in user.id=ann")
    return named(key_named(key), value)


def read_log(notes: dict[str, bytes]) -> list[Decision]:
    """Decisions from the ledger's notes, the newest first. What a later version wrote is left out."""
    found: list[Decision] = []
    for value in notes.values():
        try:
            one = cast("dict[str, Any]", json.loads(value))
            found.append(Decision(**{name: one[name] for name in Decision.__dataclass_fields__}))
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda one: one.at, reverse=True)


def _decide(
    verb: str,
    what: str,
    change: Callable[[Control, float], Control],
    *,
    amount: str = "",
    why: str,
    who: str | None,
    db_path: str | None,
) -> Control:
    account, by = account_of(what), _by(who, why)
    with _ledger(db_path) as (ledger, now):
        decision = {"at": now, "what": verb, "account": account, "amount": amount, "who": by, "why": why}
        note = _log_key(now), json.dumps(decision).encode()
        return deciding.change(
            ledger, account, lambda one: replace(change(one, now), who=by, why=why, at=now), note, now=now
        )


def _paused(db_path: str | None) -> tuple[list[PausedCall], float]:
    with _ledger(db_path) as (ledger, now):
        found = paused_calls.change(ledger, lambda _: None, now)
    return sorted((one for one in found.values() if not one.denied), key=lambda one: one.at), now


def _log(ledger: Ledger, decision: dict[str, Any], now: float) -> None:
    ledger.update_note(_log_key(now), lambda _: (json.dumps(decision).encode(), None), now=now)


def _log_key(now: float) -> str:
    return f"{LOG}{datetime.fromtimestamp(now, UTC).isoformat()}/{os.urandom(4).hex()}"


def _end(until: object, now: float) -> float | None:
    if until is None:
        return None
    try:
        end = now + until.total_seconds() if isinstance(until, timedelta) else cast("datetime", until).timestamp()
    except (AttributeError, TypeError):
        raise ConfigurationError(f"until is {until!r}; it must be a datetime, or a timedelta from now") from None
    except (ValueError, OverflowError):  # a moment that no clock tells
        end = now
    if end <= now:
        raise ConfigurationError(f"until is {until!r}, which is past; name a time to come")
    return end


def _by(who: object, why: object) -> str:
    """Who decides. Raises ConfigurationError: that, or why, is no text."""
    for name, value in (("who", who), ("why", why)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} is {value!r}; it must be a text")
    return _user() if who is None else cast("str", who)


def _amount(meter: Meter, value: object) -> int:
    if meter is Meter.USD:
        try:
            nanos = to_nanos(cast("Usd", value), "top-up usd")
        except ValueError as bad:
            raise ConfigurationError(str(bad)) from None
        if not nanos:
            raise ConfigurationError(f"top-up usd is {value!r}; it must be more than 0")
        return nanos
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**53:
        raise ConfigurationError(f"top-up {meter}={value!r}; it must be a whole number, 1 or more")
    return value


@contextmanager
def _ledger(db_path: str | None) -> Generator[tuple[Ledger, float]]:
    guards = active.guards() if db_path is None else ()
    if guards:
        yield guards[0].fuse.ledger, guards[0].fuse.clock()
        return
    url = settings(db_path=db_path).db_path
    if kinds.scheme_of(url) != "memory":
        open_reader(url).close()  # a slip in its name must make no ledger, and stop nothing there
    ledger = open_ledger(url)
    try:
        yield ledger, time.time()
    finally:
        ledger.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a process whose user has no name
        return ""
