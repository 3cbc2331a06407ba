"""LiteLLM: its completion in a loop of one's own that runs the tools. It has no named agents."""

import json

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("litellm", "openai")
INSTRUMENTATION = "openinference-instrumentation-litellm"
MAX_TURNS = 40
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "lookup",
            "description": "Look up.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    }
]


def _asked(world: World, messages):
    return {
        "model": f"openai/{MODEL}",
        "api_base": world.base_url,
        "api_key": "none",
        "messages": messages,
        "tools": TOOLS,
        "num_retries": 0,
    }


def _answered(world: World, messages, answer) -> bool:
    message = answer.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or ():
        found = world.lookup(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
    return not message.tool_calls


def streamed(world: World, name: str) -> Run:
    import litellm

    def run():
        messages = [{"role": "user", "content": "What is the answer?"}]
        for _ in range(MAX_TURNS):
            pieces = list(litellm.completion(**_asked(world, messages), stream=True))
            if _answered(world, messages, litellm.stream_chunk_builder(pieces)):
                break

    return run


def agent(world: World, name: str) -> Run:
    import litellm

    def run():
        messages = [{"role": "user", "content": "What is the answer?"}]
        for _ in range(MAX_TURNS):
            if _answered(world, messages, litellm.completion(**_asked(world, messages))):
                break

    return run


def async_agent(world: World, name: str) -> AsyncRun:
    import litellm

    async def run():
        messages = [{"role": "user", "content": "What is the answer?"}]
        for _ in range(MAX_TURNS):
            if _answered(world, messages, await litellm.acompletion(**_asked(world, messages))):
                break

    return run


def pool(world: World, name: str) -> Run:
    import litellm

    def run():
        litellm.batch_completion(
            **{**_asked(world, [[{"role": "user", "content": f"{one}?"}] for one in range(6)]), "max_workers": 2}
        )

    return run


def instrument(provider) -> None:
    from openinference.instrumentation.litellm import LiteLLMInstrumentor

    LiteLLMInstrumentor().instrument(tracer_provider=provider)
