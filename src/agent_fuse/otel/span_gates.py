"""The call gate and the tool gate: what is done when a span starts, when its facts arrive, and when it ends."""

import time
from collections.abc import Callable
from functools import partial
from threading import get_ident
from weakref import finalize, proxy, ref

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span

from agent_fuse.accounting.call_request import UNTOLD, Action, CallRequest, Stage
from agent_fuse.dialects import BUILT_IN, Dialects
from agent_fuse.dialects.base import Dialect, Field, SpanRole
from agent_fuse.errors import SentinelError
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.limits import Caller
from agent_fuse.otel import active
from agent_fuse.otel.blind import blind_by_span, warn_of
from agent_fuse.otel.callers import CallerFinder
from agent_fuse.otel.facts import blind
from agent_fuse.otel.gate import admit, not_judged, refused
from agent_fuse.otel.live_spans import LIVE_SPANS
from agent_fuse.otel.open_spans import OpenSpan, OpenSpans, around, detach, fuse_inside
from agent_fuse.otel.request_gate import FLIGHT
from agent_fuse.otel.span_attributes import mark_booked
from agent_fuse.otel.span_ends import close
from agent_fuse.otel.trips import tell_late_refusal
from agent_fuse.otel.watch import watch
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, fault, harmless, quietly
from agent_fuse.sightings import CallState, Layer, Outcome

LATE_NS = 100_000_000
"""A span of an unknown instrumentation whose start lies this far in the past (nanoseconds) was made after the work."""

_SIGNS = ("gen_ai.", "llm.", "openinference.", "traceloop.")
_SEE = "see docs/enforcement.md for what each instrumentation lets AgentFuse stop"
_LATE_NAMES = frozenset(name for dialect in BUILT_IN for name in dialect.late_names)


