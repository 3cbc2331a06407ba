"""agent-fuse 0.2.1, whose API AgentFuse keeps."""

from agent_fuse.core.circuit_breaker import post_flight, pre_flight
from agent_fuse.core.exceptions import SentinelBudgetExceeded

import agent_fuse
from comparison.guard import INPUT, MODEL, OUTPUT, PRICE, Guard, Refused

PACKAGE = "agent-fuse"
KINDS = {"SQLite": {}}


class Old(Guard):
    def before(self):
        try:
            pre_flight(MODEL, INPUT, OUTPUT)
        except SentinelBudgetExceeded:
            raise Refused from None

    def after(self, held):
        post_flight(MODEL, INPUT, OUTPUT)


def open_guard(kind, folder, calls):
    agent_fuse.init(budget=PRICE * calls, db_path=f"{folder}/old.db", session_id="s")
    return Old()
