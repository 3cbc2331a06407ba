"""Hosts of models that answer what a test says, where the provider of `agent_fuse.testing` does not speak like them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Told:
    """An answer: one object, or events, each under the name that its `named_by` says."""

    whole: Any = None
    events: Sequence[Mapping[str, Any]] = ()
    named_by: str = "type"
    last: str = ""
    """What is said after the events."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    lost: int = 0
    """Bytes that it promises besides, and that never come."""

    @property
    def kind(self) -> str:
        return "text/event-stream" if self.events else "application/json"

    @property
    def content(self) -> bytes:
        lines = [f"event: {one[self.named_by]}\ndata: {json.dumps(one)}\n\n" for one in self.events]
        return ("".join(lines) + self.last if lines else json.dumps(self.whole)).encode()


@contextmanager
def host(answer: Callable[[Asked], Told]) -> Iterator[tuple[str, list[Asked]]]:
    """Its URL, and the requests that it has received."""
    received: list[Asked] = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            asked = Asked(self.path, dict(self.headers), json.loads(content))
            received.append(asked)
            told = answer(asked)
            self.send_response(200)
            for name, value in {"content-type": told.kind, **told.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(told.content) + told.lost))
            self.end_headers()
            self.wfile.write(told.content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
