"""A loopback provider, and the SDKs' clients pointed at it."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from agent_fuse.testing import LoopbackProvider


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    """A running provider of the test's own."""
    with LoopbackProvider() as running:
        yield running


@pytest.fixture
def client(provider: LoopbackProvider) -> Iterator[openai.OpenAI]:
    """The real OpenAI client, without retries."""
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(provider: LoopbackProvider) -> Iterator[anthropic.Anthropic]:
    """The real Anthropic client, without retries."""
    with anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="test", max_retries=0) as made:
        yield made
