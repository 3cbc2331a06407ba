"""The kind that a path and `sqlite:///path` name: one file."""

from pathlib import Path
from typing import TYPE_CHECKING

from agent_fuse.ledgers.kinds import PATH, Options, scheme_of
from agent_fuse.ledgers.sqlite import SqliteLedger
from agent_fuse.ledgers.sqlite_reading import SqliteReader
from agent_fuse.mistakes import ConfigurationError

if TYPE_CHECKING:
    from agent_fuse.ledgers.sqlite_keeping import SqliteKeeper


class SqliteKind:
    """See kinds.Kind."""

    def open(self, url: str, options: Options) -> SqliteLedger:
        """See Kind."""
        return SqliteLedger(
            file_of(url),
            synchronous="full" if options.synchronous == "full" else "normal",
            lock_timeout=options.lock_timeout,
        )

    def read(self, url: str) -> SqliteReader:
        """See Kind."""
        return SqliteReader(file_of(url))

    def keeper(self, url: str) -> "SqliteKeeper":
        """See keeping.keeper."""
        from agent_fuse.ledgers.sqlite_keeping import SqliteKeeper  # noqa: PLC0415 - a guarded process has no need of it

        return SqliteKeeper(file_of(url))


KIND = SqliteKind()


def file_of(url: str) -> Path:
    """The file that a path, `~` expanded, or a URL of three slashes names. Raises ConfigurationError."""
    path = url
    if scheme_of(url) != PATH:
        path = url[len("sqlite://") :]
        if not path.startswith("/") or "?" in path:
            raise ConfigurationError(f"ledger is {url!r}; write sqlite:///path, three slashes and no options")
        path = path[1:]
    if not path.strip() or path == ":memory:" or "\0" in path:
        raise ConfigurationError(f"ledger is {url!r}; it must be a path, sqlite:///path, or memory://")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(f"ledger is {url!r}; {error}") from None
