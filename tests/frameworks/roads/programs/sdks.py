"""Model SDKs without a gate of their own, at their newest: every kind of call that the wire gate sees."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

PACKAGES = (
    "google-genai", "mistralai", "cohere", "groq", "ollama", "together", "huggingface-hub", "boto3",
    "httpx", "httpx2", "requests", "aiohttp", "urllib3",
)  # fmt: skip
HI = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    },
}
CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0"

Calls = dict[str, Callable[[], object]]


def roads(url: str) -> dict[str, Calls]:
    """By SDK and kind of call."""
    return {
        "google-genai": _google(url),
        "mistralai": _mistral(url),
        "cohere": _cohere(url),
        "groq": _groq(url),
        "ollama": _ollama(url),
        "together": _together(url),
        "huggingface_hub": _hugging_face(url),
        "boto3": _boto3(url),
    }


async def _read(answer: Any) -> list[Any]:
    found = await answer if hasattr(answer, "__await__") else answer
    return [one async for one in found]


def _google(url: str) -> Calls:
    from google import genai

    def client() -> Any:
        return genai.Client(api_key="none", http_options={"base_url": url})

    asked: Any = {"model": "gemini-2.5-flash", "contents": "Hi"}

    def search(q: str) -> str:
        """Search."""
        return q

    async def embed() -> None:
        await client().aio.models.embed_content(model="gemini-embedding-001", contents=["Hi"])

    async def ask() -> None:
        one = client()
        await one.aio.models.generate_content(**asked)

    async def stream() -> None:
        one = client()
        await _read(one.aio.models.generate_content_stream(**asked))

    def sync(work: Callable[[Any], object]) -> object:
        one = client()
        return work(one.models)

    return {
        "chat": lambda: sync(lambda at: at.generate_content(**asked)),
        "streamed": lambda: sync(lambda at: list(at.generate_content_stream(**asked))),
        "tools": lambda: sync(lambda at: at.generate_content(**asked, config={"tools": [search]})),
        "async": lambda: asyncio.run(ask()),
        "async streamed": lambda: asyncio.run(stream()),
        "embeddings": lambda: sync(lambda at: at.embed_content(model="gemini-embedding-001", contents=["Hi"])),
        "async embeddings": lambda: asyncio.run(embed()),
    }


def _mistral(url: str) -> Calls:
    try:
        from mistralai.client import Mistral
    except ImportError:
        from mistralai import Mistral
    asked: Any = {"model": "mistral-small-latest", "messages": HI, "max_tokens": 50}

    def client() -> Any:
        return Mistral(api_key="none", server_url=url)

    async def ask() -> None:
        await client().chat.complete_async(**asked)

    async def stream() -> None:
        await _read(client().chat.stream_async(**asked))

    return {
        "chat": lambda: client().chat.complete(**asked),
        "streamed": lambda: list(client().chat.stream(**asked)),
        "tools": lambda: client().chat.complete(**asked, tools=[TOOL]),
        "async": lambda: asyncio.run(ask()),
        "async streamed": lambda: asyncio.run(stream()),
        "embeddings": lambda: client().embeddings.create(model="mistral-embed", inputs=["Hi"]),
    }


def _cohere(url: str) -> Calls:
    import cohere

    def old() -> Any:
        return cohere.Client("none", base_url=url if hasattr(cohere, "ClientV2") else f"{url}/v1")

    asked: Any = {"model": "command-r-plus-08-2024", "max_tokens": 50}
    calls: Calls = {
        "v1 chat": lambda: old().chat(**asked, message="Hi"),
        "v1 streamed": lambda: list(old().chat_stream(**asked, message="Hi")),
    }
    if not hasattr(cohere, "ClientV2"):
        return calls

    def client() -> Any:
        return cohere.ClientV2("none", base_url=url)

    async def ask() -> None:
        await cohere.AsyncClientV2("none", base_url=url).chat(**asked, messages=HI)

    async def stream() -> None:
        await _read(cohere.AsyncClientV2("none", base_url=url).chat_stream(**asked, messages=HI))

    texts: Any = {"texts": ["Hi"], "input_type": "search_query", "embedding_types": ["float"]}
    return calls | {
        "chat": lambda: client().chat(**asked, messages=HI),
        "streamed": lambda: list(client().chat_stream(**asked, messages=HI)),
        "tools": lambda: client().chat(**asked, messages=HI, tools=[TOOL]),
        "async": lambda: asyncio.run(ask()),
        "async streamed": lambda: asyncio.run(stream()),
        "embeddings": lambda: client().embed(model="embed-v4.0", **texts),
    }


def _like_openai(make: Callable[[], Any], make_async: Callable[[], Any], asked: Any, **streamed: Any) -> Calls:
    """Of SDKs whose clients are made like OpenAI's."""

    async def ask() -> None:
        await make_async().chat.completions.create(**asked)

    async def stream() -> None:
        await _read(make_async().chat.completions.create(**asked, stream=True, **streamed))

    return {
        "chat": lambda: make().chat.completions.create(**asked),
        "streamed": lambda: list(make().chat.completions.create(**asked, stream=True, **streamed)),
        "tools": lambda: make().chat.completions.create(**asked, tools=[TOOL]),
        "async": lambda: asyncio.run(ask()),
        "async streamed": lambda: asyncio.run(stream()),
    }


