"""What of every installed model SDK and HTTP client is covered by a gate, or not at all: the doctor's part on these."""

import functools
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

from agent_fuse.otel import active, wire_install
from agent_fuse.otel.facts import Fact, blind, off, ok

_ROADS: dict[str, tuple[str, ...]] = {
    "google-genai": ("httpx2", "httpx", "aiohttp"),
    "litellm": ("httpx", "aiohttp"),
    "beeai-framework": ("httpx", "aiohttp"),
    "mcp-agent": ("httpx", "urllib3"),
    "livekit-plugins-openai": ("httpx", "httpx2"),
    "pipecat-ai": ("httpx", "aiohttp"),
    "huggingface-hub": ("httpx", "aiohttp"),
    "aiobotocore": ("aiohttp",),
    "boto3": ("urllib3",),
    "azure-ai-inference": ("urllib3", "aiohttp"),
    "dashscope": ("urllib3", "aiohttp"),
    "databricks-sdk": ("urllib3",),
    "ibm-watsonx-ai": ("httpx", "urllib3"),
    "predictionguard": ("urllib3",),
    "voyageai": ("urllib3", "aiohttp"),
    **dict.fromkeys(
        (
            *("ai21", "cerebras-cloud-sdk", "cloudflare", "cohere", "elevenlabs", "fireworks-ai", "friendli", "groq"),
            *("llama-api-client", "mistralai", "ollama", "openrouter", "perplexityai", "portkey-ai", "replicate"),
            *("sambanova", "together", "writer-sdk", "zai-sdk", "zhipuai"),
        ),
        ("httpx",),
    ),
}
"""Distributions by which models are called, and the libraries that carry their requests: by their sources (2026-11)."""

_PROGRAM = "it starts a program of its own, which sends them"
_GRPC = "they go by gRPC"
_SERVER = "the server that it talks to sends them"
_THEIRS = "their paths and hosts are not known"
_BARE: dict[str, str] = {
    **dict.fromkeys(
        (
            *("clarifai", "google-ai-generativelanguage", "google-cloud-aiplatform", "google-generativeai"),
            *("stability-sdk", "xai-sdk"),
        ),
        _GRPC,
    ),
    "letta-client": _SERVER,
    **dict.fromkeys(("claude-agent-sdk", "github-copilot-sdk", "openai-codex-sdk"), _PROGRAM),
    **dict.fromkeys(
        (
            *("aleph-alpha-client", "anyscale", "assemblyai", "baseten", "deepgram-sdk", "deepinfra"),
            *("fal-client", "jina", "lmstudio", "lumaai", "nlpcloud", "oci", "qianfan", "runwayml", "sagemaker"),
            *("sarvamai", "upstage"),
        ),
        _THEIRS,
    ),
}
"""Those whose requests are not judged, and why."""

_CLIENTS: dict[str, str] = {
    **dict.fromkeys(("curl-cffi", "pycurl"), "model requests that it sends are NOT covered"),
    "niquests": "model requests that its AsyncSession sends are NOT covered",
}
"""HTTP clients that no gate stands in (docs/wire-gate.md)."""
_SEND = "send model requests by httpx, requests, urllib3 or aiohttp, or turn on an instrumentation"
_TALKS = frozenset({"livekit-plugins-openai", "pipecat-ai"})
"""Those that hold realtime sessions over websockets of their own, beside requests that are judged."""

_TURN_ON = "wire_gate=True and request_gate=True, or unset AGENTFUSE_WIRE_GATE and AGENTFUSE_REQUEST_GATE"
_USE = (
    "call such models by the openai or anthropic SDK, or one that the wire gate covers; or turn on an instrumentation"
)


_NAME = "endpoints=[...] with the URL that they go to, where it is one; or an instrumentation that starts spans in time"
_GUARD_IT = "guard the server: start it by agent-fuse run, on the same ledger"
_INSIDE = "hold and book each run by agent_fuse.charge() (docs/limits.md, Programs that call models)"


def of_model_sdks() -> Iterator[Fact]:
    """One fact for each that is installed."""
    wanted = any(one.fuse.settings.wire_gate and one.fuse.settings.request_gate for one in active.guards())
    for name, version in installed(*_ROADS, *_BARE):
        yield _fact(name, version, wanted=wanted)
    for name, version in installed(*_CLIENTS):
        yield off(f"{name} {version}: {_CLIENTS[name]}", _SEND)


def installed(*names: str) -> Iterator[tuple[str, str]]:
    """Distributions of these that are here, and their versions. Looked for again where anything was installed since."""
    folders = tuple((str(folder), _changed(folder)) for folder in sys.path)
    for name in names:
        version = _version(name, folders)
        if version is not None:
            yield name, version


@functools.lru_cache(maxsize=256)
def _version(name: str, _folders: tuple[tuple[str, int], ...]) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _fact(name: str, version: str, *, wanted: bool) -> Fact:
    sdk = f"{name} {version}"
    if name in _BARE:
        why = _BARE[name]
        fix = {_PROGRAM: _INSIDE, _SERVER: _GUARD_IT, _THEIRS: _NAME}.get(why, _USE)
        return off(f"{sdk}: its model requests are NOT covered, {why}", fix)
    if not wanted:
        return off(f"{sdk}: the wire gate is off, its calls are seen by spans alone", _TURN_ON)
    for one in _ROADS[name]:
        if one in wire_install.problems:
            return blind(f"{sdk}: {wire_install.problems[one]}", "upgrade agent-fuse; until then spans guard it")
        if one in sys.modules and not wire_install.gated(one):
            return blind(f"{sdk}: the wire gate was taken out of {one}", "call agent_fuse.init() after it")
    if name in _TALKS:
        return off(
            f"{sdk}: its realtime sessions are NOT covered, they go by websockets of its own; its requests are",
            _INSIDE,
        )
    return ok(f"{sdk}: its model requests are judged before they leave (wire gate; which those are: docs/wire-gate.md)")
