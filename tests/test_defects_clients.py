"""What the original drop-in client and LangChain handler got wrong, and what its README promises of them.

Defects by the numbers of the survey of the original package, 0.2.1: 1 the handler never blocks; 6 the client is no
drop-in; 7 a stream broken off costs nothing.
"""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

import agent_fuse
from agent_fuse import (
    ConfigurationError,
    Limit,
    SentinelBudgetExceeded,
    SentinelError,
    SentinelLoopError,
    SentinelSystemError,
)
from agent_fuse.calls import Status, Usage, to_nanos
from agent_fuse.integrations import (
    AgentFuseAnthropic,
    AgentFuseAzureOpenAI,
    AgentFuseCallbackHandler,
    AgentFuseOpenAI,
    AsyncAgentFuseAnthropic,
    AsyncAgentFuseAzureOpenAI,
    AsyncAgentFuseOpenAI,
)
from agent_fuse.otel import instrumentor
from agent_fuse.otel.opening import open_fuse
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import settings
from agent_fuse.testing import LedgerReader, LoopbackProvider, Reply, ToolCall, assert_books_balance
from alone import leave_nobody

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
USED = Usage(input_tokens=1000, output_tokens=500)
COST = to_nanos("0.0075")
"""USED at the price of gpt-4o."""


class Greeting(BaseModel):
    text: str


class Bench:
    """A provider, a fuse without any instrumentation, and its books."""

    def __init__(self, provider: LoopbackProvider, processor: AgentFuseSpanProcessor, folder: Path) -> None:
        self.provider = provider
        self._processor = processor
        self._folder = folder

    def use(self, **options: Any) -> LedgerReader:
        options = {"budget": 1, "session_id": "test", "db_path": str(self._folder / "ledger.db"), **options}
        options.setdefault("stream_usage", False)
        self._processor.use(open_fuse(settings({}, **options)))
        return self.books

    @property
    def books(self) -> LedgerReader:
        return LedgerReader(self._processor.fuse.ledger)

    def client(self, kind: Any = AgentFuseOpenAI, **options: Any) -> Any:
        options = {"api_key": "test", "max_retries": 0, **options}
        if issubclass(kind, openai.AzureOpenAI | openai.AsyncAzureOpenAI):
            return kind(azure_endpoint=self.provider.azure_endpoint, api_version="2024-10-21", **options)
        of_openai = issubclass(kind, openai.OpenAI | openai.AsyncOpenAI)
        return kind(base_url=self.provider.openai_base_url if of_openai else self.provider.url, **options)


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=USED) as provider:
        yield provider


@pytest.fixture
def bench(provider: LoopbackProvider, tmp_path: Path) -> Iterator[Bench]:
    leave_nobody()
    provider.reset()
    provider.default = Reply()
    processor = AgentFuseSpanProcessor(budget=1, db_path="memory://")
    one = Bench(provider, processor, tmp_path)
    one.use()
    yield one
    assert one.books.open_holds() == []
    assert_books_balance(one.books.ledger)
    processor.shutdown()
    one.books.ledger.close()


# 6. The client is a drop-in ------------------------------------------------------------------------------------------

CLIENTS = [
    (AgentFuseOpenAI, openai.OpenAI),
    (AsyncAgentFuseOpenAI, openai.AsyncOpenAI),
    (AgentFuseAzureOpenAI, openai.AzureOpenAI),
    (AsyncAgentFuseAzureOpenAI, openai.AsyncAzureOpenAI),
    (AgentFuseAnthropic, anthropic.Anthropic),
    (AsyncAgentFuseAnthropic, anthropic.AsyncAnthropic),
]


@pytest.mark.parametrize(("kind", "sdk"), CLIENTS, ids=lambda kind: kind.__name__)
def test_every_client_is_the_sdks_own(bench: Bench, kind: Any, sdk: Any) -> None:
    """It is an instance, no method is replaced, and with_options and copy give the same guarded class."""
    client = bench.client(kind)
    assert isinstance(client, sdk)
    for made in (client.with_options(timeout=3), client.copy(), client.with_options(max_retries=1).copy()):
        assert type(made) is kind
    own = {name for cls in kind.__mro__ if cls.__module__.startswith("agent_fuse") for name in vars(cls)}
    assert not {name for name in own if not name.startswith("_")}, "an SDK's method was replaced"


