"""LangChain's OpenAI and Anthropic models against the loopback provider."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from agent_fuse.calls import Usage
from agent_fuse.testing import Reply, ToolCall

FULL = Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=300, cache_write_tokens=50, reasoning_tokens=120)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture(params=["openai", "responses", "anthropic"])
def model(request, provider):
    """Each of LangChain's ways to a model."""
    if request.param == "anthropic":
        return ChatAnthropic(
            model_name="claude-haiku-4-5", anthropic_api_url=provider.anthropic_base_url, api_key="test", max_retries=0
        )
    return ChatOpenAI(
        model="gpt-4o",
        base_url=provider.openai_base_url,
        api_key="test",
        max_retries=0,
        stream_usage=True,
        use_responses_api=request.param == "responses",
    )


def test_invoke_and_stream_agree_on_usage(provider, model):
    """invoke, stream, ainvoke and astream get the text and the inclusive totals that were scripted."""
    provider.reply(Reply(text="one two three", usage=FULL), times=4)

    async def run():
        chunks = [chunk async for chunk in model.astream("hi")]
        return await model.ainvoke("hi"), sum(chunks[1:], chunks[0])

    pieces = list(model.stream("hi"))
    for message in (model.invoke("hi"), sum(pieces[1:], pieces[0]), *asyncio.run(run())):
        assert message.text == "one two three"
        usage = message.usage_metadata
        assert (usage["input_tokens"], usage["output_tokens"]) == (1000, 500)
        assert usage["input_token_details"]["cache_read"] == 300
        assert usage["output_token_details"]["reasoning"] == 120
    assert provider.count == 4


def test_structured_output(provider, model):
    """`with_structured_output` works unscripted."""
    assert isinstance(model.with_structured_output(Person).invoke("who?"), Person)


def test_batch_reaches_the_provider_once_each(provider, model):
    """A batch is as many requests as inputs."""
    assert len(model.batch(["a", "b", "c"])) == 3
    assert provider.count == 3


def test_agent_runs_its_tool_and_ends(provider, model):
    """An agent calls the scripted tool with the scripted arguments, then answers."""
    seen = []

    @tool
    def weather(city: str) -> str:
        """Weather of a city."""
        seen.append(city)
        return "rain"

    provider.reply(Reply(tool_calls=(ToolCall(name="weather", arguments={"city": "Bonn"}),)), "It rains.")
    agent = create_agent(model, [weather])
    done = agent.invoke({"messages": [{"role": "user", "content": "Weather in Bonn?"}]})
    assert (seen, done["messages"][-1].text, provider.count) == (["Bonn"], "It rains.", 2)


def test_embeddings_and_azure(provider):
    """OpenAIEmbeddings and AzureChatOpenAI work."""
    embedder = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=provider.openai_base_url,
        api_key="test",
        check_embedding_ctx_length=False,  # else it fetches a tokenizer
    )
    assert len(embedder.embed_documents(["a", "b"])) == 2
    azure = AzureChatOpenAI(
        azure_endpoint=provider.azure_endpoint, azure_deployment="prod", api_key="test", api_version="2024-10-21"
    )
    assert azure.invoke("hi").text
    assert provider.requests[-1].deployment == "prod"
