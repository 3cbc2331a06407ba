"""Kinds of ledgers, by the scheme of their URL: those that are here, and those that other packages bring."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from typing import Protocol, cast
from urllib.parse import unquote

from agent_fuse.ledgers.base import Ledger
from agent_fuse.ledgers.readers import Reader
from agent_fuse.mistakes import ConfigurationError

GROUP = "agent_fuse.ledgers"
"""Entry points of other packages: a scheme, and where its `Kind` is."""

PATH = ""
"""The scheme of what has none: a path."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ENDS_AUTHORITY = re.compile(r"[/?]")
_HOSTS = re.compile(r"([^\[\]:@,]*|\[[^\[\]@]*\])(:\d*)?(,([^\[\]:@,]*|\[[^\[\]@]*\])(:\d*)?)*")
_OPTION = re.compile("(?<=[?&])([^=&?]*)=")
_SECRET = re.compile("password|secret", re.IGNORECASE)
_OURS: Mapping[str, str] = {
    PATH: "agent_fuse.ledgers.sqlite_kind:KIND",
    "sqlite": "agent_fuse.ledgers.sqlite_kind:KIND",
    "memory": "agent_fuse.ledgers.memory_kind:KIND",
    "postgresql": "agent_fuse.ledgers.postgres.kind:KIND",
    "postgres": "agent_fuse.ledgers.postgres.kind:KIND",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a ledger is to be opened; a kind takes what means something to it."""

    synchronous: str = "normal"
    """`"full"` survives a loss of power."""
    lock_timeout: float = 5.0
    """Seconds to wait for others who write, before a LedgerError."""
    lease: bool = False
    """Take slices of limits, and spend them in this process."""


class Kind(Protocol):
    """One kind of ledger. Its own imports come when it is asked for. One that leases has `leases = True`."""

    def open(self, url: str, options: Options) -> Ledger:
        """The ledger at `url`, made where it is not there. Raises ConfigurationError, LedgerError."""
        ...

    def read(self, url: str) -> Reader:
        """The same for reading, where it is there. Raises ConfigurationError, LedgerError."""
        ...


def schemes() -> list[str]:
    """The schemes of all kinds, in order; `PATH` first."""
    return sorted(_registered())


def scheme_of(url: str) -> str:
    """The scheme of a URL, `PATH` where it has none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else PATH


def of(url: str) -> Kind:
    """The kind of ledger that a URL names.

    Raises:
        ConfigurationError: there is none of that scheme, or the package that brings it is broken.
    """
    scheme = scheme_of(url)
    named = _registered().get(scheme)
    if named is None:
        known = ", ".join(f"{one}://" for one in schemes() if one)
        raise ConfigurationError(f"ledger is {shown(url)!r}; {scheme}:// is none of a path, {known}")
    return _load(scheme, named)


def is_whole(url: str) -> bool:
    """Whether its parts are what they seem: a password with `/`, `?`, `@` or `&` in it moves their borders."""
    _, _, rest = url.partition("://")
    authority = _authority(rest)
    path, _, query = rest[len(authority) :].partition("?")
    return (
        authority.count("@") <= 1
        and _HOSTS.fullmatch(authority.rpartition("@")[2]) is not None
        and not (authority and "@" in path)
        and all("=" in one for one in query.split("&") if query)
    )


def shown(url: str) -> str:
    """A URL as it may be seen: whatever stands where user and password do is left out, and what may be part of them."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    start, rest, whole = scheme[0], url[scheme.end() :], is_whole(url)
    authority = _authority(rest)
    if authority:
        rest = rest[(authority if whole else rest).rfind("@") + 1 :]
    for option in reversed(list(_OPTION.finditer(rest))):
        if _SECRET.search(unquote(option[1])):  # libpq reads names, too, as they are encoded
            _, border, more = rest[option.end() :].partition("&") if whole else ("", "", "")
            rest = f"{rest[: option.end()]}…{border}{more}"
    return start + rest


def _authority(rest: str) -> str:
    return _ENDS_AUTHORITY.split(rest, maxsplit=1)[0]


@lru_cache(maxsize=1)
def _registered() -> Mapping[str, str]:
    return {one.name.lower(): one.value for one in metadata.entry_points(group=GROUP)} | dict(_OURS)


@lru_cache(maxsize=16)
def _load(scheme: str, named: str) -> Kind:
    module, _, name = named.partition(":")
    try:
        return cast("Kind", getattr(import_module(module), name))
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"ledgers of {scheme}:// cannot be loaded from {named}: {error}") from error