@pytest.mark.parametrize(("kind", "sdk"), CLIENTS, ids=lambda kind: kind.__name__)
def test_every_client_books_and_refuses(bench: Bench, kind: Any, sdk: Any) -> None:
    """A call through each client is booked at what the provider says, and refused when the budget is used up."""

    def call() -> Any:
        client = bench.client(kind)
        where = client.messages if hasattr(client, "messages") else client.chat.completions
        model = "claude-opus-4-6" if hasattr(client, "messages") else "gpt-4o"
        if "Async" not in kind.__name__:
            return where.create(model=model, max_tokens=500, messages=MESSAGES)

        async def run() -> Any:
            async with client:
                return await where.create(model=model, max_tokens=500, messages=MESSAGES)

        return asyncio.run(run())

    assert call().usage
    (entry,) = bench.books.entries()
    assert entry.status is Status.SETTLED
    assert (entry.input_tokens, entry.output_tokens) == (1000, 500)
    bench.use(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        call()
    assert bench.provider.count == 1


def ways(client: openai.OpenAI) -> dict[str, Any]:
    """Each way to call that the original breaks, or lets pass."""
    chat: Any = client.chat.completions
    said = ChatCompletion.model_validate(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "Hm."},
                    "logprobs": None,
                }
            ],
        }
    )
    told = {"include_usage": True}

    def with_stream() -> Any:
        with chat.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=told) as stream:
            return list(stream)

    def helper() -> Any:
        with chat.stream(model="gpt-4o", messages=MESSAGES, stream_options=told) as stream:
            return stream.get_final_completion()

    def streamed_raw() -> Any:
        with chat.with_streaming_response.create(model="gpt-4o", messages=MESSAGES) as response:
            return response.parse()

    return {
        "SDK message objects": lambda: chat.create(model="gpt-4o", messages=[*MESSAGES, said.choices[0].message]),
        "with stream": with_stream,
        "user stream_options": lambda: list(
            chat.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=told)
        ),
        "stream helper": helper,
        "parse": lambda: chat.parse(model="gpt-4o", messages=MESSAGES, response_format=Greeting),
        "with_raw_response": lambda: chat.with_raw_response.create(model="gpt-4o", messages=MESSAGES).parse(),
        "with_streaming_response": streamed_raw,
        "with_options": lambda: client.with_options(timeout=9).chat.completions.create(
            model="gpt-4o", messages=MESSAGES
        ),
        "responses": lambda: client.responses.create(model="gpt-4o", input="Say hello."),
        "completions": lambda: client.completions.create(model="gpt-4o", prompt="Say hello."),
    }


