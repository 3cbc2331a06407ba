"""The kind `postgresql://`: a database that the processes of many machines share."""

from typing import TYPE_CHECKING

from agent_fuse.ledgers.base import Ledger
from agent_fuse.ledgers.kinds import Options
from agent_fuse.mistakes import ConfigurationError

if TYPE_CHECKING:
    from agent_fuse.ledgers.postgres.keeping import PostgresKeeper

try:
    from agent_fuse.ledgers.postgres.ledger import PostgresLedger
    from agent_fuse.ledgers.postgres.reading import PostgresReader
except ImportError as error:
    if (error.name or "").partition(".")[0] != "psycopg":
        raise
    raise ConfigurationError(
        f"a PostgreSQL ledger needs psycopg ({error}): pip install 'agent-fuse[postgres]'"
    ) from None


class PostgresKind:
    """See kinds.Kind."""

    leases = True

    def open(self, url: str, options: Options) -> Ledger:
        """See Kind."""
        ledger = PostgresLedger(url, lock_timeout=options.lock_timeout, synchronous=options.synchronous)
        return leased(ledger) if options.lease else ledger

    def read(self, url: str) -> PostgresReader:
        """See Kind."""
        return PostgresReader(url)

    def keeper(self, url: str) -> "PostgresKeeper":
        """See keeping.keeper."""
        from agent_fuse.ledgers.postgres.keeping import PostgresKeeper  # noqa: PLC0415 - a guarded process has no need of it

        return PostgresKeeper(url)


def leased(ledger: PostgresLedger) -> Ledger:
    """The same, leasing."""
    from agent_fuse.ledgers.leasing import LeasingLedger  # noqa: PLC0415 - few lease

    return LeasingLedger(ledger)


KIND = PostgresKind()
