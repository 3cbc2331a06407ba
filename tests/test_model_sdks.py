"""What the doctor says of each model SDK that is installed: by what its requests are covered, or that they are not."""

import importlib.metadata
import os
from pathlib import Path

import pytest

from agent_fuse import AgentFuseSpanProcessor
from agent_fuse.otel.coverage import words
from agent_fuse.otel.facts import Fact, FactState
from agent_fuse.otel.model_sdks import installed, of_model_sdks

COVERED = "its model requests are judged before they leave (wire gate"


def facts(**options: object) -> dict[str, Fact]:
    processor = AgentFuseSpanProcessor(budget=1, db_path="memory://", **options)
    found = {one.what.partition(" ")[0]: one for one in of_model_sdks()}
    processor.shutdown()
    return found


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Has a distribution of this name, which is known by its metadata alone."""

    def one(name: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    return one


def test_installed_sdks_are_covered_by_the_wire_gate() -> None:
    """Those whose calls the tests refuse and book."""
    found = facts()
    for name in ("google-genai", "mistralai", "cohere", "groq", "ollama", "boto3", "huggingface-hub"):
        assert found[name].state is FactState.OK
        assert COVERED in found[name].what


@pytest.mark.parametrize(
    "name",
    [
        "writer-sdk",
        "ai21",
        "portkey-ai",
        "openrouter",
        "perplexityai",
        "voyageai",
        "azure-ai-inference",
        "beeai-framework",
        "mcp-agent",
    ],
)
def test_sdks_over_libraries_that_are_gated_are_covered(install, name: str) -> None:
    """By the library that carries their requests, whether or not they are imported yet."""
    install(name)
    assert COVERED in facts()[name].what
    off = facts(wire_gate=False)[name]
    assert off.state is FactState.OFF
    assert "the wire gate is off" in off.what


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("xai-sdk", "they go by gRPC"),
        ("google-cloud-aiplatform", "they go by gRPC"),
        ("letta-client", "the server that it talks to sends them"),
        ("claude-agent-sdk", "it starts a program of its own"),
        ("deepgram-sdk", "their paths and hosts are not known"),
    ],
)
def test_others_are_said_not_to_be(install, name: str, why: str) -> None:
    """With the reason, and what to do about it."""
    install(name)
    found = facts()[name]
    assert found.state is FactState.OFF
    assert found.what.startswith(f"{name} 9.9: its model requests are NOT covered, {why}")
    assert found.fix


@pytest.mark.parametrize("name", ["pipecat-ai", "livekit-plugins-openai"])
def test_sessions_over_websockets_of_their_own_are_said_not_to_be(install, name: str) -> None:
    """Though their other requests are judged; what to do is named."""
    install(name)
    found = facts()[name]
    assert found.state is FactState.OFF
    assert found.what.startswith(f"{name} 9.9: its realtime sessions are NOT covered")
    assert "charge()" in found.fix


def test_the_first_line_says_which_requests_are_judged() -> None:
    """Of the SDKs with a gate of their own, and of any other by the libraries that carry its requests."""
    with_wire = AgentFuseSpanProcessor(budget=1, db_path="memory://")
    line = words(with_wire.fuse)
    assert "requests of openai 3." in line
    assert "model requests of any SDK over httpx, httpx2, urllib3, aiohttp, http.client" in line
    with_wire.shutdown()
    without = AgentFuseSpanProcessor(budget=1, db_path="memory://", wire_gate=False)
    assert "http.client NOT judged (the wire gate is off)" in words(without.fuse)
    without.shutdown()


def test_one_that_is_installed_meanwhile_is_named(monkeypatch, tmp_path):
    """As a notebook's `pip install` does, and its `pip uninstall`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    os.utime(tmp_path, (1, 1))
    assert not [fact for fact in of_model_sdks() if fact.what.startswith("zhipuai")]
    of_it = tmp_path / "zhipuai-2.1.0.dist-info"
    of_it.mkdir()
    (of_it / "METADATA").write_text("Metadata-Version: 2.1\nName: zhipuai\nVersion: 2.1.0\n")
    (fact,) = [fact for fact in of_model_sdks() if fact.what.startswith("zhipuai")]
    assert fact.what.startswith("zhipuai 2.1.0: ")
    (of_it / "METADATA").unlink()
    of_it.rmdir()
    os.utime(tmp_path, (2, 2))
    assert [*installed("zhipuai")] == []


def test_what_is_known_is_not_read_again(monkeypatch):
    """Every guard that begins asks for forty: they are read from the disk once."""
    asked = []
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: asked.append(name) or real(name))
    assert [*of_model_sdks()] == [*of_model_sdks()]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("name", ["curl-cffi", "niquests", "pycurl"])
def test_http_clients_that_no_gate_stands_in_are_named(install, name: str) -> None:
    """Whoever sends model requests by one learns that they pass unseen, and by what to send them."""
    install(name)
    found = facts()[name]
    assert (found.state, "NOT covered" in found.what, "httpx" in found.fix) == (FactState.OFF, True, True)
