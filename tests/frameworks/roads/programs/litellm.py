"""LiteLLM's own calls and its Router, to providers of many kinds: it reaches most of them by httpx or aiohttp."""

import asyncio
import os

PACKAGES = ("litellm", "openai", "httpx", "aiohttp", "boto3")
HI = [{"role": "user", "content": "Hi"}]
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
UNASKED = frozenset({"openai", "groq", "deepseek", "openrouter"})
"""They tell the usage of a stream where it is asked for."""


def models(url: str) -> dict[str, dict[str, str]]:
    """A chat model of each provider, and where it is."""
    keys = {"api_key": "none"}
    return {
        "openai": {"model": "openai/gpt-4o", "api_base": f"{url}/v1", **keys},
        "anthropic": {"model": "anthropic/claude-sonnet-4-5", "api_base": url, **keys},
        "gemini": {
            "model": "gemini/gemini-2.5-flash",
            "api_base": f"{url}/v1beta/models/gemini-2.5-flash",
            **keys,
        },
        "mistral": {"model": "mistral/mistral-small-latest", "api_base": f"{url}/v1", **keys},
        "ollama": {"model": "ollama_chat/llama3.2", "api_base": url},
        "ollama (generate)": {"model": "ollama/llama3.2", "api_base": url},
        "cohere": {"model": "cohere_chat/command-r-plus-08-2024", "api_base": f"{url}/v2/chat", **keys},
        "bedrock": {"model": f"bedrock/converse/{CLAUDE}", "aws_bedrock_runtime_endpoint": url},
        "bedrock (invoke)": {"model": f"bedrock/invoke/{CLAUDE}", "aws_bedrock_runtime_endpoint": url},
        "groq": {"model": "groq/llama-3.3-70b-versatile", "api_base": f"{url}/openai/v1", **keys},
        "deepseek": {"model": "deepseek/deepseek-chat", "api_base": url, **keys},
        "openrouter": {"model": "openrouter/openai/gpt-4o", "api_base": f"{url}/api/v1", **keys},
    }


def embeddings(url: str) -> dict[str, dict[str, str]]:
    """The same of models that embed."""
    keys = {"api_key": "none"}
    return {
        "openai": {"model": "openai/text-embedding-3-small", "api_base": f"{url}/v1", **keys},
        "gemini": {
            "model": "gemini/gemini-embedding-001",
            "api_base": f"{url}/v1beta/models/gemini-embedding-001",
            **keys,
        },
        "mistral": {"model": "mistral/mistral-embed", "api_base": f"{url}/v1", **keys},
        "ollama": {"model": "ollama/nomic-embed-text", "api_base": url},
        "cohere": {"model": "cohere/embed-v4.0", "api_base": f"{url}/v2/embed", **keys},
        "bedrock": {"model": "bedrock/amazon.titan-embed-text-v2:0", "aws_bedrock_runtime_endpoint": url},
    }


def roads(url: str):
    """By provider and kind of call."""
    os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_REGION_NAME="us-east-1")
    found = {name: _calls(given, told=name in UNASKED) for name, given in models(url).items()}
    for name, given in embeddings(url).items():
        found[name] |= _embeddings(given)
    return found


def _calls(given: dict[str, str], *, told: bool):
    import litellm

    asked = {**given, "messages": HI, "max_tokens": 50, "num_retries": 0}
    streamed = {**asked, "stream": True} | ({"stream_options": {"include_usage": True}} if told else {})

    def router():
        return litellm.Router(model_list=[{"model_name": "mine", "litellm_params": given}], num_retries=0)

    def routed(**more):
        return {"model": "mine", "messages": HI, "max_tokens": 50, **more}

    async def read(answer):
        return [one async for one in await answer]

    return {
        "completion": lambda: litellm.completion(**asked),
        "streamed": lambda: list(litellm.completion(**streamed)),
        "acompletion": lambda: asyncio.run(litellm.acompletion(**asked)),
        "acompletion streamed": lambda: asyncio.run(read(litellm.acompletion(**streamed))),
        "Router": lambda: router().completion(**routed()),
        "Router async": lambda: asyncio.run(router().acompletion(**routed())),
    }


def _embeddings(given: dict[str, str]):
    import litellm

    return {
        "embedding": lambda: litellm.embedding(input=["Hi"], **given),
        "aembedding": lambda: asyncio.run(litellm.aembedding(input=["Hi"], **given)),
    }
