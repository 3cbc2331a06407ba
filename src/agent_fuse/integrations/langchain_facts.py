"""Where LangChain's callbacks put each fact about a model call: its model, its request, its usage."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, LLMResult

from agent_fuse.calls import Usage, count
from agent_fuse.usage_reader import read_usage

Facts = Mapping[str, Any]

_MODEL = ("model", "model_name", "deployment_name", "azure_deployment", "model_id")
_ASKED = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "tools",
    "functions",
    "response_format",
    "service_tier",
    "speed",
    "inference_geo",
)
_SESSION = ("session_id", "thread_id", "conversation_id")


def model_of(serialized: Facts, parameters: Facts, metadata: Facts, default: str) -> str:
    """The model's name: of this very call, else of the object that calls it, else `default`."""
    kwargs = serialized.get("kwargs")
    kept: Facts = cast("Facts", kwargs) if isinstance(kwargs, Mapping) else {}
    for facts, names in ((parameters, _MODEL), (metadata, ("ls_model_name",)), (kept, _MODEL)):
        for name in names:
            found = facts.get(name)
            if isinstance(found, str) and found:
                return found
    return default


def provider_of(metadata: Facts) -> str:
    """The provider, as LangChain names it (`ls_provider`); empty when it does not."""
    found = metadata.get("ls_provider")
    return found if isinstance(found, str) else ""


def session_of(metadata: Facts) -> str:
    """The session or LangGraph thread that the run's metadata names."""
    return next((str(metadata[name]) for name in _SESSION if metadata.get(name)), "")


def agent_of(metadata: Facts) -> str:
    """The agent that the run's metadata names."""
    found = metadata.get("lc_agent_name")
    return found if isinstance(found, str) else ""


def body_of(messages: Sequence[BaseMessage] | Sequence[str], parameters: Facts, metadata: Facts) -> dict[str, Any]:
    """The request as far as LangChain tells it, in the words of OpenAI's API."""
    body: dict[str, Any] = {name: parameters[name] for name in _ASKED if parameters.get(name) is not None}
    if "ls_max_tokens" in metadata and not any("max" in name for name in body):
        body["max_tokens"] = metadata["ls_max_tokens"]
    if messages and isinstance(messages[0], BaseMessage):
        body["messages"] = _plain(cast("Sequence[BaseMessage]", messages))
    else:
        body["prompt"] = list(cast("Sequence[str]", messages))
    return body


def _plain(messages: Sequence[BaseMessage]) -> object:
    try:
        return convert_to_openai_messages(list(messages))
    except (ValueError, TypeError, KeyError):
        return [{"role": one.type, "content": one.content} for one in messages]  # a content that OpenAI knows not


def result_of(response: LLMResult) -> Usage | None:
    """The usage of one run, choices included; None when it is not told.

    Every choice of a chat carries the usage of the whole (langchain-openai), so the first that has one counts.
    """
    for one in _generations(response):
        told = getattr(one.message, "usage_metadata", None) if isinstance(one, ChatGeneration) else None
        if isinstance(told, Mapping):
            found = _usage(cast("Facts", told))
            if found.known:
                return found
    told = (response.llm_output or {}).get("token_usage") or (response.llm_output or {}).get("usage")
    return read_usage({"usage": told}) if told else None


def is_free(response: LLMResult) -> bool:
    """Whether no request was made for this run: its answer was cached, or another run's request asked for both.

    LangChain marks a cached answer by `total_cost: 0`. Of several prompts in one request, it gives the usage to the
    first run and an empty one to the others.
    """
    for one in _generations(response):
        told = getattr(one.message, "usage_metadata", None) if isinstance(one, ChatGeneration) else None
        if isinstance(told, Mapping) and cast("Facts", told).get("total_cost") == 0:
            return True
    return (response.llm_output or {}).get("token_usage") == {} and result_of(response) is None


def wrote(response: object) -> bool:
    """Whether a run that failed had written something already."""
    return isinstance(response, LLMResult) and any(one.text for one in _generations(response))


def _generations(response: LLMResult) -> Iterator[Any]:
    return (one for choices in response.generations for one in choices)


def _usage(told: Facts) -> Usage:
    """LangChain's `usage_metadata`: input includes what was cached, output what was reasoned."""
    given: Facts = told.get("input_token_details") or {}
    made: Facts = told.get("output_token_details") or {}
    return Usage(
        input_tokens=count(told.get("input_tokens")),
        output_tokens=count(told.get("output_tokens")),
        cache_read_tokens=count(given.get("cache_read")),
        cache_write_tokens=count(given.get("cache_creation")),
        reasoning_tokens=count(made.get("reasoning")),
        input_audio_tokens=count(given.get("audio")),
        output_audio_tokens=count(made.get("audio")),
    )
