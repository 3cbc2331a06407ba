"""llm-cost-guard: its tracker, which records after the call, with SQLite; or its budget's reservations, in memory."""

import logging

from llm_cost_guard import CostTracker
from llm_cost_guard.budget import Budget, BudgetAction, BudgetTracker
from llm_cost_guard.exceptions import BudgetExceededError

from comparison.guard import INPUT, MODEL, OUTPUT, PRICE, Guard, Refused

PACKAGE = "llm-cost-guard"
KINDS = {"memory, reservations": "reserve", "SQLite": "record"}


class Recorded(Guard):
    def __init__(self, tracker):
        self._tracker = tracker

    def before(self):
        return None

    def after(self, held):
        try:
            self._tracker.record("openai", MODEL, INPUT, OUTPUT)
        except BudgetExceededError:
            raise Refused from None


class Reserved(Guard):
    def __init__(self, tracker):
        self._tracker = tracker

    def before(self):
        held = self._tracker.reserve(PRICE)
        if held is None:
            raise Refused
        return held

    def after(self, held):
        self._tracker.finalize(held, PRICE, PRICE)

    def failed(self, held):
        self._tracker.release(held, PRICE)


def open_guard(kind, folder, calls):
    logging.disable(logging.CRITICAL)
    budget = Budget(name="s", limit=PRICE * calls, period="day", action=BudgetAction.BLOCK)
    if KINDS[kind] == "reserve":
        return Reserved(BudgetTracker([budget]))
    return Recorded(CostTracker(budgets=[budget], backend=f"sqlite:///{folder}/costs.db", pricing_update=False))
