"""The names of accounts: `all`, `session=run-1`, `user.id@day:Europe/Berlin=ann` and its day.

A name says its key, the window where there is one, and the value. Where the window is in intervals (days, or a rolling
window's buckets), the interval follows after a character that no value has.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from agent_fuse.foreign_text import unbroken
from agent_fuse.mistakes import ConfigurationError
from agent_fuse.windows import Calendar, Rolling, Window, read

ALL = "all"
"""The account that every call is booked on."""

NOBODY = "(none)"
"""The value under which calls that lack a limit's key are counted, together."""

OF = "\x1f"
"""Parts an account of a window from the interval."""

_WINDOW = r"(?:\d+[smhd]|hour|day|week|month)(?::[^=@]+)?"
_LIKE_NOBODY = re.compile(r"\(+none\)+")
_ESCAPED = re.compile(rf"=|%(?=3D|25|40)|@(?={_WINDOW}$)")
_ESCAPE = {"=": "%3D", "%": "%25", "@": "%40"}
_ESCAPES = re.compile("%25(?=3D|25|40)|%3D|%40")
_MEANT = {"%3D": "=", "%25": "%", "%40": "@"}
_NAME = re.compile(rf"(?P<key>[^=]*?)(?:@(?P<window>{_WINDOW}))?(?:=(?P<value>.*))?", re.DOTALL)
_MAX_VALUE = 160


def as_value(found: str) -> str:
    """The value of an account's key. One that reads like the absence of one is told from it by more brackets."""
    return f"({found})" if _LIKE_NOBODY.fullmatch(found) else found or NOBODY


def joined(values: Sequence[str]) -> str:
    """The values of a pair of keys as one."""
    if len(values) == 1:
        return values[0]
    if NOBODY in values:
        return NOBODY
    return ",".join(value.replace("%", "%25").replace(",", "%2C") for value in values)


def account(per: str, value: str, window: Window | None = None) -> str:
    """The name of an account, one for each key, window and value; very long values are cut and hashed.

    The first `=` parts key and value, so one in the key's own name is written `%3D`. Every other name is as it is.
    """
    if not value.isascii():
        value = unbroken(value)
    if len(value) > _MAX_VALUE:
        value = f"{value[:_MAX_VALUE]}#{blake2b(value.encode(), digest_size=8).hexdigest()}"
    if window is not None:
        name = f"{escaped(per)}@{window}"
        return name if per == ALL else f"{name}={value.replace(OF, '%1F')}"
    return ALL if per == ALL else f"{escaped(per)}={value}"


def within(name: str, interval: str) -> str:
    """The account of one interval of a window."""
    return f"{name}{OF}{interval}"


@lru_cache(maxsize=4096)
def booked_on(name: str) -> tuple[str, str]:
    """The account that a call on `name` is held and booked on, and that of the bucket it is booked on too, or "".

    A calendar's intervals are accounts of their own; a rolling window is one, and its buckets know what leaves it.
    """
    base, parted, _ = name.partition(OF)
    return (base, name) if parted and rolling(base) is not None else (name, "")


def plain(name: str) -> str:
    """The account of the same key and value without a window."""
    if window_of(name) is None:
        return name
    key, value = key_of(name)
    return ALL if key == ALL else f"{escaped(key)}={value}"


def has_left(name: str, now: float) -> bool:
    """Whether a rolling window's bucket counts no more: what is booked on it then is no spend of the window's."""
    base, parted, bucket = name.partition(OF)
    window = rolling(base) if parted else None
    return window is not None and bucket < window.oldest(now)


def current(name: str, now: float) -> str:
    """The account that a call at `now` is booked on: of a calendar's window, that of the interval."""
    found = window_of(name)
    return within(name, found.interval(now)) if isinstance(found, Calendar) else name


@lru_cache(maxsize=4096)
def window_of(name: str) -> Window | None:
    """The window of an account."""
    if "@" not in name:
        return None
    found = _NAME.fullmatch(name.partition(OF)[0])
    if found is None or not found["window"]:
        return None
    try:
        return read(found["window"])
    except ConfigurationError:  # of a time zone that this machine does not know
        return None


@lru_cache(maxsize=4096)
def rolling(name: str) -> Rolling | None:
    """The rolling window of an account, None where it has none."""
    found = window_of(name)
    return found if isinstance(found, Rolling) else None


def calendar(name: str) -> tuple[Calendar, str, str] | None:
    """The calendar's window of an interval's account, its name without the interval, and the interval."""
    base, parted, interval = name.partition(OF)
    found = window_of(base) if parted else None
    return (found, base, interval) if isinstance(found, Calendar) else None


def is_nobodys(name: str) -> bool:
    """Whether an account is that of the calls which lack its key."""
    return name.endswith(f"={NOBODY}") or (OF in name and window_of(name) is not None and f"={NOBODY}{OF}" in name)


@lru_cache(maxsize=1024)
def escaped(per: str) -> str:
    """A key as it stands in the names of its accounts."""
    return _ESCAPED.sub(lambda found: _ESCAPE[found[0]], per)


def key_of(name: str) -> tuple[str, str]:
    """Key and value of an account, from its name; `all` has no value."""
    found = _NAME.fullmatch(name.partition(OF)[0] if OF in name and window_of(name) else name)
    assert found is not None  # noqa: S101  every text matches
    return _ESCAPES.sub(lambda one: _MEANT[one[0]], found["key"]), found["value"] or ""
