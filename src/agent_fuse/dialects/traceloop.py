"""Traceloop's instrumentations (OpenLLMetry): openai, langchain, anthropic, openai-agents, google-generativeai."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.dialects.base import Dialect, Field, SpanRole
from agent_fuse.dialects.otel import KEYS, KINDS
from agent_fuse.dialects.reading import Ending
from agent_fuse.sightings import Layer

_PROPERTIES = "traceloop.association.properties."

_KEYS: Mapping[Field, tuple[str, ...]] = {
    **KEYS,
    Field.PROMPT: ("gen_ai.input.messages",),
    Field.SESSION: (*KEYS[Field.SESSION], f"{_PROPERTIES}session_id", f"{_PROPERTIES}thread_id"),
    Field.AGENT: (*KEYS[Field.AGENT], f"{_PROPERTIES}lc_agent_name"),
    Field.RESULT: ("gen_ai.tool.call.result", "traceloop.entity.output"),
    Field.TOTAL: (*KEYS[Field.TOTAL], "llm.usage.total_tokens"),
    Field.REASONING: (*KEYS[Field.REASONING], "llm.usage.reasoning_tokens"),
}


def _prompt_follows(config: str) -> Callable[[], bool]:
    """Whether a prompt is told: with content on, and not as events (`use_legacy_attributes=False`, in its `config`)."""

    def follows() -> bool:
        if os.environ.get("TRACELOOP_TRACE_CONTENT", "true").lower() != "true":
            return False
        module = sys.modules.get(f"opentelemetry.instrumentation.{config}")
        return bool(getattr(getattr(module, "Config", None), "use_legacy_attributes", True))

    return follows


_LATE = frozenset({Field.MODEL, Field.MAX_TOKENS, Field.PROMPT})

_OLD_NAMES = {
    "openai.chat": "chat", "openai.completion": "text_completion", "openai.embeddings": "embeddings",
    "openai.response": "chat", "anthropic.chat": "chat", "anthropic.completion": "text_completion",
    "gemini.generate_content": "generate_content",
}  # fmt: skip
"""Spans by name, for releases up to 0.5x, which start without an operation (they have `llm.request.type`)."""

_SDK_CLASSES = frozenset({"ChatOpenAI", "AzureChatOpenAI", "OpenAI", "AzureOpenAI", "ChatAnthropic"})


def _old_kind(name: str) -> tuple[SpanRole, str] | None:
    operation = _OLD_NAMES.get(name)
    return (SpanRole.MODEL, operation) if operation is not None else None


def _langchain_kind(name: str) -> tuple[SpanRole, str] | None:
    if name.endswith(".chat"):
        return SpanRole.MODEL, "chat"
    if name.endswith(".completion"):
        return SpanRole.MODEL, "text_completion"
    if name.startswith("execute_tool "):
        return SpanRole.TOOL, name.removeprefix("execute_tool ")
    if name.endswith(".tool"):
        return SpanRole.TOOL, name.removesuffix(".tool")
    if name.startswith(("invoke_agent ", "create_agent ")) or name.endswith(".workflow"):
        return SpanRole.AGENT, ""
    return None


def _wrapper(found: object) -> dict[str, Any]:
    if not isinstance(found, str):
        return {}
    try:
        fields = foreign_text.read_json(found)
    except ValueError:
        return {}
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}


def _inputs(found: object) -> object:
    """Traceloop wraps a LangChain tool's arguments: `{"input_str": …, "tags": …, "inputs": {…}}`."""
    fields = _wrapper(found)
    inputs = fields.get("inputs")
    return inputs if inputs is not None else fields.get("input_str", found)


def _content(ending: Ending, attributes: Mapping[str, Any]) -> Ending:
    """It wraps the result too, in a message whose call id is new each time: only the content can tell progress."""
    del attributes
    output = _wrapper(ending.result).get("output")
    message = cast("dict[str, Any]", output).get("kwargs") if isinstance(output, dict) else None
    if isinstance(message, dict) and "content" in message:
        output = cast("dict[str, Any]", message)["content"]
    return ending if output is None else replace(ending, result=output)


def _mend_anthropic(ending: Ending, attributes: Mapping[str, Any]) -> Ending:
    """A stream's output figure has the one of `message_start` added, which is 1 or a few: take 1 off again."""
    usage = ending.usage
    if usage is None or not usage.output_tokens or not attributes.get("gen_ai.is_streaming"):
        return ending
    return replace(ending, usage=replace(usage, output_tokens=usage.output_tokens - 1))


OPENAI = Dialect(
    name="traceloop-openai",
    scopes=(
        "opentelemetry.instrumentation.openai.v0",
        "opentelemetry.instrumentation.openai.v1",
        "opentelemetry.instrumentation.openai",
    ),
    keys=_KEYS,
    kinds=KINDS,
    kind_of_name=_old_kind,
    late_names=frozenset({"openai.response"}),
    late_facts=_LATE,
    prompt_follows=_prompt_follows("openai.shared.config"),
    gate_follows=True,
)

LANGCHAIN = Dialect(
    name="traceloop-langchain",
    scopes=("opentelemetry.instrumentation.langchain",),
    layer=Layer.FRAMEWORK,
    keys={**_KEYS, Field.ARGUMENTS: (*_KEYS[Field.ARGUMENTS], "traceloop.entity.input")},
    kinds=KINDS,
    kind_of_name=_langchain_kind,
    late_facts=_LATE | {Field.ARGUMENTS},
    prompt_follows=_prompt_follows("langchain.config"),
    detached=True,
    gate_follows=lambda name, _attributes: name.partition(".")[0] in _SDK_CLASSES,
    arguments_of=_inputs,
    mend=_content,
)

ANTHROPIC = Dialect(
    name="traceloop-anthropic",
    scopes=("opentelemetry.instrumentation.anthropic",),
    keys=_KEYS,
    kinds=KINDS,
    kind_of_name=_old_kind,
    late_facts=_LATE,
    prompt_follows=_prompt_follows("anthropic.config"),
    detached=True,
    gate_follows=True,
    mend=_mend_anthropic,
)

AGENTS = Dialect(
    name="traceloop-openai-agents",
    scopes=("opentelemetry.instrumentation.openai_agents",),
    layer=Layer.FRAMEWORK,
    keys=_KEYS,
    kinds={**KINDS, "response": SpanRole.MODEL},
    operations={"response": "chat"},
    gate_follows=lambda _name, attributes: "/" not in str(attributes.get("gen_ai.request.model", "")),
    swallows=True,
)
"""With a chat-completions model its spans carry no usage: another layer has it, or the call is booked at its quote."""

GOOGLE = Dialect(
    name="traceloop-google",
    scopes=("opentelemetry.instrumentation.google_generativeai",),
    keys=_KEYS,
    kinds=KINDS,
    kind_of_name=_old_kind,
    late_facts=frozenset({Field.PROMPT}),
)

DIALECTS = (OPENAI, LANGCHAIN, ANTHROPIC, AGENTS, GOOGLE)