class SpanGates:
    """Judges spans as they start by the fuse at hand, and books what they tell at their end."""

    def __init__(self, fuse: Fuse) -> None:
        self.nodes = OpenSpans()
        self._checked = False
        self._resting = False
        self._unfollowed: set[str] = set()
        """Instrumentations whose calls passed no request gate, though one was sure to follow."""
        self.node = self.nodes.get
        """The open node that a span id stands for."""
        self._callers = CallerFinder(fuse, self.node)
        self.caller = self._callers.caller
        """On whose account a call goes; see there."""
        self.use(fuse)

    def use(self, fuse: Fuse) -> None:
        """From now on, judge by this fuse. Calls that are open stay with the one that let them go."""
        self.fuse = fuse
        self.nodes.settle_dropped()  # the same run of the garbage collector that drops a span may end it, no later one
        self._dialects = Dialects(endpoints=fuse.settings.endpoints)
        self._callers.use(fuse)

    def rest(self) -> None:
        """Judge no more. Calls that are open are booked by the fuse that let them go, which is kept by them alone."""
        self._resting, self.fuse = True, proxy(self.fuse)
        self.nodes.settle_dropped()

    def start(self, span: Span, parent_context: Context | None) -> None:
        """A span starts.

        Raises:
            SentinelError: the call that it is was refused; the span is finished.
        """
        if not self._checked:
            self._checked = True
            warn_of(blind_by_span(span))
        at = span.get_span_context()
        if LIVE_SPANS.wanted:
            LIVE_SPANS.started(at.span_id, span)
        scope = span.instrumentation_scope
        outer = self.nodes.get(span.parent.span_id) if span.parent is not None else None
        dialect = self._dialects.of(scope.name) if scope is not None else None
        spot = dialect.start(span) if dialect is not None else None
        if dialect is None or spot is None:
            if outer is not None:
                self.nodes.put(at.span_id, outer)
            return
        fuse = self.fuse if outer is None else fuse_inside(self.fuse, outer)
        node = OpenSpan(at.span_id, ref(span), fuse, dialect, spot, outer)
        try:
            self.nodes.put(at.span_id, node)
            if spot.kind is SpanRole.MODEL:
                self._call(span, node, parent_context)
            elif spot.kind is SpanRole.TOOL:
                self._tool(span, node, parent_context)
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: nobody will have the span, so nothing is called inside it
            self._give_up(node)
            raise

    def _give_up(self, node: OpenSpan) -> None:
        self.nodes.pop(node.key)
        if node.seen is not None:
            node.fuse.close_call(node.seen, outcome=Outcome.FAILED)
        if node.action is not None:
            node.fuse.actions.give_up(node.action)

    def unread(self, span: Span, error: Exception) -> None:
        """A span that starts could not be judged because of a fault of ours.

        Raises:
            SentinelError: the trip that was on its way. SentinelSystemError: the span can be a call and fail_safe=True.
        """
        closed = self.fuse.settings.fail_safe and may_be_call(span)
        not_judged("judging a span", error, fail_safe=closed, span=span)

    def _call(self, span: Span, node: OpenSpan, parent_context: Context | None) -> None:
        late = node.spot.late or ("*" in node.dialect.scopes and _started_late(span))
        of = self.caller(parent_context, node, span.attributes, asks=not late)
        request = self._request(span, node, of, late=late)
        within = around(node.parent)
        if node.dialect.layer is Layer.WIRE and (flight := FLIGHT.get()) is not None and flight.seen is not None:
            within.insert(0, flight.seen)  # an HTTP span's nearest is the SDK's request under way
        node.seen = admit(node.fuse, request, within, node.parent, span=span, hard=_is_hard(node.dialect))
        if node.fuse.settings.cost_on_spans:
            node.seen.on_booked = partial(mark_booked, node.span)
        # It is judged now: what goes wrong with the rest is no reason to stop it.
        quietly("following a span", BOOKED_AT_QUOTE, self._follow, span, node, parent_context, request, late=late)

    def _follow(
        self, span: Span, node: OpenSpan, parent_context: Context | None, request: CallRequest, *, late: bool
    ) -> None:
        if late:
            watch(
                span,
                node.dialect.keys_of(Field.ERROR),
                _late_refusal,
            )
        node.lost = finalize(span, quietly, "booking a span that never ended", HELD_AT_QUOTE, self._lost, node)
        node.lost.atexit = False
        if node.dialect.detached and not late:
            detach(node)
        if node.dialect.late_facts and request.stage not in (Stage.OVER, Stage.FOLLOWED):
            watch(
                span,
                node.dialect.watched(),
                partial(self._came, node, lambda live: self._facts_came(live, node, parent_context)),
            )

    def _tool(self, span: Span, node: OpenSpan, parent_context: Context | None) -> None:
        if node.spot.late or ("*" in node.dialect.scopes and _started_late(span)):
            return
        of = self.caller(parent_context, node, span.attributes)
        told = node.spot.arguments
        try:
            node.action = action = node.fuse.actions.open(
                of,
                node.spot.tool,
                UNTOLD if told is None else told,
                awaited=Field.ARGUMENTS in node.dialect.late_facts,
                source=_source(span, node.dialect),
                trace_id=of.trace,
                span_id=trace.format_span_id(node.key),
            )
        except SentinelError as trip:
            raise refused(node.fuse, trip, span=span, hard=_is_hard(node.dialect)) from trip.__cause__
        if told is None and Field.ARGUMENTS in node.dialect.late_facts:
            watch(
                span,
                node.dialect.watched(),
                partial(self._came, node, lambda live: self._arguments_came(live, node, action)),
            )

    def _came(self, node: OpenSpan, judge: Callable[[Span], None], live: Span) -> None:
        """Late facts of a live span are there: it is judged again, and finished when it is refused."""
        try:
            judge(live)
        except SentinelError as trip:
            raise refused(node.fuse, trip, span=live, hard=_is_hard(node.dialect)) from trip.__cause__
        except Exception as error:  # noqa: BLE001  fail_safe decides
            if get_ident() == node.thread:
                self.unread(live, error)
            else:
                fault("judging a span", error, GOES_ON)

    @staticmethod
    def _arguments_came(span: Span, node: OpenSpan, action: Action) -> None:
        arguments = node.dialect.arguments(span.attributes or {})
        if arguments is not None:
            node.fuse.actions.told(action, arguments)

    def _facts_came(self, span: Span, node: OpenSpan, parent_context: Context | None) -> None:
        """Facts arrived after the span's start, before the request: ask again with what is known now."""
        spot = node.dialect.start(span)
        follows = node.dialect.prompt_follows
        if spot is None or node.seen is None or not spot.model or (follows and not spot.prompt and follows()):
            return
        if get_ident() != node.thread:
            return  # told by a thread of the instrumentation's own: a trip raised here would stop nothing
        node.spot = spot
        node.fuse.requote(
            node.seen, self._request(span, node, self.caller(parent_context, node, span.attributes), late=False)
        )

    def _request(self, span: ReadableSpan, node: OpenSpan, of: Caller, *, late: bool) -> CallRequest:
        spot = node.spot
        at = span.get_span_context()
        source = _source(span, node.dialect)
        if late:
            stage = Stage.OVER
        elif spot.gate_follows and self._follows(source):
            stage = Stage.FOLLOWED
        elif not spot.model and Field.MODEL in node.dialect.late_facts:
            stage = Stage.UNNAMED
        elif not spot.model and self._follows(source):
            stage = Stage.FOLLOWED  # the dearest model would have to be assumed, and the request says which it is
        else:
            stage = Stage.READY
        return CallRequest(
            layer=node.dialect.layer,
            source=source,
            stage=stage,
            hoped=stage is Stage.FOLLOWED and not spot.gate_follows,
            caller=of,
            operation=spot.operation,
            provider=spot.provider,
            model=spot.model,
            max_tokens=spot.max_tokens,
            prompt=spot.prompt,
            body=spot.body,
            trace_id=of.trace,
            span_id=trace.format_span_id(at.span_id) if at is not None else "",
            started_at=span.start_time / 1e9 if late and span.start_time is not None else None,
        )

    def end(self, span: ReadableSpan) -> None:
        """A span ended: book what its call cost."""
        at = span.get_span_context()
        if at is not None and LIVE_SPANS.wanted:
            LIVE_SPANS.ended(at.span_id)
        node = self.nodes.pop(at.span_id) if at is not None else None
        if node is None:
            self._missed(span)
            return
        asked = node.seen.call.payload if node.seen is not None else None
        left = asked is not None and asked.request.stage is Stage.FOLLOWED
        try:
            close(span, node)
        except BaseException:  # a KeyboardInterrupt: what was paid for is booked all the same
            close(span, node)
            raise
        if node.lost is not None:
            node.lost.detach()
        if left and node.seen is not None and node.seen.call.payload is asked:
            self._not_followed(node.seen)

    def _follows(self, source: str) -> bool:
        """Whether requests are gated, and were so far for this instrumentation's calls."""
        gated = self.fuse.settings.request_gate and active.request_gate_installed()
        return gated and source not in self._unfollowed

    def _not_followed(self, seen: Seen) -> None:
        """A call was left to an exact gate, and none judged it: what told of it holds for itself from now on."""
        if seen.call.state not in (CallState.ESTIMATED, CallState.EXACT):
            return  # no request was made
        for one in seen.call.sightings:
            self._unfollowed.add(one.source)
        warn_of(
            [blind(f"a call of {seen.source} passed no request gate: from now on its spans are judged alone", _SEE)]
        )

    def _missed(self, span: ReadableSpan) -> None:
        """A span that did not look like a call at its start turns out to be one: account for it, refuse nothing."""
        if self._resting:
            return
        scope = span.instrumentation_scope
        dialect = self._dialects.of(scope.name) if scope is not None else None
        spot = dialect.start(span) if dialect is not None and dialect.late_kinds else None
        if dialect is None or spot is None or spot.kind is SpanRole.AGENT:
            return
        outer = self.nodes.get(span.parent.span_id) if span.parent is not None else None
        node = OpenSpan(0, lambda: None, fuse_inside(self.fuse, outer), dialect, spot, outer)
        of = self.caller(None, outer, asks=False)
        if spot.kind is SpanRole.MODEL:
            node.seen = node.fuse.open_call(self._request(span, node, of, late=True), around(outer))
        else:
            told = UNTOLD if spot.arguments is None else spot.arguments
            source = _source(span, dialect)
            node.action = node.fuse.actions.ran(of, spot.tool or span.name, told, source=source, trace_id=of.trace)
        close(span, node)

    def _lost(self, node: OpenSpan) -> None:
        """The span was dropped without an end: it is booked at the quote, unless a gate that follows saw no request."""
        self.nodes.drop(node)
        if node.seen is not None:
            node.fuse.close_call(node.seen, outcome=Outcome.BROKEN, unsure=True)


def _started_late(span: Span) -> bool:
    """Not asked of instrumentations that are known to start in time: a busy machine must not open the gate."""
    return span.start_time is not None and time.time_ns() - span.start_time > LATE_NS


def may_be_call(span: Span) -> bool:
    """Whether a span that no dialect could be asked about looks like a call that is yet to be made."""
    if span.name in _LATE_NAMES or _started_late(span):
        return False
    return any(key.startswith(_SIGNS) for key in span.attributes or ())


def _is_hard(dialect: Dialect) -> bool:
    """Whether a trip raised where its spans start must be no Exception to reach the caller."""
    return dialect.layer is not Layer.CLIENT or dialect.swallows


_late_refusal = harmless("marking a late span", GOES_ON)(tell_late_refusal)


def _source(span: ReadableSpan, dialect: Dialect) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else dialect.name
