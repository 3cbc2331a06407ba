"""An OpenTelemetry set-up as it is, and the one line that guards it."""

import os

import openai
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded, Usage, monitor
from agent_fuse.testing import LoopbackProvider

if "OPENAI_API_KEY" not in os.environ:
    print("No OPENAI_API_KEY: a model provider on loopback answers instead.")
    loopback = LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

provider = TracerProvider()
provider.add_span_processor(AgentFuseSpanProcessor(budget=0.02))  # this line; USD per session
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: f"span {span.name}\n")))
OpenAIInstrumentor().instrument(tracer_provider=provider)

client = openai.OpenAI()
try:
    while True:  # a runaway agent
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Try again."}])
except SentinelBudgetExceeded as trip:
    print(trip)
print(f"Spent ${monitor().session_spend_usd} in {monitor().session_calls} calls.")
