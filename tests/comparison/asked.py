"""What a guard has to answer: a budget lets go what it fits, and no more."""

import json

LONE = {"fit": 40, "threads": 100, "release": 10, "broken": 5}
"""Asked of one process."""

SHARED = {"processes": 100, "crash": 5}
"""Asked of several, on one ledger."""


def said(printed: str) -> object:
    """The answer in what a process of `comparison.ask` printed; else all of that."""
    answer = next((one for one in printed.splitlines() if one.startswith("ANSWER")), None)
    return printed if answer is None else json.loads(answer.removeprefix("ANSWER"))[0]
