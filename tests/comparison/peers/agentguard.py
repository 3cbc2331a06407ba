"""agentguard47: check before and consume after, in memory or in a JSON file; or its reservations in that file."""

import uuid

from agentguard import BudgetExceeded, BudgetGuard
from agentguard.state import JsonFileStateStore

from comparison.guard import PRICE, TOKENS, Guard, Refused

PACKAGE = "agentguard47"
KINDS = {"memory": "", "JSON file": "consume", "JSON file, reservations": "reserve"}


class Checked(Guard):
    def __init__(self, guard):
        self._guard = guard

    def before(self):
        try:
            self._guard.check()
        except BudgetExceeded:
            raise Refused from None

    def after(self, held):
        try:
            self._guard.consume(tokens=TOKENS, calls=1, cost_usd=PRICE)
        except BudgetExceeded:
            raise Refused from None


class Reserved(Checked):
    def before(self):
        held = uuid.uuid4().hex
        try:
            self._guard.reserve_for_dispatch(held, cost_bound=PRICE)
        except BudgetExceeded:
            raise Refused from None
        return held

    def after(self, held):
        self._guard.commit_reservation(held, tokens=TOKENS, cost_usd=PRICE)

    def failed(self, held):
        self._guard.cancel_reservation(held, dispatch_never_sent=True)

    def broken(self, held):
        self._guard.mark_reservation_unresolved(held, reason="the stream ended")


def open_guard(kind, folder, calls):
    if not KINDS[kind]:
        return Checked(BudgetGuard(max_cost_usd=PRICE * calls))
    store = JsonFileStateStore(f"{folder}/guard.json")
    guard = BudgetGuard(max_cost_usd=PRICE * calls, store=store, key="s")
    return (Reserved if KINDS[kind] == "reserve" else Checked)(guard)
