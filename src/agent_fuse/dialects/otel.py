"""OpenTelemetry's GenAI semantic conventions, and the OpenTelemetry project's instrumentations that follow them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent_fuse.dialects.base import AGENT_OPERATIONS, MODEL_OPERATIONS, Dialect, Field, SpanRole
from agent_fuse.dialects.reading import Ending
from agent_fuse.sightings import Layer, Outcome

KEYS: Mapping[Field, tuple[str, ...]] = {
    Field.OPERATION: ("gen_ai.operation.name",),
    Field.PROVIDER: ("gen_ai.provider.name", "gen_ai.system"),
    Field.MODEL: ("gen_ai.request.model",),
    Field.RESPONSE_MODEL: ("gen_ai.response.model",),
    Field.MAX_TOKENS: ("gen_ai.request.max_tokens",),
    Field.PROMPT: ("gen_ai.input.messages", "gen_ai.prompt"),
    Field.SESSION: ("session.id", "gen_ai.conversation.id"),
    Field.AGENT: ("gen_ai.agent.name",),
    Field.TOOL: ("gen_ai.tool.name",),
    Field.ARGUMENTS: ("gen_ai.tool.call.arguments",),
    Field.RESULT: ("gen_ai.tool.call.result",),
    Field.RESPONSE_ID: ("gen_ai.response.id",),
    Field.ERROR: ("error.type",),
    Field.INPUT: ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    Field.OUTPUT: ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    Field.TOTAL: ("gen_ai.usage.total_tokens",),
    Field.CACHE_READ: ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    Field.CACHE_WRITE: (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    Field.REASONING: ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
}

KINDS: Mapping[str, SpanRole] = {
    **dict.fromkeys(MODEL_OPERATIONS, SpanRole.MODEL),
    **dict.fromkeys(AGENT_OPERATIONS, SpanRole.AGENT),
    "execute_tool": SpanRole.TOOL,
}

FINISHED = "gen_ai.response.finish_reasons"


def through_sdk(_: str, attributes: Mapping[str, Any]) -> bool:
    """Whether the provider named is one that is called through the openai or anthropic SDK."""
    provider = attributes.get("gen_ai.provider.name") or attributes.get("gen_ai.system")
    return provider in ("openai", "anthropic", "azure.ai.openai")


def broken_off(ending: Ending) -> Ending:
    """An abandoned Anthropic stream tells the `message_start` figure, 1 or so, for its output: that is not known."""
    usage = replace(ending.usage, output_tokens=None) if ending.usage is not None else None
    return replace(ending, outcome=Outcome.BROKEN, usage=usage)


def _mend_anthropic(ending: Ending, attributes: Mapping[str, Any]) -> Ending:
    if attributes.get("gen_ai.request.stream") and FINISHED not in attributes and ending.outcome is Outcome.DONE:
        return broken_off(ending)
    return ending


OPENAI = Dialect(
    name="genai-openai",
    scopes=("opentelemetry.instrumentation.genai.openai",),
    keys=KEYS,
    kinds=KINDS,
    gate_follows=True,
)

ANTHROPIC = Dialect(
    name="genai-anthropic",
    scopes=("opentelemetry.instrumentation.genai.anthropic",),
    keys=KEYS,
    kinds=KINDS,
    gate_follows=True,
    mend=_mend_anthropic,
)

LANGCHAIN = Dialect(
    name="genai-langchain",
    scopes=("opentelemetry.instrumentation.genai.langchain",),
    layer=Layer.FRAMEWORK,
    keys=KEYS,
    kinds=KINDS,
    gate_follows=through_sdk,
    swallows=True,
)

AGENTS = Dialect(
    name="genai-openai-agents",
    scopes=("opentelemetry.instrumentation.genai.openai_agents",),
    layer=Layer.FRAMEWORK,
    keys=KEYS,
    kinds=KINDS,
    swallows=True,
)
"""Agents and tools only: the model's spans are those of whatever instruments its client."""

OPENAI_V2 = Dialect(
    name="openai-v2",
    scopes=("opentelemetry.instrumentation.openai_v2", "opentelemetry.util.genai.handler"),
    keys=KEYS,
    kinds=KINDS,
    late_facts=frozenset({Field.MODEL, Field.MAX_TOKENS}),
    gate_follows=through_sdk,
)
"""Since 2.4b0 its chat spans come from util-genai's handler, which other instrumentations use as well."""

GOOGLE = Dialect(
    name="google-genai",
    scopes=("opentelemetry.instrumentation.google_genai",),
    keys=KEYS,
    kinds=KINDS,
)

_BEDROCK = frozenset(
    f"Bedrock Runtime.{method}"
    for method in ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")
)

BEDROCK = Dialect(
    name="botocore-bedrock",
    scopes=("opentelemetry.instrumentation.botocore.bedrock-runtime",),
    keys=KEYS,
    kinds=KINDS,
    kind_of_name=lambda name: (SpanRole.MODEL, "chat") if name in _BEDROCK else None,
)

GENERIC = Dialect(name="otel-genai", scopes=("*",), keys=KEYS, kinds=KINDS)
"""For scopes that nobody else knows; only spans that carry `gen_ai.operation.name` at their start are read."""

DIALECTS = (OPENAI, ANTHROPIC, LANGCHAIN, AGENTS, OPENAI_V2, GOOGLE, BEDROCK, GENERIC)
