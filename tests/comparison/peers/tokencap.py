"""tokencap: tokens, counted before the call; nothing is given back."""

import os

from tokencap import BudgetExceededError, DimensionPolicy, Policy
from tokencap import Guard as Tokencap
from tokencap.backends.redis import RedisBackend
from tokencap.backends.sqlite import SQLiteBackend
from tokencap.core.types import TokenUsage
from tokencap.interceptor.base import call

from comparison.guard import TOKENS, Guard, Refused

PACKAGE = "tokencap"
KINDS = {"SQLite (FULL)": "full", "SQLite, NORMAL set by us": "normal", "Redis": "redis"}


class Provider:
    def estimate_tokens(self, kwargs):
        return TOKENS

    def extract_usage(self, response):
        return TokenUsage(input_tokens=1_000, output_tokens=500)


class Capped(Guard):
    def __init__(self, guard):
        self._guard = guard

    def call(self, request):
        try:
            call(lambda **_: request(), {"model": "gpt-4o"}, self._guard, Provider())
        except BudgetExceededError:
            raise Refused from None


def open_guard(kind, folder, calls):
    if kind == "Redis":
        backend = RedisBackend(os.environ["COMPARE_REDIS"])
    else:
        backend = SQLiteBackend(f"{folder}/tokencap.db")
        if KINDS[kind] == "normal":
            backend._conn.execute("PRAGMA synchronous=NORMAL")
    policy = Policy(dimensions={"session": DimensionPolicy(limit=TOKENS * calls)})
    return Capped(
        Tokencap(policy=policy, identifiers={"session": folder}, backend=backend, otel_enabled=False, quiet=True)
    )
