"""Google ADK with Gemini, its default provider, by google-genai."""

import asyncio
import os

PACKAGES = ("google-adk", "google-genai", "httpx", "httpx2")


def roads(url: str):
    """By provider and kind of run."""
    os.environ.update(GOOGLE_GEMINI_BASE_URL=url, GOOGLE_API_KEY="none")

    async def run(*, stream: bool):
        from google.adk.agents import LlmAgent
        from google.adk.agents.run_config import RunConfig, StreamingMode
        from google.adk.runners import InMemoryRunner
        from google.genai import types

        agent = LlmAgent(name="alpha", model="gemini-2.5-flash", instruction="Answer.")
        runner = InMemoryRunner(agent=agent, app_name="app")
        session = await runner.session_service.create_session(app_name="app", user_id="user")
        config = RunConfig(streaming_mode=StreamingMode.SSE) if stream else RunConfig()
        asked = types.Content(role="user", parts=[types.Part(text="Hi")])
        events = runner.run_async(user_id="user", session_id=session.id, new_message=asked, run_config=config)
        return [one async for one in events]

    return {
        "gemini": {
            "agent": lambda: asyncio.run(run(stream=False)),
            "streamed": lambda: asyncio.run(run(stream=True)),
        }
    }
