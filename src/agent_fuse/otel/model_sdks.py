"""What of every installed model SDK is covered by a gate, or not at all: the doctor's part on SDKs without a gate."""

import importlib.metadata
import sys
from collections.abc import Iterator

from agent_fuse.otel import active, wire_install
from agent_fuse.otel.facts import Fact, blind, off, ok

_ROADS: dict[str, tuple[str, ...]] = {
    "google-genai": ("httpx2", "httpx", "aiohttp"),
    "mistralai": ("httpx",),
    "cohere": ("httpx",),
    "groq": ("httpx",),
    "ollama": ("httpx",),
    "together": ("httpx",),
    "cerebras-cloud-sdk": ("httpx",),
    "fireworks-ai": ("httpx",),
    "replicate": (),
    "litellm": ("httpx", "aiohttp"),
    "huggingface-hub": ("httpx", "aiohttp"),
    "boto3": ("urllib3",),
    "aiobotocore": ("aiohttp",),
    "voyageai": (),
    "dashscope": (),
    "ibm-watsonx-ai": (),
    "google-cloud-aiplatform": ("gRPC",),
    "google-generativeai": ("gRPC",),
    "xai-sdk": ("gRPC",),
    "ai21": (),
    "anyscale": (),
    "baseten": (),
    "clarifai": (),
    "deepinfra": (),
    "jina": (),
    "nlpcloud": (),
    "portkey-ai": (),
    "predictionguard": (),
    "qianfan": (),
    "sagemaker": (),
    "stability-sdk": (),
    "upstage": (),
    "writer-sdk": (),
    "zhipuai": (),
    "zai-sdk": (),
}
"""Distributions by which models are called, and the libraries that carry their requests; none: that is not known."""

_TURN_ON = "wire_gate=True and request_gate=True, or unset AGENTFUSE_WIRE_GATE and AGENTFUSE_REQUEST_GATE"
_USE = (
    "call such models by the openai or anthropic SDK, or one that the wire gate covers; or turn on an instrumentation"
)


def of_model_sdks() -> Iterator[Fact]:
    """One fact for each that is installed."""
    wanted = any(one.fuse.settings.wire_gate and one.fuse.settings.request_gate for one in active.guards())
    for name, roads in _ROADS.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield _fact(f"{name} {version}", roads, wanted=wanted)


def _fact(sdk: str, roads: tuple[str, ...], *, wanted: bool) -> Fact:
    if not roads:
        return off(f"{sdk}: a model SDK whose requests are not known: NOT covered", _USE)
    gated = [one for one in roads if one in wire_install.LIBRARIES]
    if gated and not wanted:
        return off(f"{sdk}: the wire gate is off, its calls are seen by spans alone", _TURN_ON)
    for one in gated:
        if one in wire_install.problems:
            return blind(f"{sdk}: {wire_install.problems[one]}", "upgrade agent-fuse; until then spans guard it")
        if one in sys.modules and not wire_install.gated(one):
            return blind(f"{sdk}: the wire gate was taken out of {one}", "call agent_fuse.init() after it")
    bare = [one for one in roads if one not in wire_install.LIBRARIES]
    if bare:
        return off(f"{sdk}: its requests go by {' or '.join(bare)} and are NOT judged on the wire", _USE)
    return ok(f"{sdk}: its model requests are judged before they leave (wire gate; which those are: docs/wire-gate.md)")
