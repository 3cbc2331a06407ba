"""Sees each attempt of an SDK's client to send a request: that it was sent, how it failed, and the answer that came.

The wrapper stands around `send` of the HTTP client's class (httpx, httpx2, or a user's own). A request that carries no
flight passes it untouched.
"""

from typing import Any, cast

from agent_fuse.otel import patches
from agent_fuse.otel.request_gate import FLIGHT, Flight
from agent_fuse.seams import HELD_AT_QUOTE, quietly

CARRIED = "agent_fuse.flight"
"""Where a request carries its flight, in its extensions: they live through redirects and are not pickled."""

_READING, _FAILING, _SETTING_OFF = "reading an answer", "noting a failed request", "sending a request"


def carry(request: Any, flight: Flight) -> None:
    """From now on the request, and the response to it, tell whose call they belong to."""
    request.extensions[CARRIED] = flight


def carried(request: Any) -> Flight | None:
    """The flight that a request of an SDK carries, if any."""
    extensions: Any = getattr(request, "extensions", None)
    found = cast("dict[str, object]", extensions).get(CARRIED) if isinstance(extensions, dict) else None
    return found if isinstance(found, Flight) else None


def flight_of(response: Any) -> Flight | None:
    """The flight that a response ends."""
    return carried(response.request)


def watch(client: Any, *, is_async: bool) -> bool:
    """Stand around the `send` of an HTTP client's class. False where attempts to send cannot be seen."""
    kind = cast("type[Any]", type(client))
    if "send" in getattr(client, "__dict__", ()):
        return False  # someone put a `send` of their own on this one client
    if patches.stands(kind, "send"):
        return True
    owner = patches.owner_of(kind, "send")
    return owner is not None and patches.put(owner, "send", _asend if is_async else _send)


def _send(original: patches.Method) -> patches.Method:
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        flight = quietly(_SETTING_OFF, HELD_AT_QUOTE, carried, request)
        if flight is None or flight.sent:
            return original(self, request, *args, **kwargs)
        try:
            flight.sent, token = True, FLIGHT.set(flight)
            try:
                response = original(self, request, *args, **kwargs)
            finally:
                FLIGHT.reset(token)
            quietly(_READING, HELD_AT_QUOTE, flight.answered, response)
        except BaseException as error:
            quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        return response

    return send


def _asend(original: patches.Method) -> patches.Method:
    async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        flight = quietly(_SETTING_OFF, HELD_AT_QUOTE, carried, request)
        if flight is None or flight.sent:
            return await original(self, request, *args, **kwargs)
        try:
            flight.sent, token = True, FLIGHT.set(flight)
            try:
                response = await original(self, request, *args, **kwargs)
            finally:
                FLIGHT.reset(token)
            quietly(_READING, HELD_AT_QUOTE, flight.answered, response)
        except BaseException as error:
            quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        return response

    return send
