"""Strands Agents with Bedrock, its default provider, by boto3; and with others that have no gate in their SDK."""

import asyncio
import os

PACKAGES = ("strands-agents", "boto3", "urllib3")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def roads(url: str):
    """By provider and kind of run."""
    os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="us-east-1")
    os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = url

    def agent(*, streams: bool = True):
        from strands import Agent
        from strands.models import BedrockModel

        return Agent(name="alpha", model=BedrockModel(model_id=CLAUDE, streaming=streams), callback_handler=None)

    async def read():
        return [one async for one in agent().stream_async("Hi")]

    return {
        "bedrock": {
            "agent": lambda: agent()("Hi"),
            "without streams": lambda: agent(streams=False)("Hi"),
            "async": lambda: asyncio.run(agent().invoke_async("Hi")),
            "streamed": lambda: asyncio.run(read()),
        }
    }
