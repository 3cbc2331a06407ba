"""A client that no gate sees (gRPC, say; urllib stands for it): say what is asked before, and what it used after."""

import json
import os
import urllib.request

import agent_fuse
from agent_fuse.testing import LoopbackProvider

URL, MODEL = "https://api.mistral.ai/v1/chat/completions", "mistral-large-latest"
KEY = os.environ.get("MISTRAL_API_KEY")
if KEY is None:
    print("No MISTRAL_API_KEY: a model provider on loopback answers instead.")
    loopback = LoopbackProvider(usage=agent_fuse.Usage(input_tokens=2000, output_tokens=1000))
    loopback.start()
    URL, KEY = f"{loopback.openai_base_url}/chat/completions", "none"


def ask(messages: list[dict[str, str]]) -> dict:
    """One request, with nothing but the standard library."""
    body = json.dumps({"model": MODEL, "messages": messages, "max_tokens": 1000}).encode()
    head = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(URL, body, head)) as response:
        return json.load(response)


agent_fuse.init(budget=0.05)
messages = [{"role": "user", "content": "Try again."}]
try:
    while True:
        with agent_fuse.call(MODEL, messages=messages, estimated_output_tokens=1000) as call:
            call.response(ask(messages))  # the usage is read from the response; or: call.usage(2000, 1000)
        agent_fuse.pre_flight(MODEL, messages=messages, estimated_output_tokens=1000)  # the same in two steps
        used = ask(messages)["usage"]
        agent_fuse.post_flight(MODEL, used["prompt_tokens"], used["completion_tokens"])
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
print(f"Spent ${agent_fuse.monitor().session_spend_usd} in {agent_fuse.monitor().session_calls} calls.")
