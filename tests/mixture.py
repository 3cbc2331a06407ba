"""A mixture of calls, each in a session of its own: whole, streamed, refused, and spans that nobody ends."""

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import SentinelError

ANSWER: dict[str, Any] = {"id": "r", "model": "gpt-4o", "usage": {"prompt_tokens": 10, "completion_tokens": 10}}


@agent_fuse.guard(model="gpt-4o")
def streamed() -> Iterator[dict[str, Any]]:
    """An answer in one piece, and one that its reader does not want."""
    yield ANSWER
    yield ANSWER


def call(n: int, tracing: TracerProvider) -> None:
    """The `n`-th call of the mixture."""
    tracer = tracing.get_tracer("opentelemetry.instrumentation.openai.v1")
    asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    with agent_fuse.session(f"s{n}", user_id=f"u{n}"):
        match n % 6:
            case 0:
                with agent_fuse.call("gpt-4o", 10, 10) as made:
                    made.usage(10, 10)
            case 1:
                list(streamed())
            case 2:
                next(streamed())  # dropped half-way
            case 3:
                try:
                    with agent_fuse.call("gpt-4o", 10**9, 10**9):
                        raise AssertionError
                except SentinelError:
                    pass
            case 4:
                with tracer.start_as_current_span("openai.chat", attributes=asked) as span:
                    span.set_attribute("gen_ai.usage.input_tokens", 10)
            case _:
                tracer.start_span("openai.chat", attributes=asked)  # never ended
        agent_fuse.check_loop("search", {"query": n})
