"""Where a webhook posts to: an address whose path, query and credentials are a secret, and so are never shown."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from agent_fuse.errors import ConfigurationError
from agent_fuse.loopback import is_loopback

_ALLOWED = "https://… of the receiver, or http://… of this very machine (127.0.0.1, ::1, localhost)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAddress:
    """A webhook's URL, checked. Whatever shows it shows `host` alone."""

    host: str
    """Name and port, to be shown."""
    url: str = field(repr=False)
    """Without user and password."""
    authorization: str = field(default="", repr=False)
    """Of user and password, as a header; empty where the URL has none."""
    is_local: bool = field(default=False, repr=False)
    """Plain HTTP, which never leaves this machine."""

    def __str__(self) -> str:
        return self.host


def address(name: str, value: object) -> WebhookAddress:
    """The address that `value` is.

    Args:
        name: of the option, for the error.

    Raises:
        ConfigurationError: it is none, or goes to another machine in the clear. It does not show the value.
    """
    if isinstance(value, WebhookAddress):
        return value
    try:
        found = _read(value.strip()) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise ConfigurationError(f"{name} is not shown here, for it may hold a secret; it must be {_ALLOWED}")
    return found


def _read(text: str) -> WebhookAddress | None:
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    parts = urlsplit(text)
    host, port = parts.hostname or "", parts.port
    local = parts.scheme == "http" and is_loopback(host)
    if not host or not (local or parts.scheme == "https"):
        return None
    named = f"[{host}]" if ":" in host else host
    shown = named if port is None else f"{named}:{port}"
    who = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return WebhookAddress(
        host=shown,
        url=urlunsplit((parts.scheme, shown, parts.path or "/", parts.query, "")),
        authorization="" if who == ":" else f"Basic {b64encode(who.encode()).decode()}",
        is_local=local,
    )
