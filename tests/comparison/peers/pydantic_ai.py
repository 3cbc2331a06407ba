"""pydantic-ai's UsageLimits, with a usage shared by runs of a real agent over a model that is a function."""

from pydantic_ai import Agent
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

from comparison.guard import INPUT, MODEL, OUTPUT, Guard, Refused

PACKAGE = "pydantic-ai-slim"
KINDS = {"requests, in memory": "requests", "tokens, in memory": "tokens"}


class Agents(Guard):
    def __init__(self, limits):
        self._limits, self._usage = limits, RunUsage()

    def call(self, request):
        def answer(messages, info):
            request()
            return ModelResponse(
                [TextPart("x")], usage=RequestUsage(input_tokens=INPUT, output_tokens=OUTPUT), model_name=MODEL
            )

        try:
            Agent(FunctionModel(answer)).run_sync("hi", usage=self._usage, usage_limits=self._limits)
        except UsageLimitExceeded:
            raise Refused from None


def open_guard(kind, folder, calls):
    if KINDS[kind] == "requests":
        return Agents(UsageLimits(request_limit=calls))
    return Agents(UsageLimits(request_limit=None, total_tokens_limit=(INPUT + OUTPUT) * calls))