WAYS = list(ways(openai.OpenAI(api_key="test")))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_call_works_is_booked_and_refused(bench: Bench, way: str) -> None:
    """Each gives what the plain SDK gives, is booked once and exactly, and is refused without a request."""
    client = bench.client()
    plain = bench.client(openai.OpenAI)
    assert type(ways(client)[way]()) is type(ways(plain)[way]())
    assert bench.books.spent("session=test") == 2 * COST
    assert [entry.status for entry in bench.books.entries()] == [Status.SETTLED] * 2
    bench.use(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        ways(client)[way]()
    assert bench.provider.count == 2


def test_embeddings_are_calls(bench: Bench) -> None:
    """Embedding is booked and refused too; the original lets it pass."""
    bench.provider.default = Reply(usage=Usage(input_tokens=1_000_000, output_tokens=0))
    client = bench.client()
    assert client.embeddings.create(model="text-embedding-3-small", input=["hello"]).data
    assert bench.books.spent("session=test") == to_nanos("0.02")
    bench.use(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        client.embeddings.create(model="text-embedding-3-small", input=["hello"])
    assert bench.provider.count == 1


@pytest.mark.parametrize("way", ["create", "stream", "parse", "raw"])
def test_the_async_client(bench: Bench, way: str) -> None:
    """Each async way is booked exactly, and refused without a request."""

    async def call() -> Any:
        async with bench.client(AsyncAgentFuseOpenAI) as client:
            chat = client.chat.completions
            if way == "create":
                return await chat.create(model="gpt-4o", messages=MESSAGES)
            if way == "parse":
                return await chat.parse(model="gpt-4o", messages=MESSAGES, response_format=Greeting)
            if way == "raw":
                return (await chat.with_raw_response.create(model="gpt-4o", messages=MESSAGES)).parse()
            told = {"include_usage": True}
            async with await chat.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=told) as stream:
                return [chunk async for chunk in stream]

    assert asyncio.run(call())
    assert bench.books.spent("session=test") == COST
    bench.use(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        asyncio.run(call())
    assert bench.provider.count == 1


def test_free_requests_pass(bench: Bench) -> None:
    """What costs nothing is no call, also with nothing left."""
    bench.use(budget=0)
    assert bench.client().models.list().data
    assert bench.client().moderations.create(input="hello").results
    assert bench.books.entries() == []


def test_a_client_alone_guards(run_python: Any, provider: LoopbackProvider) -> None:
    """Nothing but the client: constructing it opens a fuse by AGENTFUSE_*, and the request gate stands."""
    script = """
import os, sys
os.environ.update(AGENTFUSE_BUDGET="0.02", AGENTFUSE_DB_PATH="memory://", AGENTFUSE_REQUEST_GATE="false")
import agent_fuse.integrations
assert not {"openai", "anthropic", "langchain_core"} & set(sys.modules), "importing the package loads a library"
from agent_fuse.integrations import AgentFuseOpenAI
from agent_fuse import SentinelBudgetExceeded, monitor

client = AgentFuseOpenAI(base_url=sys.argv[1], api_key="test")
try:
    for _ in range(9):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500)
except SentinelBudgetExceeded as trip:
    print(trip)
print(monitor().session_calls)
"""
    said = run_python(script, provider.openai_base_url).stdout.splitlines()
    assert said[0].startswith("call to gpt-4o refused before it was sent")
    assert said[1] == "2"


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [
        ("openai", "AgentFuseOpenAI", "openai"),
        ("openai", "AsyncAgentFuseAzureOpenAI", "openai"),
        ("anthropic", "AgentFuseAnthropic", "anthropic"),
        ("langchain_core", "AgentFuseCallbackHandler", "langchain"),
    ],
)
def test_a_missing_library_is_named(run_python: Any, library: str, name: str, extra: str) -> None:
    """Without the library, the import says in one line which extra to install."""
    script = f"""
import sys
sys.modules[{library!r}] = None
import agent_fuse.integrations
try:
    from agent_fuse.integrations import {name}
except ImportError as error:
    print(error)
"""
    assert run_python(script).stdout == f'{name} needs {extra}: pip install "agent-fuse[{extra}]"\n'


def test_a_client_that_cannot_guard_is_not_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the SDK's seams have moved, the drop-in refuses to be made rather than to be no guard."""
    monkeypatch.setitem(instrumentor.problems, "openai", "openai._base_client has no BaseClient._build_request")
    with pytest.raises(ConfigurationError, match=r"AgentFuseOpenAI cannot guard: openai\._base_client has no"):
        bench.client()
    bench.client(AgentFuseAnthropic)


def test_no_such_integration() -> None:
    """A name that is none is an AttributeError, as for every module."""
    import agent_fuse.integrations as integrations

    with pytest.raises(AttributeError, match="has no attribute 'AgentFuseCohere'"):
        integrations.AgentFuseCohere  # noqa: B018
    assert "AgentFuseOpenAI" in dir(integrations)


# 7. Streams that are broken off, or report no usage ------------------------------------------------------------------


def test_a_stream_broken_off_early_costs_its_quote(bench: Bench) -> None:
    """The original books $0 for it; here it is booked by estimate, and nothing stays held."""
    client = bench.client()
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=500, stream=True)
    next(iter(stream))
    stream.close()
    (entry,) = bench.books.entries()
    assert entry.status is Status.ESTIMATED
    assert entry.output_tokens == 500
    assert entry.cost >= 500 * to_nanos("0.00001")


def test_a_stream_that_nobody_reads_costs_its_quote(bench: Bench) -> None:
    """So does one that is dropped unread."""
    client = bench.client()
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=500, stream=True)
    del stream
    gc.collect()
    (entry,) = bench.books.entries()
    assert (entry.status, entry.output_tokens) == (Status.ESTIMATED, 500)


