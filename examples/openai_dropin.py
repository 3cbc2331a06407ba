"""A drop-in client: the same in every respect, but that no request passes the fuse by. Async and Azure twins too."""

import os

from agent_fuse import SentinelBudgetExceeded, Usage, init, monitor
from agent_fuse.integrations import AgentFuseOpenAI as OpenAI
from agent_fuse.testing import LoopbackProvider

if "OPENAI_API_KEY" not in os.environ:
    print("No OPENAI_API_KEY: a model provider on loopback answers instead.")
    loopback = LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

init(budget=0.02)
client = OpenAI().with_options(max_retries=1)

try:
    while True:
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Say hello."}], max_tokens=500, stream=True
        )
        with stream:  # its usage is asked for and booked; the stream is as you asked for it
            print("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
        client.embeddings.create(model="text-embedding-3-small", input=["hello"] * 1_000)
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "And again."}])
except SentinelBudgetExceeded as trip:
    print(trip)
print(f"Spent ${monitor().session_spend_usd} in {monitor().session_calls} calls.")
