"""What someone may do from the page: the command line's verbs, through the same functions, with who and why."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast, get_args

from agent_fuse import control
from agent_fuse.account_names import ALL
from agent_fuse.dashboard.state import decisions
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import unbroken
from agent_fuse.ledgers.reading import Reader, open_reader
from agent_fuse.views import as_json
from agent_fuse.views.as_json import Json

Verb = Literal["stop", "resume", "top-up", "approve", "deny"]
VERBS: tuple[Verb, ...] = get_args(Verb)

_QUESTIONS = {
    "stop": "Stop everything that uses this ledger?",
    "resume": "Let everything go on that was stopped with all?",
    "top-up": "Raise the limits on everything?",
    "approve": "Approve every call that waits for a limit on everything?",
    "deny": "Refuse every call that waits for a limit on everything?",
}
_LONGEST = 500


class AskAgain(Exception):
    """It would act on everything: the message is the question that is to be answered with `sure`."""


class Meanwhile(Exception):
    """Someone decided on the same account after what was seen: `decision` is the latest such."""

    def __init__(self, decision: Json) -> None:
        super().__init__(decision)
        self.decision = decision


def act(verb: Verb, asked: Mapping[str, Any], *, who: str, db_path: str) -> Json:
    """Do it, and say what is in force then.

    Args:
        verb: what to do.
        asked: `account`, `usd` (a decimal text), `for_seconds` (of a top-up or approval), `why`, `sure` (for all),
            `seen` (the `at` of the state that is answered; null looks at nothing that came after).
        who: on whose word. db_path: the ledger.

    Raises:
        ConfigurationError: something of it cannot be. AskAgain: it is for everything, and nobody was sure.
        Meanwhile: it was answered after it was `seen`. LedgerError: the ledger is gone, or cannot be written.
    """
    what, why = _text(asked, "account"), _text(asked, "why")
    account = control.account_of(what)
    if account == ALL and asked.get("sure") is not True:
        raise AskAgain(_QUESTIONS[verb])
    who_and_why: Any = {"who": who, "why": why, "db_path": db_path}
    usd = _text(asked, "usd").strip() or None
    until = _until(asked.get("for_seconds"))
    with open_reader(db_path) as reader:  # one that has gone is not made anew: nobody would hear of it
        _look(reader, account, asked.get("seen"))
    match verb:
        case "stop":
            done = control.stop(what, **who_and_why)
        case "resume":
            done = control.resume(what, **who_and_why)
        case "top-up":
            if usd is None:
                raise ConfigurationError("usd is missing; name an amount such as 2.00")
            done = control.top_up(what, usd, until=until, **who_and_why)
        case "approve":
            done = control.approve(what, usd, until=until, **who_and_why)
        case "deny":
            denied = control.deny(what, **who_and_why)
            now = as_json.iso(time.time())
            return {"schema": "agent-fuse/deny/1", "at": now, "calls": [as_json.paused(one) for one in denied]}
    return {"schema": f"agent-fuse/{verb}/1", "at": as_json.iso(done.at), **as_json.control(done)}


def _text(asked: Mapping[str, Any], name: str) -> str:
    value: object = asked.get(name, "")
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ConfigurationError(f"{name} must be a text of at most {_LONGEST} characters")
    if unbroken(value) != value:
        raise ConfigurationError(f"{name} holds half a character (a lone surrogate); send whole ones")
    return value


def _look(reader: Reader, account: str, seen: object) -> None:
    if seen is None:
        return
    if not isinstance(seen, str):
        raise ConfigurationError("seen must be a time as the state tells it, or null")
    for one in decisions(reader, time.time()):
        if one["account"] == account and one["at"] > seen:
            raise Meanwhile(one)


def _until(seconds: object) -> datetime | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 366 * 86_400:
        raise ConfigurationError(f"for_seconds is {seconds!r}; it must be above 0 and at most a year, or null for good")
    return datetime.now(UTC) + timedelta(seconds=cast("float", seconds))
