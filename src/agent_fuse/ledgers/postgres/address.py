"""Where a server is: the URL of a ledger as libpq takes it, and what may be said of it."""

import math
import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agent_fuse.ledgers.kinds import is_whole
from agent_fuse.mistakes import ConfigurationError

_CONNECT_SECONDS = 5
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """A server's address."""

    conninfo: str = field(repr=False)
    """What libpq is given, the password in it."""
    secret: str = field(repr=False)
    """The password, "" where the URL has none."""
    where: str
    """For people: without user and password."""
    name: str
    """The database's."""
    seconds: float
    """That one statement may take."""


def parsed(url: str, patience: float) -> ServerAddress:
    """The address that a URL is.

    Args:
        url: `postgresql://user@host:port/database?sslmode=…`, all that libpq takes, and `statement_timeout` in seconds.
        patience: the most seconds that a statement may take.

    Raises:
        ConfigurationError: it cannot be read. What it quotes of the URL is no part of a password.
    """
    if not is_whole(url):
        raise ConfigurationError(
            "ledger is a URL whose parts cannot be told from each other (what a password has of /, ?, #, @, & or % is "
            "written %2F, %3F, %23, %40, %26, %25; a port is a number); write postgresql://user@host/db"
        )
    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    seconds = _seconds(options.pop("statement_timeout", None), patience)
    try:
        text = f"postgresql://{rest}?{urlencode(options, quote_via=quote)}" if options else f"postgresql://{rest}"
        found = conninfo_to_dict(text)
    except (ValueError, psycopg.Error) as error:
        raise ConfigurationError(
            f"ledger is a URL that libpq cannot read ({_unquoted(error, options)}); write postgresql://user@host/db"
        ) from None
    found.setdefault("fallback_application_name", "agent_fuse")
    if not os.environ.get("PGCONNECT_TIMEOUT"):
        found.setdefault("connect_timeout", _CONNECT_SECONDS)
    found.setdefault("tcp_user_timeout", int(1000 * seconds) + 1000)
    found["client_encoding"] = "UTF8"
    name = str(found.get("dbname") or os.environ.get("PGDATABASE") or found.get("user") or "")
    return ServerAddress(
        conninfo=make_conninfo("", **found),
        secret=str(found.get("password") or ""),
        where=_where(found, name),
        name=name,
        seconds=seconds,
    )


def _where(found: dict[str, Any], name: str) -> str:
    service = found.get("service") or os.environ.get("PGSERVICE")
    host = found.get("host") or found.get("hostaddr") or os.environ.get("PGHOST")
    if service and not host:
        return f"postgresql:///{name}?service={service}"
    port = str(found.get("port") or "").strip(",")
    return f"postgresql://{host or 'localhost'}{port and f':{port}'}/{name}"


def _seconds(text: str | None, patience: float) -> float:
    if text is None:
        return patience
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if math.isnan(seconds) or seconds <= 0:
        raise ConfigurationError(f"statement_timeout is {text!r}; give seconds, more than 0")
    return min(seconds, patience)


def _unquoted(error: BaseException, options: dict[str, str]) -> str:
    """What libpq says of it, without what it quotes: that may be a password, unless it is the name of an option."""
    said = plain_words(error, "")
    return _QUOTED.sub(lambda found: found[0] if found[1] in options else '"…"', said)


def plain_words(error: BaseException, secret: str) -> str:
    """What an error says, on one line, without the password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if not line.startswith(("LINE ", "CONTEXT:", "DETAIL:"))), type(error).__name__)
    return said.replace(secret, "…") if secret else said
