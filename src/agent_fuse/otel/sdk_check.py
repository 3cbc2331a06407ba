"""Proves at install, without a network, that an SDK still is what the request gate takes it for.

Names that exist prove little. What is read of a request (`options.json_data`, …) and how the gate is called
(`response=`) are tried out, on a request that a throw-away client builds and an answer made up for it.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any, cast

from agent_fuse.seams import in_words

ReadOptions = Callable[[Any], tuple[str, str, object]]
"""Method, URL and body of a request, as the gate reads them off its options."""

_ANSWER_HAS = ("is_closed", "status_code", "content", "iter_bytes", "aiter_bytes", "close", "aclose")
"""What the gate needs of an HTTP response."""

_SENT: dict[str, object] = {"model": "agent-fuse-probe", "messages": []}
_EXTRA = {"max_tokens": 1}


def moved(base: Any, read: ReadOptions) -> str:
    """What is wrong with the SDK's `_base_client` module, as the end of a sentence; empty when all is as it was."""
    for owner, name, parameter in (
        ("BaseClient", "_build_request", "options"),
        ("SyncAPIClient", "_process_response", "response"),
        ("AsyncAPIClient", "_process_response", "response"),
    ):
        method = getattr(getattr(base, owner, None), name, None)
        if method is None:
            return f"has no {owner}.{name}"
        if parameter not in inspect.signature(method).parameters:
            return f"has {owner}.{name}, but it takes no {parameter!r}"
        by_name = inspect.signature(method).parameters[parameter].kind is inspect.Parameter.KEYWORD_ONLY
        if name == "_process_response" and not by_name:
            return f"has {owner}.{name}, but it takes {parameter!r} by position"
        if name == "_process_response" and inspect.iscoroutinefunction(method) is not owner.startswith("Async"):
            return f"has {owner}.{name}, but it is not {'async' if owner.startswith('Async') else 'sync'} any more"
    try:
        return _tried(base, read)
    except Exception as error:  # noqa: BLE001  whatever it is, the SDK does not do what the gate relies on
        return f"cannot be tried out ({in_words(error)})"


def _tried(base: Any, read: ReadOptions) -> str:
    client, http = _client(base)
    try:
        options = base.FinalRequestOptions(
            method="post", url="/chat/completions", json_data=dict(_SENT), extra_json=dict(_EXTRA)
        )
        request = client._build_request(options)  # noqa: SLF001
        return _asked(options, request, read) or _answered(client, http, options, request)
    finally:
        client._client.close()  # noqa: SLF001


def _asked(options: Any, request: Any, read: ReadOptions) -> str:
    method, url, body = read(options)
    if (method, url) != ("post", "/chat/completions"):
        return "has requests whose options do not tell their method and url"
    if json.loads(request.content) != body:
        return "sends another body than the options of a request tell"
    if request.headers.get("content-length") != str(len(request.content)):
        return "has requests that do not tell the length of their body"
    if not isinstance(request.extensions, dict):
        return "has requests that carry nothing along"
    return ""


def _answered(client: Any, http: Any, options: Any, request: Any) -> str:
    answer = http.Response(200, request=request, content=b"{}")
    missing = [name for name in _ANSWER_HAS if not hasattr(answer, name)]
    if missing:
        return f"has responses without {missing[0]!r}"
    if answer.request is not request:
        return "has responses that do not tell their request"
    given = {"cast_to": http.Response, "options": options, "response": answer, "stream": False, "stream_cls": None}
    if client._process_response(**given) is not answer:  # noqa: SLF001
        return "has SyncAPIClient._process_response, but it does not give the response it was asked for"
    return ""


def _client(base: Any) -> tuple[Any, Any]:
    """A client that can send nothing, and the HTTP library that the SDK uses."""
    http: Any = getattr(base, "httpx2", None) or base.httpx
    transport = cast("Any", type("Nowhere", (http.BaseTransport,), {}))()
    client = base.SyncAPIClient(
        version="0",
        base_url="http://agent-fuse.invalid",
        max_retries=0,
        _strict_response_validation=False,
        http_client=http.Client(transport=transport, trust_env=False),
    )
    return client, http
