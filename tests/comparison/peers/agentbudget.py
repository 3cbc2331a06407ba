"""agentbudget: costs are told after the call, in memory; `would_exceed` may be asked before."""

from types import SimpleNamespace

import agentbudget

from comparison.guard import INPUT, MODEL, OUTPUT, PRICE, Guard, Refused

PACKAGE = "agentbudget"
KINDS = {"memory": {}}
ANSWER = SimpleNamespace(model=MODEL, usage=SimpleNamespace(prompt_tokens=INPUT, completion_tokens=OUTPUT))


class Budget(Guard):
    def __init__(self, session):
        self._session = session

    def before(self):
        if self._session.would_exceed(PRICE):
            raise Refused

    def after(self, held):
        try:
            self._session.wrap(ANSWER)
        except agentbudget.BudgetExhausted:
            raise Refused from None


def open_guard(kind, folder, calls):
    # Its loop detector takes ten calls of one model in a minute for a loop.
    budget = agentbudget.AgentBudget(max_spend=PRICE * calls, max_repeated_calls=10**9)
    return Budget(budget.session().__enter__())
