"""The wire gate in httpx and httpx2: requests that pass `send` of their clients (`sending`)."""

import json
from typing import Any

from agent_fuse.otel import active, patches, sending
from agent_fuse.otel.response import observe
from agent_fuse.otel.wire_flight import WireFlight
from agent_fuse.otel.wire_gate import Sent, is_worth_a_look, judge, judge_awaited
from agent_fuse.seams import judge as judged

_LOOKING = "looking at a request"
_IN_PROCESS = frozenset({"ASGITransport", "WSGITransport", "_TestClientTransport"})
"""Transports that hand a request to an application in this very process: what that asks of a model is judged itself."""


def methods(module: Any) -> tuple[tuple[type[Any], str, patches.Wrap], ...]:
    """What is wrapped. From now on `sending` shows requests here."""
    sending.show_to(WireGate())
    return (module.Client, "send", sending.around), (module.AsyncClient, "send", sending.around_async)


def is_as_ever(module: Any) -> bool:
    """Whether requests and responses tell what they did. Sends nothing."""
    request = module.Request("POST", "http://agent-fuse.invalid/v1/chat/completions?a=b", json={"a": 1})
    answer = module.Response(200, request=request, content=b"{}")
    at = request.url._uri_reference  # noqa: SLF001
    asked = (at.host, at.path, json.loads(request.read()), isinstance(request.extensions, dict))
    told = (answer.is_closed, answer.content)
    return (asked, told) == (("agent-fuse.invalid", "/v1/chat/completions", {"a": 1}, True), (True, b"{}"))


class WireGate:
    """What `sending` shows requests to."""

    def begin(self, client: Any, request: Any) -> WireFlight | None:
        """The flight of a request that is about to be sent; None where it is no model's.

        Raises:
            SentinelError: it is refused.
        """
        path = judged(_LOOKING, active.fail_safe, path_of, request)
        if path is None:
            return None
        return judge(lambda: _sent(client, request, path, request.read()))

    async def begin_awaited(self, client: Any, request: Any) -> WireFlight | None:
        """The same, by an async client: where a limit says to wait, that is awaited.

        Raises:
            SentinelError: it is refused.
        """
        path = judged(_LOOKING, active.fail_safe, path_of, request)
        if path is None:
            return None

        async def sent() -> Sent | None:
            return _sent(client, request, path, await request.aread())

        return await judge_awaited(sent)


def path_of(request: Any) -> str | None:
    """The path of a request that is worth a look; None for all others, in about a microsecond."""
    if request.method != "POST":
        return None
    at = request.url._uri_reference  # noqa: SLF001  twice as fast as what is public; `is_as_ever` tries it
    path: str = at.path
    return path if is_worth_a_look(at.host, path) else None


def _sent(client: Any, request: Any, path: str, content: bytes) -> Sent | None:
    transport = client._transport_for_url(request.url)  # noqa: SLF001
    if any(kind.__name__ in _IN_PROCESS for kind in type(transport).__mro__):
        return None
    encoding = request.headers.get("content-encoding", "")
    return Sent(
        url=str(request.url),
        path=path,
        content=content,
        encoding=encoding,
        sender=client,
        observe=observe,
    )
