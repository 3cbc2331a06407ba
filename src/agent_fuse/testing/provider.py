"""A model provider on loopback that speaks the real protocols, answers as told, and counts what reaches it."""

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from agent_fuse.calls import Usage
from agent_fuse.testing.clock import Clock
from agent_fuse.testing.exchange import Api, Reply, Request, Served
from agent_fuse.testing.http1 import Incoming, Outgoing
from agent_fuse.testing.routes import SPEECHES, route
from agent_fuse.testing.server import Server
from agent_fuse.testing.wording import problem, say, say_error, say_free, state

Script = Callable[[Request], Reply]
"""Decides the reply from the request. It runs in the server's thread, so it must be quick; when it raises, the client
gets a 500 and leaving the provider's `with` block raises the same exception."""

Watch = Callable[[Request, int], None]
"""Is told each request and the status it was answered with, in the server's thread."""


class LoopbackProvider:
    """OpenAI, Azure OpenAI, Anthropic, Gemini, Mistral, Cohere and Ollama at a loopback address, for the real SDKs.

        with LoopbackProvider() as provider:
            client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test")

    Model requests take the queued replies in turn (`reply`), then `default`. Usage a reply does not name is `usage`, or
    counted (see COUNTED). With `record=False` no request is kept, only counts: for load tests.

    Clients may be in any process. The object itself belongs to the process that started it: others, forked ones too,
    ask `GET /_loopback` for the counts.
    """

    def __init__(
        self,
        default: Reply | Script | None = None,
        *,
        usage: Usage | Mapping[str, Usage] | None = None,
        record: bool = True,
        clock: Clock = time.time,
        port: int = 0,
        watch: Watch | None = None,
    ) -> None:
        self.default: Reply | Script = default or Reply()
        """The reply, or the script, once the queue is empty."""
        self.usage: Usage | Mapping[str, Usage] | None = usage
        """Billed where a reply names no usage: for every model, or by model name. None: counted."""
        self._port = port
        self._record = record
        self._clock = clock
        self._watch = watch
        self._server: Server | None = None
        self._changed = threading.Condition()
        self._queue: deque[Reply] = deque()
        self._requests: list[Request] = []
        self._served: dict[str, Served] = {}
        self._count = 0
        self._billed = Usage(input_tokens=0, output_tokens=0)
        self._serial = 0
        self._run = secrets.token_hex(6)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
        if value is None and self._failure is not None:
            raise self._failure

    def start(self) -> None:
        """Begin to serve; after `stop`, at the same port again. Does nothing while serving."""
        if self._server is None:
            self._server = Server(self._handle, self._port)
            self._port = self._server.port

    def stop(self) -> None:
        """Drop every connection and refuse new ones, like a provider that is down. What was counted stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`: the base URL of every SDK but OpenAI's, and Azure's endpoint."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_base_url(self) -> str:
        """For `OpenAI(base_url=…)`."""
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """For `Anthropic(base_url=…)`."""
        return self.url

    @property
    def azure_endpoint(self) -> str:
        """For `AzureOpenAI(azure_endpoint=…)`."""
        return self.url

    def reply(self, *replies: Reply | str, times: int = 1) -> None:
        """Queue replies for the next model requests, in turn; a string is the text of one. `times` repeats them all."""
        made = [Reply(text=one) if isinstance(one, str) else one for one in replies]
        with self._changed:
            self._queue.extend(made * times)

    @property
    def count(self) -> int:
        """Model requests that arrived whole, retries and failed ones included; see `Request.priced`."""
        with self._changed:
            return self._count

    @property
    def requests(self) -> list[Request]:
        """Every request that arrived whole, in order, whatever it asked for and whatever became of its client."""
        with self._changed:
            return list(self._requests)

    @property
    def served(self) -> list[Served]:
        """What a provider would bill, in order of first byte."""
        with self._changed:
            return list(self._served.values())

    @property
    def billed(self) -> Usage:
        """Input and output tokens billed, in sum (counted with `record=False` too)."""
        with self._changed:
            return self._billed

    def reset(self) -> None:
        """Forget what was counted and queued. `default` and `usage` stay."""
        with self._changed:
            self._queue.clear()
            self._requests.clear()
            self._served.clear()
            self._count = 0
            self._billed = Usage(input_tokens=0, output_tokens=0)
            self._failure = None

    def wait_for(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until `count` model requests have arrived; False when they have not within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count >= count, timeout_s)

    def _handle(self, incoming: Incoming) -> Outgoing:
        path, _, query = incoming.target.partition("?")
        path = unquote(path) if "%" in path else path
        api, deployment = route(incoming.method, path)
        request = Request(
            method=incoming.method,
            path=path,
            query=query,
            headers=incoming.headers,
            body=_decoded(incoming.body),
            received_at=self._clock(),
            api=api,
            deployment=deployment,
        )
        with self._changed:
            self._serial += 1
            serial = f"{self._run}{self._serial:08x}"
            if self._record:
                self._requests.append(request)
            if request.priced:
                self._count += 1
                self._changed.notify_all()
        try:
            out = self._answer(request, serial)
        except Exception as failure:  # noqa: BLE001  a script's bug: shown to the client, raised when the block is left
            self._failure = failure
            out = say_error(request, Reply(status=500, error=f"loopback provider: {failure!r}"), serial)
        if self._watch is not None:
            self._watch(request, out.status)
        return out

    def _answer(self, request: Request, serial: str) -> Outgoing:
        if request.api is Api.STATE:
            with self._changed:
                return state(request, self._count, len(self._requests), self._billed, serial)
        if request.api not in SPEECHES:
            return say_free(request, serial)
        if fault := problem(request):
            return say_error(request, Reply(status=400, error=fault), serial)
        usage = self.usage.get(request.model) if isinstance(self.usage, Mapping) else self.usage
        return say(request, self._next_reply(request), usage, serial, partial(self._book, serial))

    def _next_reply(self, request: Request) -> Reply:
        with self._changed:
            if self._queue:
                return self._queue.popleft()
        return self.default if isinstance(self.default, Reply) else self.default(request)

    def _book(self, serial: str, served: Served) -> None:
        with self._changed:
            if not served.reported:
                self._billed = Usage(
                    input_tokens=(self._billed.input_tokens or 0) + (served.usage.input_tokens or 0),
                    output_tokens=(self._billed.output_tokens or 0) + (served.usage.output_tokens or 0),
                )
            if self._record and (not served.reported or serial in self._served):
                self._served[serial] = served


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
