"""No OpenTelemetry set-up of your own: one call guards the process."""

import os

import openai

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, Usage
from agent_fuse.testing import LoopbackProvider

if "OPENAI_API_KEY" not in os.environ:
    print("No OPENAI_API_KEY: a model provider on loopback answers instead.")
    loopback = LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

agent_fuse.init(budget=0.02, limits=(Limit(tokens=100_000), Limit(calls=50)))

client = openai.OpenAI()
try:
    while True:  # a runaway agent
        client.responses.create(model="gpt-4o", input="Try again.")
except SentinelBudgetExceeded as trip:
    print(trip)
    print(f"limit {trip.limit}: {trip.spent} spent, {trip.requested} asked for, {trip.overage} too much")

stats = agent_fuse.monitor()
print(f"Spent ${stats.session_spend_usd} in {stats.session_calls} calls, ${stats.budget_remaining_usd} left.")
