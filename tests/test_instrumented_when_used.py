"""`init()` turns the installed instrumentations on when their libraries are used, and imports nothing that is not."""

from collections.abc import Callable
from typing import Any

import pytest

from agent_fuse.testing import LoopbackProvider

SPANS = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
import agent_fuse

def spans():
    found = [span.name for span in exporter.get_finished_spans()]
    exporter.clear()
    return found

def chat():
    import openai
    client = openai.OpenAI(base_url=sys.argv[1], api_key="test")
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    return client
"""
GUARD = "agent_fuse.init(budget=1, db_path='memory://')\n"


@pytest.fixture(scope="module")
def url() -> Any:
    with LoopbackProvider() as provider:
        yield provider.openai_base_url


BEFORE_OR_AFTER = {
    "the SDK first": "import openai\n" + GUARD,
    "the guard first": GUARD,
    "the instrumentation first, off": "import opentelemetry.instrumentation.openai\n" + GUARD,
    "the instrumentation after, off": GUARD + "from opentelemetry.instrumentation.openai import OpenAIInstrumentor\n",
    "the instrumentation first, on": (
        "from opentelemetry.instrumentation.openai import OpenAIInstrumentor as I; I().instrument()\n" + GUARD
    ),
    "guarded twice": GUARD + GUARD,
}


@pytest.mark.parametrize("set_up", BEFORE_OR_AFTER.values(), ids=BEFORE_OR_AFTER)
def test_a_chat_makes_one_span_in_every_order(run_python: Callable[..., Any], url: str, set_up: str) -> None:
    """Whoever is imported first, the instrumentation is on when the first call is made, and once."""
    run_python(f"{SPANS}{set_up}chat()\nassert spans() == ['openai.chat'], spans()", url)


def test_every_part_is_wrapped_when_it_is_imported(run_python: Callable[..., Any], url: str) -> None:
    """Chat, responses, embeddings, completions and images, sync and async: each makes its span at the first use."""
    script = """
import asyncio, openai
client = chat()
assert spans() == ["openai.chat"]
assert not {"openai.resources.images", "openai.resources.beta", "openai.types.beta.threads"} & set(sys.modules)
client.responses.create(model="gpt-4o", input="hi")
client.embeddings.create(model="text-embedding-3-small", input="hi")
client.completions.create(model="davinci-002", prompt="hi")
assert spans() == ["openai.response", "openai.embeddings", "openai.completion"]

async def more():
    async with openai.AsyncOpenAI(base_url=sys.argv[1], api_key="test") as client:
        await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        await client.embeddings.create(model="text-embedding-3-small", input="hi")
asyncio.run(more())
assert spans() == ["openai.chat", "openai.embeddings"]
assert hasattr(type(client.images).generate, "__wrapped__")
"""
    run_python(SPANS + GUARD + script, url)


def test_assistants_are_wrapped_by_the_instrumentations_own(run_python: Callable[..., Any], url: str) -> None:
    """What stands for them while the instrumentation is imported gives way to them at the first assistant."""
    script = """
import openai
assistants = openai.OpenAI(base_url=sys.argv[1], api_key="test").beta.assistants
assert hasattr(type(assistants).create, "__wrapped__")
assert "opentelemetry.instrumentation.openai.v1.assistant_wrappers" not in sys.modules
class Made:
    id = "asst_1"
assistants._post = lambda *args, **options: Made
assistants.create(model="gpt-4o", instructions="help")
from opentelemetry.instrumentation.openai.v1 import assistant_wrappers
assert assistant_wrappers.assistants == {"asst_1": {"model": "gpt-4o", "instructions": "help"}}
"""
    run_python(SPANS + GUARD + script, url)


def test_taken_off_it_stays_off(run_python: Callable[..., Any], url: str) -> None:
    """Parts that are imported after the user took the instrumentation off are not wrapped, on again they are."""
    script = """
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().uninstrument()
chat()
assert spans() == [], spans()
OpenAIInstrumentor().instrument()
chat().embeddings.create(model="text-embedding-3-small", input="hi")
assert spans() == ["openai.chat", "openai.embeddings"]
"""
    run_python(SPANS + GUARD + script, url)


def test_another_release_is_turned_on_as_a_whole(run_python: Callable[..., Any], url: str) -> None:
    """Where it wraps in another way, or wants more of its parts than we know, it is imported as it is."""
    for change in (
        "import opentelemetry.instrumentation.openai.v1 as parts\nparts.wrap = parts.wrap_function_wrapper",
        "from agent_fuse.otel import openai_spans\ndel openai_spans._Later.__getattr__",
    ):
        run_python(f"{SPANS}{change}\n{GUARD}chat()\nassert spans() == ['openai.chat'], spans()", url)


def test_a_shut_guard_turns_nothing_on(run_python: Callable[..., Any], url: str) -> None:
    """A process whose guard was shut down before the SDK came makes no spans for it."""
    run_python(SPANS + f"one = {GUARD}one.shutdown()\nchat()\nassert spans() == []", url)


LANGCHAIN = """
from langchain_core.language_models.fake_chat_models import FakeListChatModel
FakeListChatModel(responses=["hello"]).invoke("hi")
assert spans(), "no span"
"""


@pytest.mark.parametrize("first", ["", "import langchain_core.runnables\n"], ids=["the guard first", "LangChain first"])
def test_langchain_makes_spans_on_the_guards_own_provider(run_python: Callable[..., Any], first: str) -> None:
    """Also where there is no global provider: the private one of `init()` has them."""
    script = SPANS.replace("trace.set_tracer_provider(provider)\n", "")
    script += "import agent_fuse.api\nagent_fuse.api._private = provider\n"
    run_python(first + script + GUARD + LANGCHAIN)
