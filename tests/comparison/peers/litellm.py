"""litellm's BudgetManager, as its page says: compare what was spent with the budget, call, update."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm import BudgetManager, ModelResponse, Usage

from comparison.guard import INPUT, MODEL, OUTPUT, PRICE, TOKENS, Guard, Refused

PACKAGE = "litellm"
KINDS = {"JSON file": {}}
USAGE = Usage(prompt_tokens=INPUT, completion_tokens=OUTPUT, total_tokens=TOKENS)


class Managed(Guard):
    def __init__(self, manager):
        self._manager = manager

    def before(self):
        if not self._manager.get_current_cost(user="s") <= self._manager.get_total_budget("s"):
            raise Refused

    def after(self, held):
        self._manager.update_cost(completion_obj=ModelResponse(model=MODEL, usage=USAGE), user="s")


def open_guard(kind, folder, calls):
    os.chdir(folder)  # it keeps user_cost.json where it is started
    manager = BudgetManager(project_name="s")
    if not manager.is_valid_user("s"):
        manager.create_budget(total_budget=PRICE * calls, user="s")
    return Managed(manager)
