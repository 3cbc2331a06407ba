"""Stand-ins for the Gemini and Bedrock APIs on loopback, enough for their SDKs' plain calls."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GEMINI_USAGE = {
    "promptTokenCount": 1117,
    "candidatesTokenCount": 133,
    "thoughtsTokenCount": 100,
    "cachedContentTokenCount": 512,
    "totalTokenCount": 1350,
}
SERVED = {"input_tokens": 1117, "output_tokens": 233, "cache_read_tokens": 512, "reasoning_tokens": 100}
BEDROCK_SERVED = {"input_tokens": 1117, "output_tokens": 233}


class _Stand:
    listing = b""
    """The answer to a GET, which is free."""

    def __init__(self, to: Any) -> None:
        self.to = to

    def answer(self, path: str) -> tuple[str, bytes]:
        raise NotImplementedError

    def __enter__(self) -> str:
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                with stand.to.recorder.lock:
                    stand.to.recorder.steps.append(["request"])
                kind, body = stand.answer(self.path)
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                body = stand.listing
                self.send_response(200 if body else 404)
                self.send_header("content-type", "application/xml")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Be silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *failed: object) -> None:
        self.server.shutdown()


class Gemini(_Stand):
    """`generateContent`, whole and streamed; thinking tokens lie beside the candidates'."""

    def answer(self, path: str) -> tuple[str, bytes]:
        body = {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": GEMINI_USAGE,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "gemini-1",
        }
        self.to.extra = [{"model": "gemini-2.5-flash", **SERVED}]
        if "streamGenerateContent" in path:
            return "text/event-stream", f"data: {json.dumps(body)}\r\n\r\n".encode()
        return "application/json", json.dumps(body).encode()


class Bedrock(_Stand):
    """`converse` and `invoke` of a Claude model, and S3's list of buckets, which has none."""

    listing = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"

    def answer(self, path: str) -> tuple[str, bytes]:
        if path.endswith("/converse"):
            body: Any = {
                "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 1117, "outputTokens": 233, "totalTokens": 1350},
                "metrics": {"latencyMs": 1},
            }
        else:
            body = {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "Hello."}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1117, "output_tokens": 233},
            }
        self.to.extra = [{"model": "anthropic.claude-3-haiku-20240307-v1:0", **BEDROCK_SERVED}]
        return "application/json", json.dumps(body).encode()
