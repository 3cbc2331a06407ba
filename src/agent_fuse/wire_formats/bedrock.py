"""Amazon Bedrock: Converse, which is one for all models, and InvokeModel, whose bodies are the model maker's own."""

from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.aws_events import EventStreamReader
from agent_fuse.calls import Usage, count
from agent_fuse.wire import Reading, read_body
from agent_fuse.wire_formats.base import Body, BodyReader, WireFormat

_CAPS = ("maxTokens", "max_new_tokens", "maxTokenCount", "max_gen_len", "max_tokens")
_CONFIGS = ("inferenceConfig", "textGenerationConfig")
_PROMPTS = {"inputText": "prompt", "message": "prompt", "texts": "input"}
"""Titan's text and Cohere's, in the quoter's words."""


def _words(body: Body) -> Body:
    """How long the answer may be stands below a name, tools and service tier too; Titan and Cohere have their own."""
    told: dict[str, Any] = dict(body)
    configs = [told.pop(name) for name in _CONFIGS if isinstance(told.get(name), dict)]
    for fields in (*cast("list[Body]", configs), told):
        most = next((fields[name] for name in _CAPS if type(fields.get(name)) is int), None)
        if most is not None:
            told["max_tokens"] = most
            break
    tier = told.pop("serviceTier", None)
    if isinstance(tier, dict):
        told["service_tier"] = cast("Body", tier).get("type")
    given = told.pop("toolConfig", None)
    if isinstance(given, dict):
        told["tools"] = cast("Body", given).get("tools")
    for theirs, ours in _PROMPTS.items():
        if theirs in told and ours not in told:
            told[ours] = told.pop(theirs)
    return told


def _reader(reading: Reading, content_type: str, *, count_text: bool) -> BodyReader:
    del content_type
    return EventStreamReader(reading, count_text=count_text)


def _whole(body: object, reading: Reading) -> bool:
    return read_body(body, reading)


def _in_headers(headers: Mapping[str, str]) -> Usage | None:
    """What InvokeModel tells of any model's answer."""
    told = [_figure(headers.get(f"x-amzn-bedrock-{name}-token-count")) for name in ("input", "output")]
    return None if told == [None, None] else Usage(input_tokens=told[0], output_tokens=told[1] or 0)


def _figure(told: str | None) -> int | None:
    return count(int(told)) if told is not None and told.isdecimal() else None


FORMAT = WireFormat(
    name="bedrock",
    source="docs.aws.amazon.com/bedrock/latest/APIReference: Converse, ConverseStream, InvokeModel, "
    "InvokeModelWithResponseStream",
    ends={
        "/converse": "chat",
        "/converse-stream": "chat",
        "/invoke": "chat",
        "/invoke-with-response-stream": "chat",
    },
    provider="aws",
    asks=("messages", "prompt", "inputText", "texts", "message", "inputImage"),
    words=_words,
    reader=_reader,
    whole=_whole,
    in_headers=_in_headers,
    tier_header="x-amzn-bedrock-service-tier",
)

JOBS = WireFormat(
    name="bedrock jobs",
    source="docs.aws.amazon.com/bedrock/latest/APIReference: StartAsyncInvoke, CreateModelInvocationJob, "
    "CreateModelCustomizationJob, RetrieveAndGenerate, RetrieveAndGenerateStream, OptimizePrompt",
    ends={
        "/async-invoke": "unknown",
        "/model-invocation-job": "batch",
        "/model-customization-jobs": "fine_tuning",
        "/optimize-prompt": "unknown",
        "/guardrail-checks/invoke": "unknown",
        "/retrieveAndGenerate": "unknown",
        "/retrieveAndGenerateStream": "unknown",
    },
    provider="aws",
    asks=(
        "modelInput",
        "inputDataConfig",
        "trainingDataConfig",
        "targetModelId",
        "retrieveAndGenerateConfiguration",
    ),
    model_in_body=False,
    words=lambda body: {**body, "model": body["modelId"]} if isinstance(body.get("modelId"), str) else body,
)
"""Work that goes on elsewhere, or over several calls: held and booked at an estimate."""
