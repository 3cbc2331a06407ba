"""Priced endpoints beside chats, by an HTTP library alone: refused before they leave, booked by what they ask for."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import groq
import httpx
import pytest
import requests
import urllib3

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status

from .conftest import Rig

pytestmark = pytest.mark.parametrize("wired", ["none"], indirect=True)

WAV = b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + (8_000).to_bytes(4, "little")
WAV += (16_000).to_bytes(4, "little") + bytes(320_000 - 32)
"""Twenty seconds at 16,000 bytes a second."""

SPOKEN: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "hi" * 100}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/images/generations": {"model": "gpt-image-2", "prompt": "a cat"},
    "/v1/audio/speech": SPOKEN,
    "/v1/videos": {"model": "sora-2", "prompt": "a cat", "seconds": "8"},
    "/v1/batches": {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "/v1/batch/jobs": {"input_files": ["f"], "model": "mistral-small-latest", "endpoint": "/v1/chat/completions"},
    "/v1/fine_tuning/jobs": {"model": "gpt-4.1-mini", "training_file": "f"},
    "/v1/ocr": {"model": "mistral-ocr-latest", "document": {"type": "document_url", "document_url": "https://x"}},
    "/v1/agents/completions": {"agent_id": "a", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/classify": {"model": "x", "inputs": ["a"]},
    "/v1/messages/batches": {"requests": []},
    "/v1beta/models/imagen-4.0-generate-001:predict": {
        "instances": [{"prompt": "x"}],
        "parameters": {"sampleCount": 1},
    },
    "/v1/publishers/google/models/text-embedding-005:predict": {"instances": [{"content": "x" * 9}]},
    "/v1beta/models/veo-3.0-generate-001:predictLongRunning": {"instances": [{"prompt": "x"}]},
    "/v1beta/models/gemini-2.5-flash:batchGenerateContent": {"batch": {"displayName": "x"}},
    "/v1beta/models/gemini-embedding-001:asyncBatchEmbedContent": {"batch": {"displayName": "x"}},
    "/v1/projects/p/locations/l/batchPredictionJobs": {"model": "gemini-2.5-flash", "inputConfig": {}},
    "/v1/projects/p/locations/l/tuningJobs": {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": {}},
    "/v1beta/interactions": {"model": "gemini-2.5-flash", "input": "x"},
    "/async-invoke": {"modelId": "amazon.nova-reel-v1:0", "modelInput": {}},
    "/model-invocation-job": {"modelId": "amazon.nova-lite-v1:0", "inputDataConfig": {}},
    "/model-customization-jobs": {"baseModelIdentifier": "amazon.nova-lite-v1:0", "trainingDataConfig": {}},
    "/optimize-prompt": {"targetModelId": "amazon.nova-lite-v1:0", "input": {"textPrompt": {"text": "x"}}},
    "/retrieveAndGenerate": {"input": {"text": "x"}, "retrieveAndGenerateConfiguration": {}},
}


@pytest.mark.parametrize("path", ASKED)
def test_nothing_leaves_with_the_budget_used_up(rig: Rig, path: str) -> None:
    """Whatever is asked for, by a library that knows nothing of models."""
    rig.use(budget="0.000000001")
    with pytest.raises(SentinelBudgetExceeded):
        httpx.post(rig.provider.url + path, json=ASKED[path])
    assert rig.provider.requests == []
    assert rig.books.open_holds() == []


def test_what_the_request_fixes_is_the_bill(rig: Rig) -> None:
    """200 characters at $15 a million, whatever comes back."""
    rig.use(budget="100")
    sound = httpx.Response(200, content=b"\xff\xf3audio", headers={"content-type": "audio/mpeg"})
    with httpx.Client(transport=httpx.MockTransport(lambda _: sound)) as client:
        assert client.post("https://api.openai.com/v1/audio/speech", json=SPOKEN).content == b"\xff\xf3audio"
    (spoken,) = rig.books.entries()
    assert (spoken.status, spoken.cost) == (Status.SETTLED, 200 * 15_000)
    assert rig.books.open_holds() == []


@pytest.mark.parametrize(
    ("path", "parameters", "cost"),
    [
        ("imagen-4.0-fast-generate-001:predict", {}, 4 * 20_000_000),
        ("imagen-4.0-ultra-generate-001:predict", {"sampleCount": 1}, 60_000_000),
        ("veo-3.1-generate-preview:predictLongRunning", {}, 8 * 400_000_000),
        (
            "veo-3.1-fast-generate-001:predictLongRunning",
            {"durationSeconds": 4, "resolution": "4k", "sampleCount": 2},
            2 * 4 * 300_000_000,
        ),
        ("veo-3.0-fast-generate-001:predictLongRunning", {}, 8 * 100_000_000),
        ("veo-3.1-lite-generate-001:predictLongRunning", {"resolution": "1080p"}, 8 * 80_000_000),
    ],
)
def test_googles_images_and_clips_are_billed_by_the_unit(
    rig: Rig, path: str, parameters: dict[str, Any], cost: int
) -> None:
    """An image each, and a second of each clip by its resolution: what the request fixes is the bill."""
    rig.use(budget="100")
    begun = httpx.Response(200, json={"name": "operations/1"})
    with httpx.Client(transport=httpx.MockTransport(lambda _: begun)) as client:
        client.post(
            f"https://generativelanguage.googleapis.com/v1beta/models/{path}",
            json={"instances": [{"prompt": "a cat"}], "parameters": parameters},
        )
    (entry,) = rig.books.entries()
    assert (entry.status, entry.cost) == (Status.SETTLED, cost)
    assert rig.books.open_holds() == []


def test_a_recording_is_sent_in_a_form_and_quoted_by_its_length(rig: Rig) -> None:
    """By groq's SDK, which has no gate of its own, and by httpx: 20 seconds of whisper-1 are $0.002."""
    rig.use(budget="0.0019")
    with pytest.raises(SentinelBudgetExceeded, match="whisper-1"):
        httpx.post(
            f"{rig.provider.openai_base_url}/audio/transcriptions", data={"model": "whisper-1"}, files={"file": WAV}
        )
    with groq.Groq(base_url=rig.provider.url, api_key="x", max_retries=0) as client:
        rig.use(budget="0.000000001", session_id="other")
        with pytest.raises(SentinelBudgetExceeded, match="whisper-large-v3"):
            client.audio.transcriptions.create(model="whisper-large-v3", file=("a.wav", WAV))
    assert rig.provider.requests == []


CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
CONTENT: dict[str, Any] = {"contents": [{"parts": [{"text": "Hi"}]}]}
SPELLINGS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions/": CHAT,
    "/v1/Chat/Completions": CHAT,
    "/v1/chat%2Fcompletions": CHAT,
    "/v1/chat/completions;a=b": CHAT,
    "/v1/chat/completions#/x": CHAT,
    "/v1/messages/": CHAT,
    "/v1beta/models/gemini-2.5-flash%3AgenerateContent": CONTENT,
    "/v1beta/models/gemini-2.5-flash:GenerateContent/": CONTENT,
    "/chat/completions": {"messages": CHAT["messages"]},  # Azure's inference at an endpoint of one model
    "/embeddings": {"input": ["Hi"]},
}


def _by_aiohttp(url: str, body: Any, headers: dict[str, str]) -> None:
    """Headers of the session hold for each of its requests."""

    async def ask() -> None:
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url, data=body) as answer:
            await answer.read()

    asyncio.run(ask())


ROADS: list[Callable[[str, Any, dict[str, str]], object]] = [
    lambda url, body, headers: httpx.post(url, content=body, headers=headers),
    lambda url, body, headers: requests.post(url, data=body, headers=headers, timeout=20),
    lambda url, body, headers: urllib3.request("POST", url, body=body, headers=headers),
    _by_aiohttp,
]


@pytest.mark.parametrize("road", ROADS, ids=["httpx", "requests", "urllib3", "aiohttp"])
@pytest.mark.parametrize("path", SPELLINGS)
def test_a_path_is_a_models_however_it_is_spelled(rig: Rig, path: str, road: Callable[..., object]) -> None:
    """With a slash behind it, in capitals, with escapes; and where the server has but one model, without a name."""
    rig.use(budget="0.000000001")
    with pytest.raises(SentinelBudgetExceeded):
        road(rig.provider.url + path, json.dumps(SPELLINGS[path]).encode(), {})
    assert rig.provider.requests == []


BARE = zlib.compress(json.dumps(CHAT).encode())[2:-4]
PACKED: dict[str, bytes] = {
    "GZIP": gzip.compress(json.dumps(CHAT).encode()),
    "x-gzip": gzip.compress(json.dumps(CHAT).encode()),
    "deflate": BARE,
    "br": b"what only brotli reads",
    "zstd": b"what only zstandard reads",
    "gzip": b"what is none",
}


@pytest.mark.parametrize("road", ROADS, ids=["httpx", "requests", "urllib3", "aiohttp"])
@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_body_hides_nothing(rig: Rig, packing: str, road: Callable[..., object]) -> None:
    """One that can't be unpacked here is held at an estimate: its path says what it is, though not which model."""
    rig.use(budget="0.000000001")
    with pytest.raises(SentinelBudgetExceeded) as refused:
        road(f"{rig.provider.url}/v1/chat/completions", PACKED[packing], {"content-encoding": packing})
    assert rig.provider.requests == []
    assert (CHAT["model"] in str(refused.value)) is (packing in {"GZIP", "x-gzip", "deflate"})


def test_a_path_that_only_looks_like_one_is_left_alone(rig: Rig) -> None:
    """Nobody's model: another last word, or a body that asks nothing of one."""
    rig.use(budget="0.000000001")
    for path, body in {"/v1/completions-list/": CHAT, "/Users/": CHAT, "/v1/messages/": {"to": "x"}}.items():
        httpx.post(rig.provider.url + path, json=body)
    assert [one.path for one in rig.provider.requests] == ["/v1/completions-list/", "/Users/", "/v1/messages/"]
    assert rig.books.entries() == []
