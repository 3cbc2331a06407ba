"""OpenTelemetry's GenAI semantic conventions, as any instrumentation that follows them tells a call."""

from collections.abc import Mapping

from agent_fuse.dialects.base import AGENT_OPERATIONS, MODEL_OPERATIONS, Dialect, Fact, Kind

KEYS: Mapping[Fact, tuple[str, ...]] = {
    Fact.OPERATION: ("gen_ai.operation.name",),
    Fact.PROVIDER: ("gen_ai.provider.name", "gen_ai.system"),
    Fact.MODEL: ("gen_ai.request.model",),
    Fact.RESPONSE_MODEL: ("gen_ai.response.model",),
    Fact.MAX_TOKENS: ("gen_ai.request.max_tokens",),
    Fact.PROMPT: ("gen_ai.input.messages", "gen_ai.prompt"),
    Fact.SESSION: ("session.id", "gen_ai.conversation.id"),
    Fact.AGENT: ("gen_ai.agent.name",),
    Fact.TOOL: ("gen_ai.tool.name",),
    Fact.ARGUMENTS: ("gen_ai.tool.call.arguments",),
    Fact.RESULT: ("gen_ai.tool.call.result",),
    Fact.RESPONSE_ID: ("gen_ai.response.id",),
    Fact.ERROR: ("error.type",),
    Fact.INPUT: ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    Fact.OUTPUT: ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    Fact.CACHE_READ: ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    Fact.CACHE_WRITE: (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    Fact.REASONING: ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
}

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(MODEL_OPERATIONS, Kind.MODEL),
    **dict.fromkeys(AGENT_OPERATIONS, Kind.AGENT),
    "execute_tool": Kind.TOOL,
}

GENERIC = Dialect(name="otel-genai", scopes=("*",), keys=KEYS, kinds=KINDS)
"""For scopes that nobody else knows; only spans that carry `gen_ai.operation.name` at their start are read."""

DIALECTS = (GENERIC,)
