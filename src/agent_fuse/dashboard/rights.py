"""Who may look and who may act: one-time links, names with passwords, or a proxy that names the user."""

import hmac
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from agent_fuse.errors import ConfigurationError

Right = Literal["view", "act"]

_REMEMBERED = 1_000
_LINK_SECONDS = 600.0
"""For how long a further link is good; the first one is until it is used."""
_SIGNED_IN_SECONDS = 12 * 3_600.0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone who is let in."""

    name: str
    right: Right


@dataclass(frozen=True, slots=True)
class _Pass:
    person: Person
    until: float


class Passes:
    """Secrets that let someone in: kept as hashes, good for a time, the oldest forgotten where there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, _Pass] = OrderedDict()

    def give(self, person: Person, seconds: float) -> str:
        """A new secret."""
        secret = secrets.token_urlsafe(32)
        while len(self._known) >= _REMEMBERED:
            self._known.popitem(last=False)
        self._known[_hash(secret)] = _Pass(person, self._clock() + seconds)
        return secret

    def whose(self, secret: str) -> Person | None:
        """Who has it."""
        found = self._known.get(_hash(secret))
        return found.person if found is not None and self._clock() < found.until else None

    def take(self, secret: str) -> Person | None:
        """Who had it: it is good no more."""
        person = self.whose(secret)
        self._known.pop(_hash(secret), None)
        return person


class Rights:
    """Who asks, and what he may do.

    Args:
        people: names, each with a right and a password; empty for one-time links.
        header: the header in which a proxy names the user; empty for none. `proxies` are believed, nobody else.
        act: of users that a proxy names, those who may act.
        read_only: nobody may act.
    """

    def __init__(
        self,
        *,
        people: Mapping[str, tuple[Right, str]],
        header: str = "",
        proxies: Collection[str] = (),
        act: Collection[str] = (),
        read_only: bool = False,
    ) -> None:
        self._people = people
        self._header = header.lower()
        self._proxies = frozenset(proxies)
        self._act = frozenset(act)
        self._read_only = read_only
        self._links, self._cookies = Passes(), Passes()

    @property
    def by_password(self) -> bool:
        """Whether people sign in with a password."""
        return bool(self._people)

    def link(self, name: str, right: Right, *, lasting: bool = False) -> str:
        """The secret of a link that lets one browser in, once; `lasting`: until it is used."""
        return self._links.give(self._person(name, right), float("inf") if lasting else _LINK_SECONDS)

    def by_link(self, secret: str) -> str | None:
        """The cookie that a link is good for; None where it is not, or not any more."""
        person = self._links.take(secret)
        return None if person is None else self._cookies.give(person, _SIGNED_IN_SECONDS)

    def by_name(self, name: str, password: str) -> str | None:
        """The cookie for a name and its password, None where they are wrong."""
        person = self.named(name, password)
        return None if person is None else self._cookies.give(person, _SIGNED_IN_SECONDS)

    def named(self, name: str, password: str) -> Person | None:
        """The person of a name and password."""
        right, known = self._people.get(name, ("view", ""))
        same = hmac.compare_digest(password.encode(errors="replace"), known.encode())
        return self._person(name, right) if same and known else None

    def by_cookie(self, secret: str) -> Person | None:
        """Who has a cookie."""
        return self._cookies.whose(secret)

    def leave(self, secret: str) -> None:
        """A cookie is good no more."""
        self._cookies.take(secret)

    def by_proxy(self, headers: Mapping[str, str], peer: str) -> Person | None:
        """Whom a proxy names."""
        name = headers.get(self._header, "").strip() if self._header and peer in self._proxies else ""
        return self._person(name, "act" if name in self._act else "view") if name else None

    def _person(self, name: str, right: Right) -> Person:
        return Person(name=name, right="view" if self._read_only else right)


def read_passwords(path: Path) -> dict[str, tuple[Right, str]]:
    """People from a file of lines `name:view:password` or `name:act:password`, which only its owner may read.

    Raises:
        ConfigurationError: it cannot be read, others may read it, or a line is something else.
    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise ConfigurationError(f"--password-file {path} can be read by others; chmod 600 {path}")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigurationError(f"--password-file {path}: {why}; name a file of lines name:view:password") from None
    found: dict[str, tuple[Right, str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        right, _, password = rest.partition(":")
        if not name or not password or right not in ("view", "act"):
            raise ConfigurationError(
                f"--password-file {path}, line {number}: write name:view:password, or name:act:password"
            )
        if name in found:
            raise ConfigurationError(f"--password-file {path}, line {number}: {name!r} has a line already; keep one")
        found[name] = ("act" if right == "act" else "view"), password
    if not found:
        raise ConfigurationError(f"--password-file {path} names nobody; write lines name:view:password")
    return found


def _hash(secret: str) -> bytes:
    return sha256(secret.encode(errors="replace")).digest()
