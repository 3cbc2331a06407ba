"""Embeddings, models, moderations and the Azure client against the loopback provider."""

import asyncio

import openai
import pytest

from agent_fuse.calls import Usage
from agent_fuse.testing import Reply


@pytest.fixture
def azure(provider):
    """The real Azure client."""
    with openai.AzureOpenAI(
        azure_endpoint=provider.azure_endpoint, api_key="test", api_version="2024-10-21", max_retries=0
    ) as made:
        yield made


def test_embeddings_as_floats_and_base64(provider, client):
    """Both encodings carry the same vectors: one an input, of length 1, equal only for equal inputs."""
    ask = {"model": "text-embedding-3-small", "input": ["a", "b", "a"], "dimensions": 32}
    plain = client.embeddings.create(**ask, encoding_format="float")
    packed = client.embeddings.create(**ask)  # the SDK asks for base64 by itself
    assert provider.requests[1].body["encoding_format"] == "base64"
    for one, other in zip(plain.data, packed.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert sum(value**2 for value in one.embedding) == pytest.approx(1)
    vectors = [tuple(one.embedding) for one in plain.data]
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == 32
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == 3


def test_embeddings_of_token_ids_count_each_id(provider, client):
    """Lists of token ids are one input each, and bill exactly their length."""
    single = client.embeddings.create(model="e", input=[1, 2, 3, 4])
    several = client.embeddings.create(model="e", input=[[1, 2, 3], [4, 5]])
    assert (len(single.data), single.usage.prompt_tokens) == (1, 4)
    assert (len(several.data), several.usage.prompt_tokens) == (2, 5)


def test_embeddings_with_scripted_usage(provider, client):
    """A reply's usage is what the embedding bills."""
    provider.reply(Reply(usage=Usage(input_tokens=8000)))
    assert client.embeddings.create(model="e", input="text").usage.total_tokens == 8000
    assert provider.served[0].usage.output_tokens == 0


def test_async_embeddings(provider):
    """The async client gets them too."""

    async def run():
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test") as client:
            return await client.embeddings.create(model="e", input="x")

    assert len(asyncio.run(run()).data) == 1


def test_models_and_moderations_are_no_model_requests(provider, client):
    """Listing models and moderating answer properly and count as nothing that costs."""
    assert "gpt-4o" in [model.id for model in client.models.list()]
    assert client.models.retrieve("ft:gpt-4o:org").id == "ft:gpt-4o:org"
    verdict = client.moderations.create(input=["fine", "also fine"])
    assert [result.flagged for result in verdict.results] == [False, False]
    assert verdict.results[0].categories.harassment_threatening is False
    assert (provider.count, len(provider.requests), provider.served) == (0, 3, [])


def test_azure_routes(provider, azure):
    """The Azure client's deployment routes answer, and the request tells deployment and api-version."""
    done = azure.chat.completions.create(model="my-gpt4o", messages=[{"role": "user", "content": "hi"}])
    assert done.choices[0].message.content
    assert azure.embeddings.create(model="my-embedder", input="x").data
    chunks = azure.chat.completions.create(
        model="my-gpt4o",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    assert list(chunks)[-1].usage.total_tokens == done.usage.total_tokens
    assert azure.responses.create(model="my-gpt4o", input="hi").output_text
    first = provider.requests[0]
    assert (first.deployment, first.model) == ("my-gpt4o", "my-gpt4o")
    assert first.path == "/openai/deployments/my-gpt4o/chat/completions"
    assert first.query == "api-version=2024-10-21"
    assert first.headers["api-key"] == "test"
    assert provider.count == 4


def test_azure_client_bound_to_a_deployment(provider):
    """A client made for one deployment names it in the path, and any model in the body."""
    with openai.AzureOpenAI(
        azure_endpoint=provider.azure_endpoint, azure_deployment="prod", api_key="test", api_version="2024-10-21"
    ) as azure:
        azure.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert (provider.requests[0].deployment, provider.requests[0].model) == ("prod", "gpt-4o")


def test_unknown_routes_are_404_and_posts_count(provider, client):
    """What it does not speak is a 404; an unknown POST still counts as a request that got out."""
    with pytest.raises(openai.NotFoundError, match="/v1/images/generations"):
        client.images.generate(model="gpt-image-1", prompt="a fuse")
    with pytest.raises(openai.NotFoundError):
        client.files.list()
    assert (provider.count, len(provider.requests)) == (1, 2)
