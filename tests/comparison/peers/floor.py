"""No guard at all: the least that one can do, two commits of Python's own SQLite a call, without a journal or a cap."""

import sqlite3

from comparison.guard import Guard

PACKAGE = ""
KINDS = {"two commits, NORMAL": "NORMAL", "two commits, FULL": "FULL"}


class Floor(Guard):
    def __init__(self, path, synchronous):
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={synchronous}")
        self._db.execute("CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, held INTEGER, settled INTEGER)")
        self._db.execute("INSERT OR IGNORE INTO accounts VALUES ('s', 0, 0)")

    def before(self):
        self._db.execute("UPDATE accounts SET held = held + 7500000 WHERE name = 's'")

    def after(self, held):
        self._db.execute("UPDATE accounts SET held = held - 7500000, settled = settled + 7500000 WHERE name = 's'")


def open_guard(kind, folder, calls):
    return Floor(f"{folder}/floor.db", KINDS[kind])
