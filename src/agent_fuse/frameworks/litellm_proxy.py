"""LiteLLM's proxy: whoever called it gets an answer that says which limit refused, as for the proxy's own budgets."""

from collections.abc import Callable
from http import HTTPStatus
from importlib import import_module

from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, SentinelSystemError
from agent_fuse.frameworks import Seam


def _answer(trip: SentinelError) -> Exception:
    """429 as for a budget of the proxy's, which a client is told not to try again; 503 where the ledger failed."""
    kind: Callable[..., Exception] = import_module("litellm.proxy._types").ProxyException
    failed, budget = isinstance(trip, SentinelSystemError), isinstance(trip, SentinelBudgetExceeded)
    return kind(
        message=trip.message,
        type="budget_exceeded" if budget else trip.reason,
        param=None,
        code=HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.TOO_MANY_REQUESTS,
        headers={"x-should-retry": "false"},
    )


SEAMS = (Seam(function="ProxyBaseLLMRequestProcessing.base_process_llm_request", instead=_answer),)
