"""OpenInference's instrumentations (Arize Phoenix): openai, anthropic, langchain, litellm."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from agent_fuse.dialects.base import Dialect, Field, SpanRole
from agent_fuse.dialects.otel import broken_off
from agent_fuse.dialects.reading import Ending, json_object
from agent_fuse.sightings import Layer, Outcome

_COUNT = "llm.token_count."
_CALL_ID = re.compile(r"tool_call_id='[^']*'")

KEYS: Mapping[Field, tuple[str, ...]] = {
    Field.PROVIDER: ("llm.provider", "llm.system"),
    Field.MODEL: ("llm.model_name", "llm.request.model_name", "embedding.model_name"),
    Field.RESPONSE_MODEL: ("llm.response.model_name",),
    Field.BODY: ("input.value",),
    Field.SESSION: ("session.id",),
    Field.AGENT: ("agent.name",),
    Field.TOOL: ("tool.name",),
    Field.ARGUMENTS: ("input.value",),
    Field.RESULT: ("output.value",),
    Field.INPUT: (f"{_COUNT}prompt",),
    Field.OUTPUT: (f"{_COUNT}completion",),
    Field.TOTAL: (f"{_COUNT}total",),
    Field.CACHE_READ: (f"{_COUNT}prompt_details.cache_read",),
    Field.CACHE_WRITE: (f"{_COUNT}prompt_details.cache_write",),
    Field.REASONING: (f"{_COUNT}completion_details.reasoning",),
}

KIND = "openinference.span.kind"

KINDS: Mapping[str, SpanRole] = {
    "LLM": SpanRole.MODEL,
    "EMBEDDING": SpanRole.MODEL,
    "TOOL": SpanRole.TOOL,
    "AGENT": SpanRole.AGENT,
    "CHAIN": SpanRole.AGENT,
}

_OPERATIONS: Mapping[str, str] = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "Completion": "text_completion",
    "Response": "responses",
    "messages.create": "messages",
    "messages.stream": "messages",
}

_MODEL_CLASS = re.compile(
    r"(?:Azure|Custom)?Chat(?!Prompt|Message|History)[A-Z]\w*|(?:Azure)?OpenAI|Anthropic|\w*LLM|Ollama\w*|Bedrock\w*"
    r"|(?:Google)?(?:Gemma)?VertexAI\w*|GoogleGenerativeAI|HuggingFace(?:Endpoint|Pipeline|Hub|TextGenInference)"
    r"|Cohere|Fireworks|Together|Replicate|LlamaCpp|VLLM\w*|NVIDIA|Databricks|SagemakerEndpoint|AI21|Nebius\w*|Xinference"
)
_SDK_CLASSES = frozenset({"ChatOpenAI", "AzureChatOpenAI", "OpenAI", "AzureOpenAI", "ChatAnthropic"})


def _langchain_kind(name: str) -> tuple[SpanRole, str] | None:
    """Spans start with LangChain's run name and nothing else; a model's is its class, unless the user renamed it."""
    return (SpanRole.MODEL, "chat") if _MODEL_CLASS.fullmatch(name) else None


def _mend_anthropic(ending: Ending, attributes: Mapping[str, Any]) -> Ending:
    if ending.usage is not None and "llm.finish_reason" not in attributes and '"stream"' in _parameters(attributes):
        return broken_off(ending)
    return ending


def _parameters(attributes: Mapping[str, Any]) -> str:
    return str(attributes.get("llm.invocation_parameters", ""))


def _content(result: str) -> object:
    """The content of a tool's message: as JSON, in `data` since 0.1.6x, or as releases up to 0.1.4x print it."""
    message = json_object(result) or {}
    inner = message.get("data", message)
    found = cast("dict[str, object]", inner) if isinstance(inner, dict) else {}
    return found["content"] if "tool_call_id" in found and "content" in found else _CALL_ID.sub("", result)


def _mend_langchain(ending: Ending, attributes: Mapping[str, Any]) -> Ending:
    """A span that was taken for a model by its name, and was none, gives its hold back.

    A tool's result is a message whose call id is new each time: only its content can tell progress.
    """
    if attributes.get(KIND) == "TOOL" and isinstance(ending.result, str):
        return replace(ending, result=_content(ending.result))
    if attributes.get(KIND) in ("LLM", "TOOL", None):
        return ending
    return replace(ending, outcome=Outcome.FAILED, usage=None)


OPENAI = Dialect(
    name="openinference-openai",
    scopes=("openinference.instrumentation.openai",),
    keys=KEYS,
    kinds=KINDS,
    kind_key=KIND,
    operations=_OPERATIONS,
    gate_follows=True,
    swallows=True,
)

ANTHROPIC = Dialect(
    name="openinference-anthropic",
    scopes=("openinference.instrumentation.anthropic",),
    keys=KEYS,
    kinds=KINDS,
    kind_key=KIND,
    operations=_OPERATIONS,
    gate_follows=True,
    swallows=True,
    mend=_mend_anthropic,
)

LANGCHAIN = Dialect(
    name="openinference-langchain",
    scopes=("openinference.instrumentation.langchain",),
    layer=Layer.FRAMEWORK,
    keys={fact: keys for fact, keys in KEYS.items() if fact is not Field.BODY},
    kinds=KINDS,
    kind_key=KIND,
    kind_of_name=_langchain_kind,
    operations=_OPERATIONS,
    late_kinds=True,
    gate_follows=lambda name, _attributes: name in _SDK_CLASSES,
    detached=True,
    swallows=True,
    mend=_mend_langchain,
)

_LITELLM: Mapping[str, str] = {
    **{f"{start}completion{end}": "chat" for start in ("", "a") for end in ("", "_with_retries")},
    "messages.create": "messages",
    "responses": "responses",
    "aresponses": "responses",
    "CreateEmbeddings": "embeddings",
}


def _litellm_kind(name: str) -> tuple[SpanRole, str] | None:
    """Spans start with a name and nothing else; what they are, and the model, is told before the call."""
    operation = _LITELLM.get(name)
    return (SpanRole.MODEL, operation) if operation is not None else None


LITELLM = Dialect(
    name="openinference-litellm",
    scopes=("openinference.instrumentation.litellm",),
    layer=Layer.FRAMEWORK,
    keys=KEYS,
    kinds=KINDS,
    kind_key=KIND,
    kind_of_name=_litellm_kind,
    late_facts=frozenset({Field.MODEL, Field.BODY}),
    swallows=True,
)

OTHERS = Dialect(
    name="openinference",
    scopes=("openinference.instrumentation.*",),
    keys=KEYS,
    kinds=KINDS,
    kind_key=KIND,
    operations=_OPERATIONS,
    swallows=True,
)
"""OpenInference's other instrumentations, by its semantic conventions."""

DIALECTS = (OPENAI, ANTHROPIC, LANGCHAIN, LITELLM, OTHERS)
