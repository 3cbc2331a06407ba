"""The wire gate in urllib3, by which requests and botocore send: `urlopen` of its pools, once an attempt."""

import io
from typing import Any

from agent_fuse.otel import active, patches
from agent_fuse.otel.request_gate import FLIGHT
from agent_fuse.otel.urllib3_body import Urllib3Answer, observe
from agent_fuse.otel.wire_flight import WireFlight
from agent_fuse.otel.wire_gate import Sent, at_hand, encoding_in, judge, path_of
from agent_fuse.seams import HELD_AT_QUOTE, quietly
from agent_fuse.seams import judge as judged

_LOOKING, _READING, _FAILING = "looking at a request", "reading an answer", "noting a failed request"
_BODY = "reading the body of a request"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def methods(module: Any) -> tuple[tuple[type[Any], str, patches.Wrap], ...]:
    """What is wrapped: the pools of both schemes, and those that others derive from them (botocore)."""
    return ((module.connectionpool.HTTPConnectionPool, "urlopen", around),)


def is_as_ever(module: Any) -> bool:
    """Whether pools and responses tell what they did. Sends nothing."""
    pool = module.HTTPSConnectionPool("agent-fuse.invalid")
    answer = module.HTTPResponse(io.BytesIO(b"{}"), {"content-length": "2"}, 200, preload_content=False)
    told = (pool.scheme, pool.host, answer.status, answer.length_remaining, answer.decode_content, answer.read(2))
    return told == ("https", "agent-fuse.invalid", 200, 2, True, b"{}")


def around(original: patches.Method) -> patches.Method:
    """The wrapper of a pool's `urlopen`, which calls itself for every retry and redirect."""

    def urlopen(self: Any, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> Any:
        path = judged(_LOOKING, active.fail_safe, path_of, self.host, url) if method == "POST" else None
        if path is None:
            return original(self, method, url, body, *args, **kwargs)
        content = judged(_BODY, active.fail_safe, at_hand, body)
        if content is not None and body is not None and not isinstance(body, str):
            body = content
        quietly(_FAILING, HELD_AT_QUOTE, _tried_again, self, args, kwargs)
        flight = judge(lambda: _sent(self, url, path, content or b"", args[0] if args else kwargs.get("headers")))
        if flight is None:
            return original(self, method, url, body, *args, **kwargs)
        try:
            token = FLIGHT.set(flight)
            try:
                response = original(self, method, url, body, *args, **kwargs)
            finally:
                FLIGHT.reset(token)
            quietly(_READING, HELD_AT_QUOTE, lambda: flight.answered(Urllib3Answer(response)))
        except BaseException as error:
            quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        return response

    return urlopen


def _sent(pool: Any, url: str, path: str, content: bytes, headers: Any) -> Sent:
    if url.startswith("/"):
        port = "" if pool.port in (None, _DEFAULT_PORTS.get(pool.scheme)) else f":{pool.port}"
        url = f"{pool.scheme}://{pool.host}{port}{url}"
    encoding = encoding_in(headers if headers is not None else pool.headers or {})
    return Sent(url=url, path=path, content=content, encoding=encoding, sender=pool, observe=observe)


def _tried_again(pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The request that this pool is sending here has failed, or was sent elsewhere, if it sends one."""
    flight = FLIGHT.get()
    if not isinstance(flight, WireFlight) or flight.sender is not pool:
        return
    retries: Any = args[1] if args[1:] else kwargs["retries"]
    last = retries.history[-1]
    if last.error is None:
        flight.give_back()  # answered with an error, or with another address
    else:
        flight.failed(last.error)
