"""A Gemini API at a loopback address: generateContent and streamGenerateContent, one usage for every answer."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agent_fuse.calls import Usage

USAGE = Usage(input_tokens=1117, output_tokens=233, cache_read_tokens=512, reasoning_tokens=100)
"""Inclusive: the API tells 133 candidate and 100 thinking tokens."""


class GeminiProvider:
    """Counts the model requests that reach it. With `tool` it always asks for that tool while it is offered."""

    def __init__(self) -> None:
        self.count = 0
        self.served: list[Usage] = []
        self.tool = False
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                owner._answer(self, body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "GeminiProvider":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        with self._lock:
            self.count, self.served = 0, []

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self._lock:
            self.count += 1
            turn = self.count
            self.served.append(USAGE)
        model = handler.path.rpartition("/models/")[2].partition(":")[0]
        if ":streamGenerateContent" in handler.path:
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.send_header("connection", "close")
            handler.end_headers()
            for number in range(5):
                last = number == 4
                piece = _piece(model, [{"text": f"word{number} "}], last=last)
                handler.wfile.write(b"data: " + json.dumps(piece).encode() + b"\r\n\r\n")
                handler.wfile.flush()
            handler.close_connection = True
            return
        asks = self.tool and "tools" in body and turn <= 8
        parts: list[dict[str, Any]] = (
            [{"functionCall": {"name": "weather", "args": {"city": "Bergen"}}}] if asks else [{"text": "Hello."}]
        )
        data = json.dumps(_piece(model, parts, last=True)).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def _piece(model: str, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    piece: dict[str, Any] = {"candidates": [candidate], "modelVersion": model, "responseId": "gemini-1"}
    if last:
        candidate["finishReason"] = "STOP"
        piece["usageMetadata"] = {
            "promptTokenCount": 1117,
            "candidatesTokenCount": 133,
            "thoughtsTokenCount": 100,
            "cachedContentTokenCount": 512,
            "totalTokenCount": 1350,
        }
    return piece
