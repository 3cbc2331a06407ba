"""LiteLLM's proxy, a process of its own that is guarded by its environment: `opentelemetry-instrument -- litellm --config …`.

The `--` keeps `opentelemetry-instrument` from taking `--config` for one of its own options.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from agent_fuse.ledgers import open_ledger

from . import litellm as sdk

PACKAGES = ("litellm", "openai", "fastapi", "uvicorn", "opentelemetry-instrumentation")
BIN = Path(sys.executable).parent
BY = ("opentelemetry-instrument", "--")
STARTS = 120.0
"""Seconds that the proxy may take to start."""

_at = {"proxy": ""}


def roads(url: str):
    """By provider and kind of request to the proxy."""
    found = {name: _requests(name, told=name in sdk.UNASKED) for name in sdk.models(url)}
    found["anthropic"]["/v1/messages"] = lambda: _post("/v1/messages", _asked("anthropic"))
    found["openai"]["/v1/responses"] = lambda: _post("/v1/responses", {"model": "openai", "input": "Hi"})
    for name in sdk.embeddings(url):
        found[name]["embedding"] = lambda name=name: _post("/v1/embeddings", {"model": f"{name} e", "input": ["Hi"]})
    return found


@contextmanager
def guarded(url: str, budget: str, folder: Path, by: tuple[str, ...] = BY) -> Iterator[Any]:
    """The proxy under a guard; gives the ledger that it writes."""
    given = [{"model_name": name, "litellm_params": one} for name, one in sdk.models(url).items()]
    given += [{"model_name": f"{name} e", "litellm_params": one} for name, one in sdk.embeddings(url).items()]
    config, prices = folder / "config.yaml", folder / "prices.json"
    config.write_text(json.dumps({"model_list": given, "litellm_settings": {"num_retries": 0, "telemetry": False}}))
    environ = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "AGENTFUSE_BUDGET": budget,
        "AGENTFUSE_DB_PATH": str(folder / "ledger.db"),
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION_NAME": "us-east-1",
    }
    if float(budget) < 1:
        prices.write_text(json.dumps({name: {"input": 1, "output": 1} for name in ("llama3.2", "nomic-embed-text")}))
        environ["AGENTFUSE_PRICES"] = str(prices)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    _at["proxy"] = f"http://127.0.0.1:{port}"
    command = [BIN / by[0], *by[1:], BIN / "litellm", "--config", config, "--host", "127.0.0.1", "--port", port]
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environ, cwd=folder)
        try:
            _wait(process, folder / "out")
            yield open_ledger(folder / "ledger.db")
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", out: Path) -> None:
    until = time.monotonic() + STARTS
    while process.poll() is None and time.monotonic() < until:
        try:
            if httpx.get(f"{_at['proxy']}/health/liveliness").is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise RuntimeError(f"the proxy did not start: {out.read_text()[-2000:]}")


def _asked(name: str, **more: Any) -> dict[str, Any]:
    return {"model": name, "messages": sdk.HI, "max_tokens": 50, **more}


def _requests(name: str, *, told: bool):
    options = {"stream_options": {"include_usage": True}} if told else {}
    return {
        "chat": lambda: _post("/v1/chat/completions", _asked(name)),
        "streamed": lambda: _post("/v1/chat/completions", _asked(name, stream=True, **options)),
    }


def _post(path: str, body: dict[str, Any]) -> None:
    httpx.post(_at["proxy"] + path, json=body, timeout=60).raise_for_status()
