"""`agent-fuse dashboard`: the operator's live page, and who may see it."""

import getpass
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent_fuse.cli.options import Db, ledger_url, reader
from agent_fuse.errors import ConfigurationError
from agent_fuse.loopback import is_loopback

_EXTRA = frozenset({"starlette", "uvicorn", "anyio", "h11"})
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A header's name (RFC 9110, token)."""
_HOST = re.compile(r"[^\s/:@?#]+|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - named here to ask for more


def dashboard(
    *,
    db: Db = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="0 for any that is free.")] = 0,
    name: Annotated[
        list[str] | None, typer.Option("--name", metavar="HOST", help="A host name it is reached under; repeatable.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody may act, only look.")] = False,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", help="Lines name:view:password or name:act:password."),
    ] = None,
    trust_header: Annotated[
        str, typer.Option("--trust-header", metavar="HEADER", help="Where a proxy names the user.")
    ] = "",
    proxy: Annotated[
        list[str] | None, typer.Option("--proxy", metavar="ADDRESS", help="The proxy's address. [127.0.0.1, ::1]")
    ] = None,
    may_act: Annotated[
        list[str] | None, typer.Option("--may-act", metavar="USER", help="With --trust-header; the others may look.")
    ] = None,
) -> None:
    """Serve a live page of what agents spend, with buttons to act.

    The buttons approve, refuse, top up, stop and resume.

    Prints one URL, which lets one browser in, once; then everything that is asked of it is asked by that browser.
    Other addresses than loopback need --password-file or --trust-header.
    """
    try:
        from agent_fuse.dashboard import rights, server  # noqa: PLC0415  an extra
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        raise ConfigurationError(
            f"{package} is missing; install the dashboard with: pip install 'agent-fuse[dashboard]'"
        ) from None
    by_link = password_file is None and not trust_header
    if by_link and not is_loopback(host):
        raise ConfigurationError(
            f"--host is {host!r}, which others reach: say who they are with --password-file or --trust-header"
        )
    if (may_act or proxy) and not trust_header:
        raise ConfigurationError("--may-act and --proxy are for the users that --trust-header names; add it")
    if trust_header and not _HEADER.fullmatch(trust_header):
        raise ConfigurationError(f"--trust-header is {trust_header!r}, no header's name; write one such as X-User")
    wrong = next((one for one in name or () if not _HOST.fullmatch(one)), None)
    if wrong is not None:
        raise ConfigurationError(f"--name is {wrong!r}; write a host name alone, such as fuse.example.com")
    if host in _ANY and not name:
        raise ConfigurationError(f"--host {host} is every address; name what people type with --name HOST")
    reader(db).close()  # one that cannot be read is told of here, and not in a browser
    people = {} if password_file is None else rights.read_passwords(password_file)
    known = rights.Rights(
        people=people,
        header=trust_header,
        proxies=proxy or _LOOPBACK,
        act=may_act or (),
        read_only=read_only,
    )
    starter = _user()
    way_in = f"/?token={known.link(starter, 'act', lasting=True)}" if by_link else "/"
    names = [*(name or ()), *(_LOOPBACK if is_loopback(host) else () if host in _ANY else (host,))]
    server.serve(
        lambda: server.Dashboard(ledger_url(db), os.environ, rights=known, names=names),
        host=host,
        port=port,
        told=lambda address: sys.stdout.write(f"{address}{way_in}\n"),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a process whose user has no name
        return "operator"
