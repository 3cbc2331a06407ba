"""An agent that knows nothing of AgentFuse, guarded from outside.

AGENTFUSE_BUDGET=0.02 opentelemetry-instrument python agent.py
"""

import openai

client = openai.OpenAI()
while True:
    try:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Try again."}])
        print(answer.choices[0].message.content)
    except Exception as error:  # noqa: BLE001 - what a retry loop does, and why a trip is no Exception
        print("something went wrong, I try again:", error)
