"""AgentFuse itself, by hand, as the others are asked."""

import os

import agent_fuse
from comparison.guard import INPUT, MODEL, OUTPUT, PRICE, Guard, Refused

PACKAGE = "agent-fuse"
KINDS = {
    "memory": {"db_path": "memory://compare"},
    "SQLite, NORMAL": {},
    "SQLite, FULL": {"synchronous": "full"},
    "PostgreSQL": {"db_path": os.environ.get("COMPARE_POSTGRES")},
    "PostgreSQL, leases": {"db_path": os.environ.get("COMPARE_POSTGRES"), "lease": True},
}


class Fuse(Guard):
    def before(self):
        held = agent_fuse.call(MODEL, INPUT, OUTPUT)
        try:
            return held.__enter__()
        except agent_fuse.SentinelBudgetExceeded:
            raise Refused from None

    def after(self, held):
        held.usage(INPUT, OUTPUT)
        held.__exit__(None, None, None)

    def failed(self, held):
        held.__exit__(ConnectionRefusedError, ConnectionRefusedError(111, "refused"), None)

    def broken(self, held):
        held.__exit__(EOFError, EOFError("the stream ended"), None)


def open_guard(kind, folder, calls):
    options = {"db_path": f"{folder}/ledger.db", **KINDS[kind]}
    agent_fuse.init(budget=f"{PRICE * calls:.4f}", session_id=folder, warn_at="none", **options)
    return Fuse()
