"""A sampler that never hides a call: what the delegate drops is recorded, and not exported."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from agent_fuse.errors import ConfigurationError
from agent_fuse.mistakes import spelled
from agent_fuse.seams import fault

_CAN_BE_CALLS = (SpanKind.CLIENT, SpanKind.INTERNAL)


class AgentFuseSampler(Sampler):
    """Turns the delegate's DROP into RECORD_ONLY for spans that can be calls (kinds CLIENT and INTERNAL).

    Span processors see such spans, exporters do not: sampling thins out traces without opening the gate. Some
    instrumentations start a model span with nothing but a name of the user's choice, hence the whole kind.
    """

    @spelled()
    def __init__(self, delegate: Sampler) -> None:
        if not callable(getattr(delegate, "should_sample", None)):
            hint = "it must be the sampler to wrap, such as TraceIdRatioBased(0.1)"
            raise ConfigurationError(f"AgentFuseSampler delegate is {delegate!r}; {hint}")
        self.delegate = delegate

    def should_sample(  # noqa: PLR0917  the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """The delegate's answer, with DROP made RECORD_ONLY where the span can be a call."""
        result = self.delegate.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        try:
            if result.decision is Decision.DROP and (kind is None or kind in _CAN_BE_CALLS):
                return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        except Exception as error:  # noqa: BLE001  who starts a span gets no fault of ours
            fault("sampling a span", error, "the sampler inside decides")
        return result

    def get_description(self) -> str:
        """For logs."""
        return f"AgentFuseSampler({self.delegate.get_description()})"
