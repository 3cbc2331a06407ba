"""Sees each attempt of an SDK's client to send a request: that it was sent, how it failed, and the answer that came.

The wrapper stands around `send` of the HTTP client's class (httpx, httpx2, or a user's own). A request that carries no
flight is shown to the wire gate, where that is on, which may set one off; else it passes untouched.
"""

from collections.abc import Callable
from typing import Any, Protocol, cast

from agent_fuse.otel import patches
from agent_fuse.otel.request_gate import FLIGHT, Flight
from agent_fuse.seams import HELD_AT_QUOTE, quietly

CARRIED = "agent_fuse.flight"
"""Where a request carries its flight, in its extensions: they live through redirects and are not pickled."""

_READING, _FAILING, _SETTING_OFF = "reading an answer", "noting a failed request", "sending a request"


class Wire(Protocol):
    """Who judges requests that nothing else has judged."""

    def begin(self, client: Any, request: Any) -> Flight | None:
        """The flight of a request that is about to be sent; None where it is no model's."""
        ...

    async def begin_awaited(self, client: Any, request: Any) -> Flight | None:
        """The same, by an async client."""
        ...


wire: Wire | None = None
"""The wire gate, where it is on (`wire_gate`)."""


def show_to(gate: Wire | None) -> None:
    """From now on, requests that carry no flight are shown to this gate; None: to nobody."""
    global wire
    wire = gate


def carry(request: Any, flight: Flight) -> None:
    """From now on the request, and the response to it, tell whose call they belong to."""
    request.extensions[CARRIED] = flight


def carried(request: Any) -> Flight | None:
    """The flight that a request of an SDK carries, if any."""
    try:
        found: Flight | None = request.extensions.get(CARRIED)
    except AttributeError:  # a client of the user's own making
        return None
    return found


def flight_of(response: Any) -> Flight | None:
    """The flight that a response ends."""
    try:
        found: Flight | None = response.request.extensions.get(CARRIED)
    except AttributeError:  # a client of the user's own making
        return None
    return found


def watch(client: Any, is_async: Callable[[], bool]) -> bool:
    """Stand around the `send` of an HTTP client's class. False where attempts to send cannot be seen."""
    kind = cast("type[Any]", type(client))
    if "send" in getattr(client, "__dict__", ()):
        return False  # someone put a `send` of their own on this one client
    if patches.stands(kind, "send"):
        return True
    owner = patches.owner_of(kind, "send")
    return owner is not None and patches.put(owner, "send", around_async if is_async() else around)


def _failed(client: Any, flight: Flight, error: BaseException) -> None:
    if isinstance(error, RuntimeError) and getattr(client, "is_closed", False) is True and not flight.has_answer:
        flight.give_back()  # a client that is closed sends nothing
    else:
        flight.failed(error)


def around(original: patches.Method) -> patches.Method:
    """The wrapper of a client's `send`."""

    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        flight = quietly(_SETTING_OFF, HELD_AT_QUOTE, carried, request)
        if flight is None and wire is not None:
            flight = wire.begin(self, request)
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
            quietly(_FAILING, HELD_AT_QUOTE, _failed, self, flight, error)
            raise
        return response

    return send


def around_async(original: patches.Method) -> patches.Method:
    """The wrapper of an async client's `send`."""

    async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        flight = quietly(_SETTING_OFF, HELD_AT_QUOTE, carried, request)
        if flight is None and wire is not None:
            flight = await wire.begin_awaited(self, request)
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
            quietly(_FAILING, HELD_AT_QUOTE, _failed, self, flight, error)
            raise
        return response

    return send