def test_a_stream_without_usage_is_counted(bench: Bench) -> None:
    """A stream read to its end whose usage was not asked for is booked by what came: tool calls and refusals too."""
    text = "The sea is wide and deep, and full of fish. " * 40
    bench.provider.default = Reply(text=text, tool_calls=(ToolCall(name="search", arguments={"q": "x" * 400}),))
    client = bench.client()
    list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=5000, stream=True))
    (entry,) = bench.books.entries()
    assert entry.status is Status.ESTIMATED
    written = len(text) + 400
    assert written / 5 <= (entry.output_tokens or 0) <= written / 3


def test_a_stream_of_a_model_that_hides_its_reasoning_is_booked_at_its_quote(bench: Bench) -> None:
    """What came is not all that is billed there: counting it would book too little."""
    client = bench.client()
    list(client.chat.completions.create(model="o3", messages=MESSAGES, max_completion_tokens=5000, stream=True))
    (entry,) = bench.books.entries()
    assert (entry.status, entry.output_tokens) == (Status.ESTIMATED, 5000)


def test_a_claude_stream_broken_off_keeps_its_true_input(bench: Bench) -> None:
    """Anthropic tells the input first: that much is exact even when the stream is left."""
    client = bench.client(AgentFuseAnthropic)
    stream = client.messages.create(model="claude-opus-4-6", max_tokens=500, messages=MESSAGES, stream=True)
    next(iter(stream))
    stream.close()
    (entry,) = bench.books.entries()
    assert (entry.status, entry.input_tokens, entry.output_tokens) == (Status.ESTIMATED, 1000, 500)


# 1. The LangChain handler blocks -------------------------------------------------------------------------------------


