"""The gate: the one way in for every model call, whoever tells of it.

Four seams tell that a call is about to be made: a span that starts (`span_gates`), a request that an SDK built
(`request_gate`), a framework's callback (`callbacks`), and a caller by hand (`manual.calls`). Each finds whose call
it is (`call_site`), says what it knows of it in a `CallRequest`, and comes here. `admit` is where a call is let go or
refused; `refused` is what the refused caller gets.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from opentelemetry import trace

from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.accounting.waits import WaitFor
from agent_fuse.dialects.base import Dialect, SpanRole, Spot
from agent_fuse.errors import SentinelError, soften
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.ledgers.waiting import in_event_loop
from agent_fuse.limits import Caller
from agent_fuse.otel import active
from agent_fuse.otel.active import Guard
from agent_fuse.otel.context import span_here
from agent_fuse.otel.open_spans import OpenSpan, around, finish_calls, frame_here, fuse_inside
from agent_fuse.otel.trips import CARRIER, finish_refused, under_langchain
from agent_fuse.prices import model_endpoint
from agent_fuse.quoting.request_parameters import place_of
from agent_fuse.seams import GOES_ON, quietly, unjudged
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer

_BY_HAND = Dialect(name="by hand", scopes=(), layer=Layer.FRAMEWORK, keys={})


@dataclass(frozen=True, slots=True)
class CallSite:
    """Caller is about to make a call, and where."""

    guard: Guard
    fuse: Fuse
    """The fuse that judges it."""
    caller: Caller
    """On whose account it goes."""
    node: OpenSpan | None
    """The open span around it."""
    frame: OpenSpan | None
    """The open call of this context whose span is not the current one, or that has none."""
    span: int
    """Id of the current span, 0 outside any."""

    @property
    def span_id(self) -> str:
        """The current span's id as text, empty outside any."""
        return trace.format_span_id(self.span) if self.span else ""

    def around(self) -> Iterable[Seen]:
        """Sightings that a call made here happens in, nearest first."""
        return around(self.node)

    def framing(self, seen: Seen, operation: str) -> OpenSpan:
        """What stands for a call that no span tells of while it is open, so that spans and requests inside join it."""
        spot = Spot(kind=SpanRole.MODEL, operation=operation)
        node = OpenSpan(-1, _no_span, self.fuse, _BY_HAND, spot, self.node, seen=seen)
        if self.node is not None:
            node.session, node.agent = self.node.told()
        return node


def call_site(*, asks: bool = True) -> CallSite | None:
    """Caller calls from where this code runs; None where nothing guards. `asks`: a call is about to be made."""
    current = trace.get_current_span()
    known = current.get_span_context()
    guard = active.of_span(current if known.is_valid else span_here())
    if guard is None:
        return None
    span = known.span_id
    node, frame = guard.node(span), frame_here()
    inside = frame if frame is not None and frame.session else node or frame
    fuse = guard.fuse
    if node is not None or frame is not None:
        fuse = fuse_inside(fuse, node, frame)
    return CallSite(guard, fuse, guard.caller(None, inside, asks=asks), node, frame, span)


def guarded_call_site(start: Callable[[], object], *, asks: bool = True) -> CallSite:
    """Caller calls from where this code runs; `start` makes a guard where none is at work."""
    found = call_site(asks=asks)
    if found is None:
        start()
        found = call_site(asks=asks)
    if found is None:
        raise LookupError("no guard is at work, though one was just made")
    return found


def admit(
    fuse: Fuse,
    request: CallRequest,
    around: Iterable[Seen],
    *inside: OpenSpan | None,
    span: object = None,
    hard: bool = False,
) -> Seen:
    """Let the call go, or refuse it.

    Args:
        around: sightings that it happens in, nearest first.
        inside: the open spans it happens in, whose calls are refused with it.
        span: the live span that it is, if it is one.
        hard: its caller can carry a trip that is no Exception.

    Raises:
        SentinelError: it is refused, in the form that its caller can carry.
    """
    try:
        return fuse.open_call(request, around)
    except WaitFor:
        raise
    except SentinelError as trip:
        raise refused(fuse, trip, *inside, span=span, hard=hard) from trip.__cause__


def refused(
    fuse: Fuse | None, trip: SentinelError, *inside: OpenSpan | None, span: object = None, hard: bool = False
) -> SentinelError:
    """Write the refusal on the spans of the refused call; the trip, in the form that its caller can carry.

    LangChain's model layer knows nothing but Exception, and its retries would swallow that: a tripped session ends
    them, which only the hard form does. LangChain's async path cannot carry it even then. A team of AutoGen's
    would wait for ever on anything but an Exception.
    """
    soft = not hard and quietly("looking for LangChain", GOES_ON, under_langchain) is True
    soft = soft and (not trip.__dict__.get("tripped") or in_event_loop())
    carrier = CARRIER.get()
    if carrier is not None:
        carrier.trip, soft = trip, True
    quietly("finishing a refused span", GOES_ON, finish_refused, span, trip)
    quietly("finishing a refused call", GOES_ON, finish_calls, trip, *inside, end=not soft)
    if not soft:
        return trip
    if fuse is not None:
        fuse.tripped.softened(trip.__dict__.get("session", ""), trip)
    return quietly("softening a trip", "it is raised hard", soften, trip) or trip


def not_judged(place: str, error: Exception, *, fail_safe: bool, span: object = None, hard: bool = False) -> None:
    """A call could not be judged because of a fault of ours: it is blocked or let go, as `fail_safe` says.

    Args:
        span: the live span that the call is, finished when it is blocked.

    Raises:
        SentinelError: the trip that was on its way. SentinelSystemError: fail_safe=True.
    """
    try:
        unjudged(place, error, fail_safe=fail_safe)
    except SentinelError as trip:
        form = quietly("finishing a refused call", "it is refused all the same", _formed, trip, span, hard)
        raise form or trip from trip.__cause__


def _formed(trip: SentinelError, span: object, hard: bool) -> SentinelError:
    return refused(None, trip, span=span, hard=hard)


def fail_safe() -> bool:
    """Whether a call by hand that cannot be judged is blocked: the guards at work say, else the settings."""
    return active.fail_safe() if active.guards() else settings().fail_safe


def _no_span() -> None:
    return None


@lru_cache(maxsize=1_024)
def whose(url: str) -> tuple[str, str]:
    """Who serves a model at this URL, whichever SDK asks there, and the place that is priced apart; empty: not known.

    OpenAI's SDK speaks to many providers (`base_url`), whose prices of a model of one name differ.
    """
    return model_endpoint(url) or "", place_of(url)
