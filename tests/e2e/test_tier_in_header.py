"""The tier at which an answer was served, told by a header alone: Bedrock's InvokeModel, Gemini."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from agent_fuse import init
from alone import leave_nobody

NOVA = {"usage": {"inputTokens": 1000, "outputTokens": 100}}
GEMINI = {
    "candidates": [{"finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100},
}


class Host(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer, header = (
            (NOVA, "X-Amzn-Bedrock-Service-Tier") if "nova" in self.path else (GEMINI, "x-gemini-service-tier")
        )
        body = json.dumps(answer)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if tier := self.headers.get("tier"):
            self.send_header(header, tier)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    leave_nobody()
    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "tier", "cost"),
    [
        ("/model/amazon.nova-pro-v1:0/invoke", None, 1_120_000),
        ("/model/amazon.nova-pro-v1:0/invoke", "flex", 560_000),
        ("/model/amazon.nova-pro-v1:0/invoke", "priority", 1_960_000),
        ("/v1beta/models/gemini-3.5-flash:generateContent", None, 2_400_000),
        ("/v1beta/models/gemini-3.5-flash:generateContent", "FLEX", 1_200_000),
        ("/v1beta/models/gemini-3.5-flash:generateContent", "priority", 4_320_000),
    ],
)
def test_a_header_tells_the_tier(url: str, tmp_path: Any, path: str, tier: str | None, cost: int) -> None:
    """Whatever was asked for; without one it is the standard's."""
    fuse = init(budget=1, db_path=str(tmp_path / "ledger.db")).fuse
    asked = {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "contents": [{"parts": [{"text": "hi"}]}]}
    httpx.post(url + path, json=asked, headers={"tier": tier} if tier else {})
    (entry,) = fuse.ledger.journal()
    assert entry.cost == cost
