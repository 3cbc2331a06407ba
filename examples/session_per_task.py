"""A budget for each task, and one for all of them: a task that runs away does not take the others' money."""

import os
from concurrent.futures import ThreadPoolExecutor

import openai

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, Usage
from agent_fuse.testing import LoopbackProvider

if "OPENAI_API_KEY" not in os.environ:
    print("No OPENAI_API_KEY: a model provider on loopback answers instead.")
    loopback = LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

agent_fuse.init(limits=(Limit(usd=0.02), Limit(usd=0.05, per="process")))
client = openai.OpenAI()


def work(task: str, calls: int) -> str:
    """One task: it makes some calls, in a session of its own."""
    with agent_fuse.session(task, user_id="u7"):
        try:
            for _ in range(calls):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": task}])
        except SentinelBudgetExceeded as trip:
            return f"{task}: {trip}"
        return f"{task}: done, ${agent_fuse.monitor().session_spend_usd} spent"


with ThreadPoolExecutor(4) as pool:
    for line in pool.map(work, ("short", "runaway", "fine"), (1, 100, 2)):
        print(line)
