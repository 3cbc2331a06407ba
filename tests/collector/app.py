"""The application of the collector's test: a real set-up that spends, in steps that its parent asks for, one a line."""

import json
import sys

import openai
from langchain_core.tools import tool
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

import agent_fuse
from agent_fuse.testing import LoopbackProvider

protocol, endpoint, path = sys.argv[1:]
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    to_metrics, to_traces = (
        OTLPMetricExporter(endpoint=endpoint, insecure=True),
        OTLPSpanExporter(endpoint=endpoint, insecure=True),
    )
else:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    to_metrics = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
    to_traces = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")

resource = Resource.create({"service.name": "test-app", "service.instance.id": protocol})
reader = PeriodicExportingMetricReader(to_metrics, export_interval_millis=3_600_000)
metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(to_traces))
trace.set_tracer_provider(tracing)

LIMITS = (agent_fuse.Limit(usd=0.01), agent_fuse.Limit(calls=100, per="all"), agent_fuse.Limit(tool_calls=3, per="all"))
# No stream is asked for its usage, so that one call is an estimate.
agent_fuse.init(limits=LIMITS, session_id="run-1", db_path=path, max_retries=0, lock_timeout=0.2, stream_usage=False)
refused = 0


def call(client, model, tokens=100, **options):
    global refused
    try:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hello " * 40}], max_tokens=tokens, **options
        )
        if options.get("stream"):
            list(answer)
    except agent_fuse.SentinelError:
        refused += 1


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def tools():
    for city in ("Bergen", "Oslo"):
        weather.invoke({"city": city})


with LoopbackProvider() as provider:
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)
    for line in sys.stdin:
        match line.strip():
            case "first":
                call(client, "gpt-4o")
                call(client, "gpt-4o-mini")
                tools()
            case "spend":
                for _ in range(5):
                    call(client, "gpt-4o")
                    call(client, "gpt-4o-mini")
                call(client, "gpt-4o", stream=True)
            case "overspend":
                for _ in range(100):
                    call(client, "gpt-4o")
                    if refused:
                        break
                call(client, "gpt-4o")
            case "go blind":
                blind = TracerProvider(sampler=TraceIdRatioBased(0.99))
                blind.add_span_processor(
                    agent_fuse.AgentFuseSpanProcessor(limits=LIMITS, session_id="run-1", db_path=path)
                )
                for _ in range(5):
                    blind.get_tracer("app").start_span("x").end()
            case "call":
                call(client, "gpt-4o")
        metrics.get_meter_provider().force_flush()
        tracing.force_flush()
        print(json.dumps({"refused": refused, "served": len(provider.served)}), flush=True)
