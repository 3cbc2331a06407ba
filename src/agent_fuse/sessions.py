"""What a caller of `session()` gives, checked: its id, its own limits, and the keys that limits may ask for."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import cast

from agent_fuse import parsers, terms
from agent_fuse.calls import RefusedBy, Usd
from agent_fuse.errors import ConfigurationError, SentinelError, SentinelLoopError
from agent_fuse.limits import Limit, Session
from agent_fuse.mistakes import misspelt, near
from agent_fuse.options import OPTIONS
from agent_fuse.settings import NO_LADDER, Settings

_ARGUMENTS = ("id", "budget", "limits", "attributes", "user_id", "on_child_trip", "ring_fenced")
_MEANT = {"user": "user_id", "uid": "user_id", "session": "id", "name": "id", "session_id": "id"}
_OPTIONS = frozenset(one.name for one in OPTIONS) | {one.name for one in fields(Limit) if one.init}
_CAPS = frozenset({"budget", "limit", "limits", "max", "cap", "usd", "dollars"})
"""Words that make a keyword look like a cap: taken for an attribute, it would cap nothing."""


def share(budget: object) -> Decimal | None:
    """The part of what is left around a session that is its budget: 0.2 of `"20%"`; None where it is an amount.

    Raises:
        ConfigurationError: no share from above 0 % to 100 %.
    """
    text = budget.strip() if isinstance(budget, str) else ""
    if not text.endswith("%"):
        return None
    try:
        found = Decimal(text[:-1].strip()) / 100
    except InvalidOperation:
        found = Decimal(0)
    if not found.is_finite() or not 0 < found <= 1:
        raise ConfigurationError(f"session budget is {budget!r}; a share of what is left is above 0% and at most 100%")
    return found


def slice_of(left: Decimal | None, part: Decimal) -> Limit:
    """The limit of a session that gets a share of what is `left` around it, rounded down to a nano-dollar.

    Raises:
        ConfigurationError: nothing around it limits USD.
    """
    if left is None:
        raise ConfigurationError(
            f"session budget is {part:%}, but no limit in USD binds it; give an amount, or a budget around it"
        )
    return Limit(usd=(left * part).quantize(Decimal("1e-9"), ROUND_FLOOR))


def is_fenced(id: str, asked: object, budget: object) -> bool:
    """Whether its budget is to be kept for a session. Raises ConfigurationError: neither yes nor no, or no budget."""
    if not isinstance(asked, bool):
        raise ConfigurationError(f"session ring_fenced is {asked!r}; it must be True or False")
    if asked and budget is None:
        raise ConfigurationError(f'session {id!r} is ring_fenced and has no budget; give it one, such as "20%"')
    return asked


def ends_child(child: Session, trip: SentinelError, known: Callable[[str], Session | None]) -> bool:
    """Whether a trip of a limit or loop of this session, or of one inside it, ends with it, as the one around it asks.

    Args:
        known: the session of a name, with those around it.
    """
    if child.parent is None or child.parent.on_child_trip != "end":
        return False
    tripped = trip.__dict__.get("session", "")
    inner = known(tripped)
    chain = inner.chain() if inner is not None else [child]
    ids = [one.id for one in chain]
    inside = chain[: ids.index(child.id) + 1] if child.id in ids else [child]
    names = {one.id for one in inside}
    if isinstance(trip, SentinelLoopError):
        return tripped in names
    by = trip.__dict__.get("refused_by")
    if not isinstance(by, RefusedBy):
        return False
    if by.per == "session":
        return by.value in names
    return any((str(limit), limit.key) == (by.limit, by.per) for one in inside for limit in one.limits)


def own_limits(budget: Usd | None, limits: object) -> tuple[Limit, ...]:
    """The limits of this very session."""
    own = parsers.limits("session limits", limits)
    return own if budget is None else (Limit(usd=parsers.money("session budget", budget)), *own)


def need_ladder(those: Sequence[Settings]) -> None:
    """A limit of a session's own wants a cheaper model. Raises ConfigurationError: no guard at work knows any."""
    if those and not any(one.downgrade for one in those):
        raise ConfigurationError(f"session limits: {NO_LADDER} to init()")


def keys(attributes: object, user_id: object, others: Mapping[str, object]) -> dict[str, str]:
    """The session's keys for limits, as text; those that are None are not there.

    Args:
        others: keywords that are no arguments. They were attributes once, and are for one more release.

    Raises:
        ConfigurationError: a misspelt argument, or an attribute that is no text.
    """
    for word in others:
        _refuse_misspelt(word)
    given: dict[object, object] = {"user.id": user_id}
    given |= {_name(word): value for word, value in others.items()}
    if attributes is not None and not isinstance(attributes, Mapping):
        raise ConfigurationError(f'session attributes is {attributes!r}; it must map names to texts: {{"team": "red"}}')
    given |= cast("Mapping[object, object]", attributes or {})
    return {
        terms.name("session", "attribute", name): _text(name, value)
        for name, value in given.items()
        if value is not None
    }


def warn_of(others: Mapping[str, object]) -> None:
    """Keywords of the caller's own, which were attributes, will be errors: tell whoever wrote them."""
    for word, value in others.items():
        said = f'attributes={{"{_name(word)}": {value!r}}}'
        warnings.warn(f"session({word}=…) will be an error; write {said}", DeprecationWarning, stacklevel=3)


def _name(word: str) -> str:
    return word.replace("_", ".")


def _refuse_misspelt(word: str) -> None:
    meant = _MEANT.get(word) or near(word, _ARGUMENTS)
    if not meant and any(near(part, _CAPS) for part in word.split("_")):
        meant = "budget or limits"
    if meant:
        hint = f'did you mean {meant}? An attribute of that name is given as attributes={{"{word}": …}}'
        raise ConfigurationError(f"{word} is no argument of session; {hint}")
    if word in _OPTIONS or near(word, _OPTIONS):
        raise misspelt(word, "argument of session", _ARGUMENTS)


def _text(name: object, value: object) -> str:
    if isinstance(value, Mapping | list | tuple | set | bytes):
        raise ConfigurationError(f"session attribute {name} is {value!r}; it must be a text or a number")
    return terms.name("session attribute", str(name), str(value))
