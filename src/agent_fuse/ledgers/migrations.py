"""Migrations: how the tables came to be as they are, one numbered step after another."""

from collections.abc import Callable
from pathlib import Path

from agent_fuse.ledgers.sql import Connection

APPLICATION_ID = 0x41467573
"""`AFus`, in the header of every database of ours."""


class NotOurs(Exception):
    """The file is a database, but not one that this version may write to; the message says why."""


def m001_books(db: Connection) -> None:
    """Accounts, holds, journal, notes.

    No table has a rowid: each is one tree ordered by what it is asked for. The journal lies in order of time, so that
    booking appends and a report reads pages in a row.
    """
    call = """
        id TEXT NOT NULL, at REAL NOT NULL, status TEXT NOT NULL, session TEXT NOT NULL, agent TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT NOT NULL, operation TEXT NOT NULL, tool TEXT NOT NULL,
        cost INTEGER NOT NULL, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
        cache_write_tokens INTEGER, reasoning_tokens INTEGER, reason TEXT NOT NULL, response_id TEXT NOT NULL,
        trace_id TEXT NOT NULL, span_id TEXT NOT NULL"""
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("""
        CREATE TABLE accounts (
            name TEXT NOT NULL PRIMARY KEY,
            settled_usd INTEGER NOT NULL, settled_tokens INTEGER NOT NULL, settled_output_tokens INTEGER NOT NULL,
            settled_calls INTEGER NOT NULL, settled_tool_calls INTEGER NOT NULL,
            held_usd INTEGER NOT NULL, held_tokens INTEGER NOT NULL, held_output_tokens INTEGER NOT NULL,
            held_calls INTEGER NOT NULL, held_tool_calls INTEGER NOT NULL,
            refused INTEGER NOT NULL,
            CONSTRAINT holds_can_be_settled CHECK (
                settled_usd <= 9223372036854775807 - held_usd
                AND settled_tokens <= 9223372036854775807 - held_tokens
                AND settled_output_tokens <= 9223372036854775807 - held_output_tokens
                AND settled_calls <= 9223372036854775807 - held_calls
                AND settled_tool_calls <= 9223372036854775807 - held_tool_calls)
        ) STRICT, WITHOUT ROWID""")
    db.execute(f"""
        CREATE TABLE holds ({call},
            accounts TEXT NOT NULL, -- JSON array of names
            hold_usd INTEGER NOT NULL, hold_tokens INTEGER NOT NULL, hold_output_tokens INTEGER NOT NULL,
            hold_calls INTEGER NOT NULL, hold_tool_calls INTEGER NOT NULL,
            expires_at REAL NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,
            PRIMARY KEY (id)
        ) STRICT, WITHOUT ROWID""")
    db.execute(f"""
        CREATE TABLE journal ({call},
            accounts TEXT, -- these six only while a real figure may still come: what a correction starts from
            booked_usd INTEGER, booked_tokens INTEGER, booked_output_tokens INTEGER, booked_calls INTEGER,
            booked_tool_calls INTEGER,
            PRIMARY KEY (at, id)
        ) STRICT, WITHOUT ROWID""")
    db.execute("CREATE UNIQUE INDEX journal_id ON journal (id)")
    db.execute("""
        CREATE TABLE notes (key TEXT NOT NULL PRIMARY KEY, at REAL NOT NULL, value BLOB NOT NULL)
        STRICT, WITHOUT ROWID""")


def m002_refused_by(db: Connection) -> None:
    """Which limit refused a call, and what to do: columns of the journal, NULL for every line that is there."""
    for column in (
        *("limit TEXT", "per TEXT", "value TEXT", "meter TEXT"),
        *("cap INTEGER", "spent INTEGER", "held INTEGER", "requested INTEGER", "advice TEXT"),
    ):
        db.execute(f"ALTER TABLE journal ADD COLUMN refused_{column}")


def m003_bill(db: Connection) -> None:
    """What of a call's cost is no tokens, and whose figure the cost is: older calls keep 0, '' and NULL."""
    for table in ("holds", "journal"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN fee INTEGER NOT NULL DEFAULT 0")
        db.execute(f"ALTER TABLE {table} ADD COLUMN source TEXT NOT NULL DEFAULT ''")
        db.execute(f"ALTER TABLE {table} ADD COLUMN computed INTEGER")


def m004_since(db: Connection) -> None:
    """When an account's first call was admitted, NULL for those that are there."""
    db.execute("ALTER TABLE accounts ADD COLUMN since REAL")


def m005_control(db: Connection) -> None:
    """What is in force for accounts, and how many are: on the account of everything, which every call reads."""
    db.execute("CREATE TABLE controls (account TEXT NOT NULL PRIMARY KEY, control TEXT NOT NULL) STRICT, WITHOUT ROWID")
    db.execute("ALTER TABLE accounts ADD COLUMN controls INTEGER NOT NULL DEFAULT 0")


def m006_saved(db: Connection) -> None:
    """What a call that was clamped or downgraded saved, and by which of them; NULL for those that are there."""
    for table in ("holds", "journal"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN saved INTEGER")
        db.execute(f"ALTER TABLE {table} ADD COLUMN saved_by TEXT")


def m007_user(db: Connection) -> None:
    """Whose call it was, NULL for those that are there."""
    for table in ("holds", "journal"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN user_id TEXT")


MIGRATIONS: list[Callable[[Connection], None]] = [
    m001_books,
    m002_refused_by,
    m003_bill,
    m004_since,
    m005_control,
    m006_saved,
    m007_user,
]
"""In order, and never changed once released: `user_version` counts those that a database has been through."""


_LOOK = """
    SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
    FROM pragma_user_version, pragma_application_id"""


def pending(db: Connection) -> bool:
    """Whether the database has steps before it. Only reads. Raises NotOurs."""
    return version(db) < len(MIGRATIONS)


def version(db: Connection) -> int:
    """How many steps the database has been through; 0 for one that is empty. Only reads.

    Raises:
        NotOurs: it was made by a newer AgentFuse, or by another program, or is damaged.
    """
    # One statement, one moment: another process may be making the tables just now.
    found, mark, tables = db.execute(_LOOK).fetchall()[0]
    _check_end(db)
    if found > len(MIGRATIONS):
        raise NotOurs(
            f"it is of version {found}, made by a newer AgentFuse than this one, which knows {len(MIGRATIONS)}; "
            "upgrade agent-fuse"
        )
    if mark != APPLICATION_ID and (found, mark, tables) != (0, 0, 0):
        raise NotOurs("it is a database of another program; name another file for the ledger")
    if found < 0:
        raise NotOurs(f"the file is damaged: its version is {found}; restore a copy")
    return int(found)


def _check_end(db: Connection) -> None:
    """The file is whole pages, or its log makes it so: where the end of one is lost SQLite reads zeros, silently."""
    log = Path(f"{db.filename}-wal")
    size = Path(db.filename).stat().st_size
    if size % int(db.pragma("page_size")) and not (log.exists() and log.stat().st_size):
        raise NotOurs(f"the file is damaged: it has {size} bytes, and its end is lost; restore a copy")


def migrate(db: Connection) -> None:
    """Take the database through the steps before it, each in one transaction with its number.

    The caller keeps other processes out.

    Raises:
        NotOurs: its file system cannot do what WAL needs.
    """
    if db.pragma("journal_mode", "wal") != "wal":
        raise NotOurs("its file system cannot share memory between processes (WAL); name a file on a local disk")
    for number in range(int(db.pragma("user_version")) + 1, len(MIGRATIONS) + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[number - 1](db)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