def chat(bench: Bench, **options: Any) -> ChatOpenAI:
    options = {"model": "gpt-4o", "max_tokens": 500, "max_retries": 0, **options}
    return ChatOpenAI(base_url=bench.provider.openai_base_url, api_key="test", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch", "stream", "astream", "chain", "retry"])
@pytest.mark.parametrize("place", ["model", "config"])
def test_the_handler_refuses(bench: Bench, way: str, place: str) -> None:
    """The trip reaches the caller of every way to call, with the handler on the model or in the config; 0 requests."""
    books = bench.use(budget="0.001")
    handler = AgentFuseCallbackHandler()
    model = chat(bench, callbacks=[handler] if place == "model" else None)
    config: Any = {"callbacks": [handler]} if place == "config" else {}

    async def read() -> Any:
        return [chunk async for chunk in model.astream("hello", config)]

    calls: dict[str, Any] = {
        "invoke": lambda: model.invoke("hello", config),
        "ainvoke": lambda: asyncio.run(model.ainvoke("hello", config)),
        "batch": lambda: model.batch(["one", "two"], config),
        "abatch": lambda: asyncio.run(model.abatch(["one", "two"], config)),
        "stream": lambda: list(model.stream("hello", config)),
        "astream": lambda: asyncio.run(read()),
        "chain": lambda: (RunnableLambda(str.upper) | model).invoke("hello", config),
        "retry": lambda: model.with_retry(wait_exponential_jitter=False).invoke("hello", config),
    }
    with pytest.raises(SentinelBudgetExceeded) as caught:
        calls[way]()
    assert caught.value.model == "gpt-4o"
    assert bench.provider.count == 0
    assert books.refused("session=test") >= 1
    if way == "retry":
        assert books.refused("session=test") == 1, "a retry loop swallowed the trip"


def test_the_handler_books_once(bench: Bench) -> None:
    """Two handlers, one on the model and one in the config, and the request gate: one call."""
    model = chat(bench, callbacks=[AgentFuseCallbackHandler()])
    assert model.invoke("hello", {"callbacks": [AgentFuseCallbackHandler(), AgentFuseCallbackHandler()]})
    assert bench.books.spent("session=test") == COST
    assert len(bench.books.entries()) == 1


def test_completions_of_several_prompts_are_one_call(bench: Bench) -> None:
    """LangChain starts a run for each prompt, and sends them in one request."""
    model = OpenAI(
        model="gpt-3.5-turbo-instruct",
        base_url=bench.provider.openai_base_url,
        api_key="test",  # type: ignore[arg-type]
        max_retries=0,
        callbacks=[AgentFuseCallbackHandler()],
    )
    assert len(model.generate(["hello", "world"]).generations) == 2
    assert bench.provider.count == 1
    (entry,) = bench.books.entries()
    assert (entry.status, entry.operation) == (Status.SETTLED, "text_completion")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_models_without_a_known_sdk_are_booked(bench: Bench, mode: str) -> None:
    """A model of any provider is refused by its messages, and booked by the usage_metadata that it reports."""
    told: Any = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
    model = GenericFakeChatModel(messages=iter([AIMessage("hi", usage_metadata=told)] * 3), name="fake")
    config: Any = {"callbacks": [AgentFuseCallbackHandler(default_model="gpt-4o")]}

    def call() -> Any:
        return model.invoke("hello", config) if mode == "sync" else asyncio.run(model.ainvoke("hello", config))

    assert call().content == "hi"
    (entry,) = bench.books.entries()
    assert (entry.status, entry.model, entry.cost) == (Status.SETTLED, "gpt-4o", COST)
    bench.use(budget="0.000001")
    with pytest.raises(SentinelBudgetExceeded):
        call()


def test_models_that_report_nothing_are_booked_by_quote(bench: Bench) -> None:
    """Without usage the quote stands, marked as an estimate; so it does for a failure that says nothing of a request."""
    config: Any = {"callbacks": [AgentFuseCallbackHandler()]}
    FakeListChatModel(responses=["hi"]).invoke("hello", config)
    (entry,) = bench.books.entries()
    assert entry.status is Status.ESTIMATED
    assert entry.cost > 0
    with pytest.raises(ValueError, match="broken"):
        GenericFakeChatModel(messages=raising(ValueError("broken"))).invoke("hello", config)
    assert len(bench.books.entries()) == 2
    with pytest.raises(ConnectionRefusedError):
        GenericFakeChatModel(messages=raising(ConnectionRefusedError())).invoke("hello", config)
    assert len(bench.books.entries()) == 2, "nothing was sent"


def raising(error: Exception) -> Iterator[AIMessage]:
    raise error
    yield AIMessage("")


def test_cached_answers_cost_nothing(bench: Bench) -> None:
    """An answer from LangChain's own cache made no request: one call is booked for two invokes."""
    from langchain_core.caches import InMemoryCache

    model = chat(bench, cache=InMemoryCache(), callbacks=[AgentFuseCallbackHandler()])
    assert model.invoke("hello").content == model.invoke("hello").content
    assert bench.provider.count == 1
    assert bench.books.spent("session=test") == COST


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_tools_are_stopped_before_their_body(bench: Bench, mode: str) -> None:
    """The sixth identical action trips before the tool runs; another argument is another action."""
    ran: list[str] = []

    @tool
    def search(query: str) -> str:
        """Search."""
        ran.append(query)
        return "nothing"

    config: Any = {"callbacks": [AgentFuseCallbackHandler()]}

    def call(query: str) -> Any:
        if mode == "sync":
            return search.invoke({"query": query}, config)
        return asyncio.run(search.ainvoke({"query": query}, config))

    for _ in range(5):
        assert call("python") == "nothing"
    with pytest.raises(SentinelLoopError) as caught:
        call("python")
    assert caught.value.signature == 'search|{"query": "python"}'
    assert (caught.value.call_count, ran) == (6, ["python"] * 5)
    assert call("rust") == "nothing"


def test_tool_results_and_errors_feed_the_loop_rule(bench: Bench) -> None:
    """Results that change are progress; the same error whatever the arguments is a loop."""
    count = iter(range(100))

    @tool
    def poll(job: str) -> str:
        """Poll."""
        return f"{next(count)} %"

    @tool
    def fetch(url: str) -> str:
        """Fetch."""
        raise RuntimeError("no route to host")

    config: Any = {"callbacks": [AgentFuseCallbackHandler()]}
    for _ in range(12):
        poll.invoke({"job": "build"}, config)
    for at in range(5):
        with pytest.raises(RuntimeError):
            fetch.invoke({"url": f"http://{at}"}, config)
    with pytest.raises(SentinelLoopError) as caught:
        fetch.invoke({"url": "http://again"}, config)
    assert caught.value.kind == "error"


def test_tool_calls_are_limited(bench: Bench) -> None:
    """A limit on tool calls stops the tool before its body."""

    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    bench.use(limits=(Limit(tool_calls=3),))
    config: Any = {"callbacks": [AgentFuseCallbackHandler()]}
    for at in range(3):
        assert add.invoke({"a": at, "b": 1}, config) == at + 1
    with pytest.raises(SentinelBudgetExceeded, match="3 tool calls"):
        add.invoke({"a": 9, "b": 1}, config)


def test_threads_of_langgraph_are_sessions(bench: Bench) -> None:
    """A thread_id in the run's metadata is the session; a key of the metadata is the key of a limit."""
    bench.use(budget=1, limits=(Limit(calls=2, per="tenant"),))
    model = chat(bench, callbacks=[AgentFuseCallbackHandler()])
    model.invoke("hello", {"metadata": {"thread_id": "t1", "tenant": "acme"}})
    model.invoke("hello", {"metadata": {"thread_id": "t2", "tenant": "acme"}})
    assert {entry.session for entry in bench.books.entries()} == {"t1", "t2"}
    assert bench.books.spent("session=t1") == COST
    with pytest.raises(SentinelBudgetExceeded, match="tenant 'acme'"):
        model.invoke("hello", {"metadata": {"tenant": "acme"}})
    assert bench.provider.count == 2


def test_only_trips_leave_the_handler(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """raise_error=True raises what a handler raises: a fault of ours must not be among it, any trip must."""
    handler: Any = AgentFuseCallbackHandler()
    assert isinstance(handler, BaseCallbackHandler)
    bench.use(budget=1, fail_safe=False)
    handler.on_chat_model_start({}, 3, run_id=None)
    assert "AgentFuse failed in judging a LangChain run; the call goes unjudged" in caplog.text
    bench.use(budget=1)
    with pytest.raises(SentinelSystemError, match="could not be judged: judging a LangChain run failed"):
        handler.on_chat_model_start({}, 3, run_id=None)
    bench.use(unknown_model="block")
    with pytest.raises(SentinelError, match="no-such-model"):
        chat(bench, model="no-such-model", callbacks=[handler]).invoke("hello")
    assert bench.provider.count == 0


@pytest.mark.parametrize("bad", ["", "  ", None, 3])
def test_the_handler_wants_a_name(bad: Any) -> None:
    """A default model that is no name fails at once, named."""
    with pytest.raises(ConfigurationError, match="default_model is"):
        AgentFuseCallbackHandler(default_model=bad)


# The original README's snippets --------------------------------------------------------------------------------------


@pytest.fixture
def original(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """`init(budget=…)` and clients with no arguments, as the README has them."""
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    monkeypatch.setenv("OPENAI_BASE_URL", bench.provider.openai_base_url)
    return bench


def test_readme_quick_start(original: Bench) -> None:
    """Change the import, init, and the client works the same; beyond the budget it raises."""
    from agent_fuse.integrations import AgentFuseOpenAI as OpenAI

    agent_fuse.init(budget=5.00, db_path="memory://")
    client = OpenAI()
    assert client.chat.completions.create(model="gpt-4o", messages=MESSAGES).choices[0].message.content
    assert agent_fuse.monitor().session_calls == 1
    agent_fuse.init(budget=0.005, db_path="memory://")
    with pytest.raises(SentinelBudgetExceeded):
        client.chat.completions.create(model="gpt-4o", max_tokens=1000, messages=MESSAGES)


def test_readme_streaming(original: Bench) -> None:
    """`stream=True` gives a stream, and it is booked."""
    agent_fuse.init(budget=10.00, db_path="memory://")
    client = AgentFuseOpenAI()
    response = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in response if chunk.choices)
    assert agent_fuse.monitor().session_spend_usd > 0


def test_readme_langchain(original: Bench) -> None:
    """The handler protects a ChatOpenAI."""
    agent_fuse.init(budget=5.00, db_path="memory://")
    llm = ChatOpenAI(model="gpt-4o", callbacks=[AgentFuseCallbackHandler()])
    assert llm.invoke("What is 2+2?").content
    assert agent_fuse.monitor().session_calls == 1
    agent_fuse.init(budget=0, db_path="memory://")
    with pytest.raises(SentinelBudgetExceeded):
        llm.invoke("What is 2+2?")
    assert original.provider.count == 1
