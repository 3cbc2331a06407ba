"""The tables of a PostgreSQL ledger, step after step, all in a schema of their own, `agent_fuse`."""

from collections.abc import Callable

from agent_fuse.ledgers.codec import METERS
from agent_fuse.ledgers.postgres.fencing import FUNCTIONS as FENCING
from agent_fuse.ledgers.postgres.functions import FUNCTIONS
from agent_fuse.ledgers.postgres.lease import FUNCTIONS as LEASE
from agent_fuse.ledgers.postgres.together import FUNCTIONS as TOGETHER

LOCK = 0x41467573
"""Key of the advisory lock (`AFus`) under which one process at a time makes or changes the tables."""

_FIGURES = ", ".join(f"{what}_{meter} bigint NOT NULL DEFAULT 0" for what in ("settled", "held") for meter in METERS)
_FITS = " AND ".join(f"settled_{one} <= 9223372036854775807 - greatest(held_{one}, 0)" for one in METERS)
_COLUMNS = ", ".join(f"{what}_{meter}" for what in ("settled", "held") for meter in METERS)
_SUMMED = ", ".join(f"sum({what}_{meter})::bigint" for what in ("settled", "held") for meter in METERS)
_HOLD = ", ".join(f"hold_{meter} bigint NOT NULL" for meter in METERS)
_BOOKED = ", ".join(f"booked_{meter} bigint" for meter in METERS)

_CALL = """
    id text COLLATE "C" NOT NULL, at double precision NOT NULL, status text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL, agent text COLLATE "C" NOT NULL, provider text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL, operation text COLLATE "C" NOT NULL, tool text COLLATE "C" NOT NULL,
    cost bigint NOT NULL, fee bigint NOT NULL, source text COLLATE "C" NOT NULL, computed bigint,
    input_tokens bigint, output_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,
    reasoning_tokens bigint, reason text COLLATE "C" NOT NULL, response_id text COLLATE "C" NOT NULL,
    trace_id text COLLATE "C" NOT NULL, span_id text COLLATE "C" NOT NULL"""

_WHERE = "accounts text, on_accounts text[], buckets text[], windows int[]"
"""Names as a JSON array, and parted: the account, its bucket, and the seconds that its window rolls over, or 0."""


def m001_books() -> str:
    """Accounts, holds, journal, notes, controls.

    The account of everything is spread over rows of its own, `all` and `all` + character 30 + a number, so that calls
    which no limit of it judges do not wait for each other; `accounts` is where it is one again.
    """
    return f"""
    CREATE TABLE agent_fuse.version (number int NOT NULL);
    CREATE TABLE agent_fuse.account_rows (
        name text COLLATE "C" PRIMARY KEY, {_FIGURES},
        refused bigint NOT NULL DEFAULT 0, since double precision,
        CONSTRAINT holds_can_be_settled CHECK ({_FITS})
    ) WITH (fillfactor = 50);
    CREATE VIEW agent_fuse.accounts AS
        SELECT name, {_COLUMNS}, refused, since FROM agent_fuse.account_rows
        WHERE NOT (name >= 'all' AND name < 'all' || chr(31))
        UNION ALL
        SELECT 'all' COLLATE "C", {_SUMMED}, sum(refused)::bigint, min(since) FROM agent_fuse.account_rows
        WHERE name >= 'all' AND name < 'all' || chr(31) HAVING count(*) > 0;
    CREATE TABLE agent_fuse.holds ({_CALL}, {_WHERE}, {_HOLD},
        expires_at double precision NOT NULL, host text COLLATE "C" NOT NULL, pid bigint NOT NULL,
        started bigint NOT NULL, PRIMARY KEY (id)) WITH (fillfactor = 70);
    CREATE INDEX holds_expire ON agent_fuse.holds (expires_at);
    CREATE TABLE agent_fuse.journal ({_CALL}, {_WHERE}, {_BOOKED},
        refused_limit text COLLATE "C", refused_per text COLLATE "C", refused_value text COLLATE "C",
        refused_meter text COLLATE "C", refused_cap bigint, refused_spent bigint, refused_held bigint,
        refused_requested bigint, refused_advice text COLLATE "C", PRIMARY KEY (id));
    CREATE INDEX journal_at ON agent_fuse.journal (at, id);
    CREATE TABLE agent_fuse.notes (
        key text COLLATE "C" PRIMARY KEY, at double precision NOT NULL, value bytea NOT NULL);
    CREATE TABLE agent_fuse.controls (account text COLLATE "C" PRIMARY KEY, control text NOT NULL);
    {FENCING}
    {FUNCTIONS}
    {TOGETHER}
    INSERT INTO agent_fuse.version VALUES (0);
    """


def m002_leases() -> str:
    """The function by which a worker takes slices of limits."""
    return LEASE


def m003_saved() -> str:
    """What a call that was clamped or downgraded saved. NULL where nothing was, and by workers of an older version."""
    columns = 'ADD COLUMN saved bigint, ADD COLUMN saved_by text COLLATE "C"'
    tables = f"ALTER TABLE agent_fuse.holds {columns}; ALTER TABLE agent_fuse.journal {columns};"
    return tables + _again(FENCING, TOGETHER, LEASE)


def m004_fences() -> str:
    """What is kept for sessions inside others is judged in the step that holds a call; bookings wait if asked to."""
    return _again(FENCING, FUNCTIONS, TOGETHER)


def m005_user() -> str:
    """Whose call it was. NULL for those that are there, and by workers of an older version."""
    column = 'ADD COLUMN user_id text COLLATE "C"'
    tables = f"ALTER TABLE agent_fuse.holds {column}; ALTER TABLE agent_fuse.journal {column};"
    return tables + _again(TOGETHER, LEASE)


def m006_leases_look_up() -> str:
    """A step of a lease looks its own calls up, however many others there are."""
    return _again(LEASE)


def _again(*functions: str) -> str:
    return "".join(functions).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


MIGRATIONS: list[Callable[[], str]] = [m001_books, m002_leases, m003_saved, m004_fences, m005_user, m006_leases_look_up]
"""In order, and never changed once released: `version` counts those that the tables have been through."""
