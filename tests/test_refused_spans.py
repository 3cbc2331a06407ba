"""A refused call's spans: one that knows no model refuses nothing by itself, and one that we end is ended once."""

from collections.abc import Callable
from typing import Any

import pytest

SCRIPT = """
import logging, sys
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import agent_fuse
from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider

logging.basicConfig(level=logging.WARNING, format="SAID %(message)s", stream=sys.stdout)
seen = InMemorySpanExporter()
tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(seen))
trace.set_tracer_provider(tracing)
guard = agent_fuse.init(budget=0.05, db_path=sys.argv[1], warn_at="none")
which = sys.argv[2]
if which == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=tracing)
if which == "own":
    tracer = tracing.get_tracer("openinference.instrumentation.smolagents")
with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    ask = lambda: client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    def asked():
        if which != "own":
            return ask()
        with tracer.start_as_current_span("Model", attributes={"openinference.span.kind": "LLM"}) as span:
            answer = ask()
            span.set_attribute("llm.model_name", "gpt-4o")
            return answer
    try:
        for _ in range(9):
            asked()
    except agent_fuse.SentinelBudgetExceeded as trip:
        print("REFUSED", "gpt-4o" in str(trip))
    print("SENT", provider.count)
refused = [one for one in seen.get_finished_spans() if one.attributes.get("agent_fuse.refused")]
print("SPANS", len(refused), {one.status.status_code.name for one in refused}, all(one.end_time for one in refused))
print("BOOKED", sorted({one.cost for one in guard.fuse.ledger.journal() if one.status == "settled"}))
"""


@pytest.mark.parametrize(("which", "spans"), [("openinference", 2), ("nobody", 1), ("own", 2)])
def test_a_refused_span_is_ended_once(run_python: Callable[..., Any], tmp_path: Any, which: str, spans: int) -> None:
    """Six calls fit and are sent, also under a span that names no model; the seventh's spans say why, with no warning."""
    said = run_python(SCRIPT, str(tmp_path / "ledger.db"), which).stdout
    assert "SAID" not in said
    assert said.splitlines() == ["REFUSED True", "SENT 6", f"SPANS {spans} {{'ERROR'}} True", "BOOKED [7500000]"]
