"""The kind `postgresql://`: a database that the processes of many machines share."""

from agent_fuse.ledgers.kinds import Options
from agent_fuse.mistakes import ConfigurationError

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

    def open(self, url: str, options: Options) -> PostgresLedger:
        """See Kind."""
        return PostgresLedger(url, lock_timeout=options.lock_timeout)

    def read(self, url: str) -> PostgresReader:
        """See Kind."""
        return PostgresReader(url)


KIND = PostgresKind()
