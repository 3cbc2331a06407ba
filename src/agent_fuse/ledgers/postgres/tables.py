"""Making the tables, and bringing them to this version, by one process at a time."""

from typing import Any, LiteralString, cast

import psycopg

from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.postgres.connections import ServerConnections
from agent_fuse.ledgers.postgres.schema import LOCK, MIGRATIONS

_LOOK = """SELECT 1 FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace
    WHERE s.nspname = 'agent_fuse' AND t.relname = 'version'"""
"""As it stands now: `to_regclass` may remember that there was none, after another process made it."""


def version(server: ServerConnections) -> int:
    """How many steps the tables have been through; 0 where there are none. Only reads.

    Raises:
        LedgerError: a newer AgentFuse made them, or they cannot be read.
    """
    found = server.do("open", _version)
    if found > len(MIGRATIONS):
        raise LedgerError(
            "open",
            server.where,
            f"it is of version {found}, made by a newer AgentFuse than this one, which knows {len(MIGRATIONS)}; "
            "upgrade agent-fuse",
        )
    return found


def bring_up(server: ServerConnections) -> None:
    """Make the tables where they are not there, and take them through the steps before them, all or nothing."""
    if version(server) < len(MIGRATIONS):
        server.do("open", _migrate)


def _version(cursor: "psycopg.Cursor[tuple[Any, ...]]") -> int:
    if not cursor.execute(_LOOK).fetchall():
        return 0
    return int(cursor.execute("SELECT number FROM agent_fuse.version").fetchall()[0][0])


def _migrate(cursor: "psycopg.Cursor[tuple[Any, ...]]") -> None:
    with cursor.connection.transaction():
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        found = _version(cursor)
        if not found:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS agent_fuse")
        for step in MIGRATIONS[found:]:
            cursor.execute(cast("LiteralString", step()))
        cursor.execute("UPDATE agent_fuse.version SET number = %s", (len(MIGRATIONS),))
