"""The OpenTelemetry span processor that users add to their provider."""

import sys
from collections.abc import Sequence
from typing import Unpack

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from agent_fuse.calls import Usd
from agent_fuse.errors import SentinelError
from agent_fuse.fuse import Fuse
from agent_fuse.limits import Limit
from agent_fuse.metrics import meters
from agent_fuse.mistakes import spelled
from agent_fuse.option_types import ProcessorOptions
from agent_fuse.otel import active, agents, carrying, wire_install
from agent_fuse.otel.blind import blind_at_start, changed, known_blind, warn_of
from agent_fuse.otel.instrumentor import instrument, problems
from agent_fuse.otel.opening import open_fuse
from agent_fuse.otel.self_test import PROBE, refuse_probe
from agent_fuse.otel.span_gates import SpanGates
from agent_fuse.prices import Prices
from agent_fuse.seams import GOES_ON, HELD_AT_QUOTE, fault, quietly
from agent_fuse.settings import settings


class AgentFuseSpanProcessor(SpanProcessor):
    """Guards every model and tool call whose span it sees start, and every request of the openai and anthropic SDKs.

    Args:
        budget: most a session may spend, USD; AGENTFUSE_BUDGET or 1.00 when neither it nor `limits` is given.
        limits: further limits.
        session_id, db_path, fail_safe, strict, prices, options: see `agent_fuse.options.OPTIONS` (docs/settings.md).
        meter_provider: where metrics go; the global one by default, also when it is set later.
        fuse: an existing fuse to use; all other arguments are then left out.

    Raises:
        ConfigurationError: a bad option. SentinelSystemError: the ledger cannot be opened and fail_safe=True.
    """

    everywhere = False
    """See Guard."""

    @spelled(*ProcessorOptions.__annotations__)
    def __init__(
        self,
        budget: Usd | None = None,
        *,
        limits: Sequence[Limit] | Limit = (),
        session_id: str | None = None,
        db_path: str | None = None,
        fail_safe: bool | None = None,
        strict: bool | None = None,
        prices: Prices | None = None,
        fuse: Fuse | None = None,
        meter_provider: MeterProvider | None = None,
        **options: Unpack[ProcessorOptions],
    ) -> None:
        if fuse is None:
            found = settings(
                budget=budget,
                limits=limits or None,
                session_id=session_id,
                db_path=db_path,
                fail_safe=fail_safe,
                strict=strict,
                prices=prices,
                **options,
            )
            fuse = open_fuse(found)
        self.gates = SpanGates(fuse)
        self.node = self.gates.node
        """The open node that a span id stands for."""
        self.caller = self.gates.caller
        """On whose account a call goes; see `CallerFinder`."""
        self._mark = active.mark_of(self)
        self.fail_safe = fuse.settings.fail_safe
        self.names_endpoints = bool(fuse.settings.endpoints)
        fuse.serve()
        self._meters = meters(meter_provider)
        self._meters.follow(fuse, blind=_blind)
        self._shut = False
        active.add(self)
        carrying.install()
        agents.install()
        if fuse.settings.request_gate:
            instrument()
        warn_of(blind_at_start())
        if _blind():
            changed()

    def use(self, fuse: Fuse) -> None:
        """From now on, judge by this fuse. Calls that are open stay with the one that let them go."""
        if self._shut:
            return
        before = self.fuse
        fuse.serve()
        self.gates.use(fuse)
        self.fail_safe = fuse.settings.fail_safe
        self.names_endpoints = bool(fuse.settings.endpoints)
        if _is_used(before):  # what it books from now on is booked for others
            self._meters.leave(before)
            self._meters.follow(fuse, blind=_blind)
        else:
            self._meters.follow(fuse, instead_of=before, blind=_blind)
            before.retire()
        if _blind():
            changed()

    @property
    def fuse(self) -> Fuse:
        """The fuse that judges."""
        return self.gates.fuse

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Refuse the call that this span is, if a limit says so: the span is finished and a trip is raised."""
        if self._shut:
            return
        if span.name is PROBE:
            refuse_probe(span)
        try:
            setattr(span, active.MARK, self._mark)
            self.gates.start(span, parent_context)
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            self.gates.unread(span, error)

    def on_end(self, span: ReadableSpan) -> None:
        """Book what the call cost. Never raises."""
        try:
            self.gates.end(span)
        except (Exception, SentinelError) as error:  # noqa: BLE001  the money is spent: not even a trip
            fault("booking a span", error, HELD_AT_QUOTE)

    def shutdown(self) -> None:
        """Stop guarding: neither spans nor requests are judged by this processor any more.

        A provider keeps its processors for ever; this one keeps nothing but the calls that are open. Its `fuse` is
        there for as long as someone else has it.
        """
        if self._shut:
            return
        self._shut = True
        fuse = self.gates.fuse
        quietly("shutting down", GOES_ON, active.remove, self)
        quietly("shutting down", GOES_ON, self._meters.leave, fuse)
        if not active.guards():
            quietly("shutting down", GOES_ON, carrying.uninstall)
            quietly("shutting down", GOES_ON, agents.uninstall)
        if not _is_used(fuse):
            if "agent_fuse.otel.noting" in sys.modules:
                quietly("shutting down", GOES_ON, sys.modules["agent_fuse.otel.noting"].ends, fuse)
            quietly("shutting down", GOES_ON, fuse.retire)
        quietly("shutting down", GOES_ON, self.gates.rest)

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        """Nothing is buffered: every call is booked when it ends."""
        return True


def _is_used(fuse: Fuse) -> bool:
    return any(one.fuse is fuse for one in active.guards())


def _blind() -> list[str]:
    elsewhere = (*agents.problems.values(), *wire_install.problems.values(), *filter(None, (carrying.problem,)))
    return [*known_blind(), *problems.values(), *elsewhere]
