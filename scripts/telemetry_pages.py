"""Writes docs/metrics.md and docs/spans.md from their tables, or prints them: `telemetry_pages.py [--write]`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent_fuse.otel import span_attributes
from agent_fuse.telemetry import instruments

DOCS = Path(__file__).parents[1] / "docs"

METRICS = """# Metrics

Counters and the histogram are of one process; sum them. Limit and ledger gauges are read from the ledger, which all
processes share; take their max. [observability.md](observability.md) says how to wire them.

"""

SPANS = """# Span attributes

What AgentFuse writes on the span of a model call or tool action, while that span is still open.

One span of a call gets the cost: the innermost that is still open when the call is booked, so that costs in a trace add
up. With the request gate that is the client span. Where a span is made after the call (Traceloop's `openai.response`),
or ends before its response is read (`with_raw_response`), the cost is in the ledger and in the metrics only.

"""

SPANS_END = """
`cost_on_spans=False` (`AGENTFUSE_COST_ON_SPANS=false`) leaves the span of every call that goes through as its
instrumentation made it, for tests that compare attributes exactly: no cost, no session, nothing of ours. The span of a
refused call says so in any case. Ledger and metrics are the same either way.

Each refusal, of a call or a tool, is an OpenTelemetry log record as well: event `agent_fuse.refusal`, severity WARN,
the trip's message as its body, with the attributes of a refused call above, `session.id`, the model or tool, the
agent, and the trace and span it happened in, whatever the sampler did to that span. Beyond the first hundred of one
limit and key there is one a minute, whose `agent_fuse.refused.unwritten` counts those left out. Without a logger
provider nothing is made.

The cost has the names proposed in
[semantic-conventions-genai #443](https://github.com/open-telemetry/semantic-conventions-genai/pull/443), which may
still change. The amount is a double: nano-dollars divided by 10^9.
"""


def pages() -> dict[str, str]:
    """The pages as Markdown, by file name."""
    return {"metrics.md": METRICS + _metrics(), "spans.md": SPANS + _spans() + SPANS_END}


def _metrics() -> str:
    rows = (
        (f"`{one.name}`", f"`{one.prometheus}`", one.kind, f"`{one.unit}`", _codes(one.attributes), one.meaning)
        for one in instruments.TABLE
    )
    attributes = ((f"`{name}`", meaning) for name, meaning in instruments.ATTRIBUTES.items())
    bounds = ", ".join(f"{bound:g}" for bound in instruments.SECONDS)
    return "\n".join(
        [
            *_table(("metric", "in PromQL", "kind", "unit", "attributes", "meaning"), rows),
            "",
            *_table(("attribute", "meaning"), attributes),
            "",
            "An attribute that is not known is left out. Of each, 200 values are told apart, and the rest are `other`.",
            "",
            f"Buckets of `{instruments.DURATION.name}`, seconds: {bounds}.",
            "",
        ]
    )


def _spans() -> str:
    rows = ((f"`{one.name}`", one.kind, one.on, one.meaning) for one in span_attributes.TABLE)
    return "\n".join([*_table(("attribute", "type", "on", "meaning"), rows), ""])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    for name, text in pages().items():
        if sys.argv[1:] == ["--write"]:
            (DOCS / name).write_text(text)
        else:
            print(text)
