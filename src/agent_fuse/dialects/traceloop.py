"""Traceloop's instrumentations (OpenLLMetry): openai, langchain, anthropic."""

import json
from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.dialects.base import Dialect, Fact, Kind
from agent_fuse.dialects.otel import KEYS, KINDS
from agent_fuse.sightings import Layer

_PROPERTIES = "traceloop.association.properties."

_KEYS: Mapping[Fact, tuple[str, ...]] = {
    **KEYS,
    Fact.PROMPT: ("gen_ai.input.messages",),
    Fact.SESSION: (*KEYS[Fact.SESSION], f"{_PROPERTIES}session_id", f"{_PROPERTIES}thread_id"),
    Fact.AGENT: (*KEYS[Fact.AGENT], f"{_PROPERTIES}lc_agent_name"),
    Fact.RESULT: ("gen_ai.tool.call.result", "traceloop.entity.output"),
}

_LATE = frozenset({Fact.MODEL, Fact.MAX_TOKENS, Fact.PROMPT})

_SDK_CLASSES = frozenset({"ChatOpenAI", "AzureChatOpenAI", "OpenAI", "AzureOpenAI", "ChatAnthropic"})


def _langchain_kind(name: str) -> tuple[Kind, str] | None:
    if name.endswith(".chat"):
        return Kind.MODEL, "chat"
    if name.endswith(".completion"):
        return Kind.MODEL, "text_completion"
    if name.startswith("execute_tool "):
        return Kind.TOOL, name.removeprefix("execute_tool ")
    return None


def _inputs(found: object) -> object:
    """Traceloop wraps a LangChain tool's arguments: `{"input_str": …, "tags": …, "inputs": {…}}`."""
    if not isinstance(found, str):
        return found
    try:
        wrapper = json.loads(found)
    except ValueError:
        return found
    if not isinstance(wrapper, dict):
        return found
    fields = cast("dict[str, Any]", wrapper)
    inputs = fields.get("inputs")
    return inputs if inputs is not None else fields.get("input_str", found)


OPENAI = Dialect(
    name="traceloop-openai",
    scopes=(
        "opentelemetry.instrumentation.openai.v0",
        "opentelemetry.instrumentation.openai.v1",
        "opentelemetry.instrumentation.openai",
    ),
    keys=_KEYS,
    kinds=KINDS,
    kind_of_name=lambda name: (Kind.MODEL, "chat") if name == "openai.response" else None,
    late_names=frozenset({"openai.response"}),
    late_facts=_LATE,
    gate_follows=lambda _: True,
)

LANGCHAIN = Dialect(
    name="traceloop-langchain",
    scopes=("opentelemetry.instrumentation.langchain",),
    layer=Layer.FRAMEWORK,
    keys=_KEYS,
    kinds=KINDS,
    kind_of_name=_langchain_kind,
    late_facts=_LATE | {Fact.ARGUMENTS},
    detached=True,
    gate_follows=lambda name: name.partition(".")[0] in _SDK_CLASSES,
    arguments_of=_inputs,
)

ANTHROPIC = Dialect(
    name="traceloop-anthropic",
    scopes=("opentelemetry.instrumentation.anthropic",),
    keys=_KEYS,
    kinds=KINDS,
    late_facts=_LATE,
    detached=True,
    gate_follows=lambda _: True,
)

DIALECTS = (OPENAI, LANGCHAIN, ANTHROPIC)
