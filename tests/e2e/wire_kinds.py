"""Calls of SDKs that have no gate of their own: one function a kind of call, against the loopback provider."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import boto3
import cohere
import groq
import ollama
from google import genai
from google.genai import types
from mistralai.client import Mistral

from agent_fuse.testing import LoopbackProvider

Call = Callable[[LoopbackProvider], object]

HI = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {"name": "search", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}
GEMINI, MISTRAL, COHERE, GROQ, OLLAMA = (
    "gemini-2.5-flash", "mistral-small-latest", "command-r-plus-08-2024", "llama-3.3-70b-versatile", "llama3.2"
)  # fmt: skip


def _gemini(provider: LoopbackProvider, call: Callable[[genai.Client], object]) -> object:
    """A client closes itself once it is dropped."""
    client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=provider.url))
    return call(client)


def _asked(**more: Any) -> dict[str, Any]:
    config = types.GenerateContentConfig(max_output_tokens=50, **more)
    return {"model": GEMINI, "contents": "Hi", "config": config}


def _search(q: str) -> str:
    """Search."""
    return q


async def _gemini_async(provider: LoopbackProvider) -> None:
    client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=provider.url))
    await client.aio.models.generate_content(**_asked())


async def _gemini_async_stream(provider: LoopbackProvider) -> None:
    client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=provider.url))
    async for _ in await client.aio.models.generate_content_stream(**_asked()):
        pass


def _mistral(provider: LoopbackProvider) -> Mistral:
    return Mistral(api_key="x", server_url=provider.url)


async def _mistral_async(provider: LoopbackProvider) -> None:
    await _mistral(provider).chat.complete_async(model=MISTRAL, messages=HI, max_tokens=50)


async def _mistral_async_stream(provider: LoopbackProvider) -> None:
    async for _ in await _mistral(provider).chat.stream_async(model=MISTRAL, messages=HI, max_tokens=50):
        pass


def _cohere(provider: LoopbackProvider) -> cohere.ClientV2:
    return cohere.ClientV2(api_key="x", base_url=provider.url)


def _acohere(provider: LoopbackProvider) -> cohere.AsyncClientV2:
    return cohere.AsyncClientV2(api_key="x", base_url=provider.url)


async def _cohere_async(provider: LoopbackProvider) -> None:
    await _acohere(provider).chat(model=COHERE, messages=HI, max_tokens=50)


async def _cohere_async_stream(provider: LoopbackProvider) -> None:
    async for _ in _acohere(provider).chat_stream(model=COHERE, messages=HI, max_tokens=50):
        pass


def _groq(provider: LoopbackProvider) -> groq.Groq:
    return groq.Groq(api_key="x", base_url=provider.url, max_retries=0)


async def _groq_async(provider: LoopbackProvider) -> None:
    client = groq.AsyncGroq(api_key="x", base_url=provider.url, max_retries=0)
    await client.chat.completions.create(model=GROQ, messages=HI, max_tokens=50)


def _ollama(provider: LoopbackProvider) -> ollama.Client:
    return ollama.Client(host=provider.url)


async def _ollama_async(provider: LoopbackProvider) -> None:
    await ollama.AsyncClient(host=provider.url).chat(model=OLLAMA, messages=HI)


async def _ollama_async_stream(provider: LoopbackProvider) -> None:
    async for _ in await ollama.AsyncClient(host=provider.url).chat(model=OLLAMA, messages=HI, stream=True):
        pass


CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
ASKED: dict[str, Any] = {
    "modelId": NOVA,
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
    "inferenceConfig": {"maxTokens": 50},
}
INVOKED: dict[str, Any] = {
    "modelId": CLAUDE,
    "body": json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": HI}),
}
TOOL_SPEC = {"toolSpec": {"name": "search", "inputSchema": {"json": {"type": "object"}}}}


def _bedrock(provider: LoopbackProvider) -> Any:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    return session.client("bedrock-runtime", endpoint_url=provider.url)


SYNC: dict[str, Call] = {
    "gemini": lambda at: _gemini(at, lambda one: one.models.generate_content(**_asked())),
    "gemini-stream": lambda at: _gemini(at, lambda one: list(one.models.generate_content_stream(**_asked()))),
    "gemini-tools": lambda at: _gemini(at, lambda one: one.models.generate_content(**_asked(tools=[_search]))),
    "mistral": lambda at: _mistral(at).chat.complete(model=MISTRAL, messages=HI, max_tokens=50),
    "mistral-stream": lambda at: list(_mistral(at).chat.stream(model=MISTRAL, messages=HI, max_tokens=50)),
    "mistral-tools": lambda at: _mistral(at).chat.complete(model=MISTRAL, messages=HI, tools=[TOOL]),
    "mistral-embeddings": lambda at: _mistral(at).embeddings.create(model="mistral-embed", inputs=["Hi", "ho"]),
    "cohere": lambda at: _cohere(at).chat(model=COHERE, messages=HI, max_tokens=50),
    "cohere-stream": lambda at: list(_cohere(at).chat_stream(model=COHERE, messages=HI, max_tokens=50)),
    "cohere-tools": lambda at: _cohere(at).chat(model=COHERE, messages=HI, tools=[TOOL]),
    "cohere-embeddings": lambda at: _cohere(at).embed(
        model="embed-v4.0", texts=["Hi"], input_type="search_query", embedding_types=["float"]
    ),
    "groq": lambda at: _groq(at).chat.completions.create(model=GROQ, messages=HI, max_tokens=50),
    "groq-tools": lambda at: _groq(at).chat.completions.create(model=GROQ, messages=HI, tools=[TOOL]),
    "ollama": lambda at: _ollama(at).chat(model=OLLAMA, messages=HI),
    "ollama-stream": lambda at: list(_ollama(at).chat(model=OLLAMA, messages=HI, stream=True)),
    "ollama-generate": lambda at: _ollama(at).generate(model=OLLAMA, prompt="Hi"),
    "ollama-embeddings": lambda at: _ollama(at).embed(model=OLLAMA, input=["Hi"]),
    "bedrock": lambda at: _bedrock(at).converse(**ASKED),
    "bedrock-tools": lambda at: _bedrock(at).converse(**ASKED, toolConfig={"tools": [TOOL_SPEC]}),
    "bedrock-stream": lambda at: list(_bedrock(at).converse_stream(**ASKED)["stream"]),
    "bedrock-invoke": lambda at: _bedrock(at).invoke_model(**INVOKED)["body"].read(),
    "bedrock-embeddings": lambda at: (
        _bedrock(at).invoke_model(modelId=TITAN, body='{"inputText": "Hi"}')["body"].read()
    ),
    "cohere-v1": lambda at: cohere.Client(api_key="x", base_url=at.url).chat(model=COHERE, message="Hi", max_tokens=50),
    "bedrock-invoke-stream": lambda at: list(_bedrock(at).invoke_model_with_response_stream(**INVOKED)["body"]),
}
ASYNC: dict[str, Call] = {
    "gemini-async": lambda at: asyncio.run(_gemini_async(at)),
    "gemini-async-stream": lambda at: asyncio.run(_gemini_async_stream(at)),
    "mistral-async": lambda at: asyncio.run(_mistral_async(at)),
    "mistral-async-stream": lambda at: asyncio.run(_mistral_async_stream(at)),
    "cohere-async": lambda at: asyncio.run(_cohere_async(at)),
    "cohere-async-stream": lambda at: asyncio.run(_cohere_async_stream(at)),
    "groq-async": lambda at: asyncio.run(_groq_async(at)),
    "ollama-async": lambda at: asyncio.run(_ollama_async(at)),
    "ollama-async-stream": lambda at: asyncio.run(_ollama_async_stream(at)),
}
CALLS = SYNC | ASYNC


def gemini_embeddings(provider: LoopbackProvider, *texts: str) -> None:
    """Of which Gemini tells no usage."""
    _gemini(provider, lambda one: one.models.embed_content(model="gemini-embedding-001", contents=list(texts)))