USAGE = {"stream_options": {"include_usage": True}}
"""Asked for by hand: the provider on loopback tells the usage of a stream of OpenAI's protocol to whoever asks for it."""


def _groq(url: str) -> Calls:
    import groq

    given: Any = {"api_key": "none", "base_url": url, "max_retries": 0}
    asked = {"model": "llama-3.3-70b-versatile", "messages": HI, "max_tokens": 50}
    return _like_openai(lambda: groq.Groq(**given), lambda: groq.AsyncGroq(**given), asked, extra_body=USAGE)


def _together(url: str) -> Calls:
    import together

    given: Any = {"api_key": "none", "base_url": f"{url}/v1", "max_retries": 0}
    asked = {"model": "meta-llama/Llama-3.3-70B-Instruct-Turbo", "messages": HI, "max_tokens": 50}
    new = int(together.__version__.partition(".")[0]) > 1 if hasattr(together, "__version__") else True
    options: Any = {"extra_body": USAGE} if hasattr(together, "APIStatusError") and new else {}

    def client() -> Any:
        return together.Together(**given)

    embedder = "togethercomputer/m2-bert-80M-8k-retrieval"
    return _like_openai(client, lambda: together.AsyncTogether(**given), asked, **options) | {
        "embeddings": lambda: client().embeddings.create(model=embedder, input=["Hi"])
    }


def _ollama(url: str) -> Calls:
    import ollama

    asked: Any = {"model": "llama3.2", "messages": HI}

    def client() -> Any:
        return ollama.Client(host=url)

    async def ask() -> None:
        await ollama.AsyncClient(host=url).chat(**asked)

    async def stream() -> None:
        await _read(ollama.AsyncClient(host=url).chat(**asked, stream=True))

    return {
        "chat": lambda: client().chat(**asked),
        "streamed": lambda: list(client().chat(**asked, stream=True)),
        "tools": lambda: client().chat(**asked, tools=[TOOL]),
        "generate": lambda: client().generate(model="llama3.2", prompt="Hi"),
        "async": lambda: asyncio.run(ask()),
        "async streamed": lambda: asyncio.run(stream()),
        "embeddings": lambda: client().embed(model="nomic-embed-text", input=["Hi"]),
    }


def _hugging_face(url: str) -> Calls:
    import os

    os.environ["HF_HUB_OFFLINE"] = "0"  # else its client sends nothing, not even here
    import huggingface_hub

    asked: Any = {"model": "deepseek-ai/DeepSeek-R1", "messages": HI, "max_tokens": 50}
    streamed: Any = {**asked, "stream": True, "stream_options": {"include_usage": True}}

    def client() -> Any:
        return huggingface_hub.InferenceClient(base_url=f"{url}/v1", token="none")

    def other() -> Any:
        return huggingface_hub.AsyncInferenceClient(base_url=f"{url}/v1", token="none")

    async def ask() -> None:
        await other().chat_completion(**asked)

    async def stream() -> None:
        one = other()
        await _read(one.chat_completion(**streamed))

    def stream_sync() -> list[Any]:
        one = client()  # which closes itself once it is dropped
        return list(one.chat_completion(**streamed))

    return {
        "chat": lambda: client().chat_completion(**asked),
        "streamed": stream_sync,
        "tools": lambda: client().chat_completion(**asked, tools=[TOOL]),
        "async": lambda: asyncio.run(ask()),
        "async streamed": lambda: asyncio.run(stream()),
    }


def _boto3(url: str) -> Calls:
    import boto3

    said = [{"role": "user", "content": [{"text": "Hi"}]}]
    asked: Any = {"modelId": NOVA, "messages": said, "inferenceConfig": {"maxTokens": 50}}
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": HI}
    invoked: Any = {"modelId": CLAUDE, "body": json.dumps(body)}
    tool = {"toolSpec": {"name": "search", "inputSchema": {"json": {"type": "object"}}}}

    def client() -> Any:
        session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
        return session.client("bedrock-runtime", endpoint_url=url)

    titan: Any = {"modelId": "amazon.titan-embed-text-v2:0", "body": json.dumps({"inputText": "Hi"})}
    return {
        "Converse": lambda: client().converse(**asked),
        "ConverseStream": lambda: list(client().converse_stream(**asked)["stream"]),
        "tools": lambda: client().converse(**asked, toolConfig={"tools": [tool]}),
        "InvokeModel": lambda: list(client().invoke_model(**invoked)["body"]),
        "InvokeModel streamed": lambda: list(client().invoke_model_with_response_stream(**invoked)["body"]),
        "embeddings": lambda: list(client().invoke_model(**titan)["body"]),
    }
