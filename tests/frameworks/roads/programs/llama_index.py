"""LlamaIndex with models that are reached by SDKs without a gate of their own."""

import asyncio
import importlib
import os
from typing import Any

PACKAGES = (
    "llama-index-core", "mistralai", "cohere", "ollama", "google-genai", "boto3",
)  # fmt: skip
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mistral": (
        "mistralai",
        "MistralAI",
        {"model": "mistral-small-latest", "endpoint": "URL", "api_key": "none", "max_tokens": 50},
    ),
    "cohere": ("cohere", "Cohere", {"model": "command-r-plus", "api_key": "none", "max_tokens": 50}),
    "ollama": ("ollama", "Ollama", {"model": "llama3.2", "base_url": "URL", "context_window": 8000}),
    "gemini": (
        "google_genai",
        "GoogleGenAI",
        {"model": "gemini-2.5-flash", "api_key": "none", "http_options": {"base_url": "URL"}},
    ),
    "bedrock": (
        "bedrock_converse",
        "BedrockConverse",
        {
            "model": CLAUDE,
            "region_name": "us-east-1",
            "aws_access_key_id": "none",
            "aws_secret_access_key": "none",
            "endpoint_url": "URL",
        },
    ),
}


def roads(url: str):
    """By provider and kind of call."""
    os.environ["CO_API_URL"] = url  # read by cohere 5, where no base URL is given
    return {name: _calls(url, *of) for name, of in MODELS.items()}


def _calls(url: str, module: str, kind: str, options: dict[str, Any]):
    def model():
        given = {key: url if value == "URL" else value for key, value in options.items()}
        if "http_options" in given:
            given["http_options"] = {"base_url": url}
        made = getattr(importlib.import_module(f"llama_index.llms.{module}"), kind)(**given)
        if module == "cohere":  # no option names where it is
            import cohere

            made._client = cohere.Client("none", base_url=url)
            made._aclient = cohere.AsyncClient("none", base_url=url)
        return made

    def asked():
        from llama_index.core.llms import ChatMessage

        return [ChatMessage(role="user", content="Hi")]

    async def read():
        return [one async for one in await model().astream_chat(asked())]

    calls = {
        "chat": lambda: model().chat(asked()),
        "stream_chat": lambda: list(model().stream_chat(asked())),
        "achat": lambda: asyncio.run(model().achat(asked())),
        "astream_chat": lambda: asyncio.run(read()),
    }
    if module == "cohere":  # it hands out a generator that cannot be awaited, and sends nothing
        del calls["astream_chat"]
    return calls
