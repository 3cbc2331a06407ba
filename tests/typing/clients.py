"""What a type checker must see of the drop-in clients and the handler: the SDKs' own types. Checked, never run."""

from typing import assert_type

from langchain_core.callbacks import BaseCallbackHandler
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agent_fuse.integrations import (
    AgentFuseAnthropic,
    AgentFuseAzureOpenAI,
    AgentFuseCallbackHandler,
    AgentFuseOpenAI,
    AsyncAgentFuseOpenAI,
)


def clients() -> None:
    """The guarded class stays through with_options and copy, and every answer has the SDK's type."""
    client = AgentFuseOpenAI(api_key="key", max_retries=2, timeout=3.0)
    plain: OpenAI = client
    assert_type(client.with_options(timeout=3.0), AgentFuseOpenAI)
    assert_type(client.copy(), AgentFuseOpenAI)
    assert_type(client.chat.completions.create(model="gpt-4o", messages=[]), ChatCompletion)
    stream = client.chat.completions.create(model="gpt-4o", messages=[], stream=True)
    assert_type(stream, Stream[ChatCompletionChunk])
    assert_type(AgentFuseAnthropic(api_key="key").copy(), AgentFuseAnthropic)
    AgentFuseAzureOpenAI(azure_endpoint="https://example.org", api_version="2024-10-21")
    AgentFuseOpenAI(no_such_option=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    del plain


async def async_clients() -> None:
    """So does the async one."""
    client = AsyncAgentFuseOpenAI()
    assert_type(await client.chat.completions.create(model="gpt-4o", messages=[]), ChatCompletion)


def handler() -> None:
    """The handler is one of LangChain's own kind."""
    one: BaseCallbackHandler = AgentFuseCallbackHandler(default_model="gpt-4o")
    del one
