"""The kind `memory://`: books of one's own, and `memory://name`: books that all in this process share by that name."""

from typing import Never

from agent_fuse.ledgers.kinds import Options
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.locks import Lock
from agent_fuse.mistakes import ConfigurationError

_named: dict[str, MemoryLedger] = {}
_naming = Lock()


class MemoryKind:
    """See kinds.Kind."""

    def open(self, url: str, options: Options) -> MemoryLedger:
        """See Kind."""
        name = url.partition("://")[2]
        if not name:
            return MemoryLedger()
        with _naming:
            return _named.setdefault(name, MemoryLedger())

    def read(self, url: str) -> Never:
        """See Kind. No other process sees them."""
        raise ConfigurationError(f"ledger is {url!r}; what is in memory cannot be read by another process")


KIND = MemoryKind()
