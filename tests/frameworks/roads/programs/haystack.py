"""Haystack with chat generators that are reached by SDKs without a gate of their own."""

import asyncio
import importlib
import os
from typing import Any

PACKAGES = ("haystack-ai", "mistral-haystack", "cohere", "ollama", "google-genai", "boto3", "aiobotocore")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
GENERATORS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "mistral": ("mistral", "MistralChatGenerator", "api_base_url", {"model": "mistral-small-latest"}),
    "cohere": ("cohere", "CohereChatGenerator", "api_base_url", {"model": "command-r-plus-08-2024"}),
    "ollama": ("ollama", "OllamaChatGenerator", "url", {"model": "llama3.2"}),
    "gemini": ("google_genai", "GoogleGenAIChatGenerator", "", {"model": "gemini-2.5-flash"}),
    "bedrock": ("amazon_bedrock", "AmazonBedrockChatGenerator", "", {"model": CLAUDE}),
}


def roads(url: str):
    """By provider and kind of run."""
    os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="us-east-1")
    os.environ.update(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=url, GOOGLE_GEMINI_BASE_URL=url)
    for key in ("MISTRAL_API_KEY", "COHERE_API_KEY", "GOOGLE_API_KEY"):
        os.environ[key] = "none"
    return {name: _runs(url + ("/v1" if name == "mistral" else ""), *of) for name, of in GENERATORS.items()}


def _runs(url: str, module: str, kind: str, where: str, options: dict[str, Any]):
    def generator(read: Any = None):
        found = importlib.import_module(f"haystack_integrations.components.generators.{module}")
        return getattr(found, kind)(**options, **({where: url} if where else {}), streaming_callback=read)

    def asked():
        from haystack.dataclasses import ChatMessage

        return [ChatMessage.from_user("Hi")]

    async def read(_: Any) -> None:
        pass

    return {
        "run": lambda: generator().run(messages=asked()),
        "streamed": lambda: generator(lambda _: None).run(messages=asked()),
        "run_async": lambda: asyncio.run(generator().run_async(messages=asked())),
        "run_async streamed": lambda: asyncio.run(generator(read).run_async(messages=asked())),
    }
