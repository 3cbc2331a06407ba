"""Small scenes in which others call us: every seam, as a host really uses it."""

import asyncio
import gc
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from multiprocessing.pool import ThreadPool
from types import FunctionType
from typing import Any
from uuid import uuid4

import aiohttp
import anthropic
import httpx
import openai
import requests
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from opentelemetry import context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import check_loop, guard, loop_guard
from agent_fuse.accounting.actions import UNDER_WAY
from agent_fuse.calls import Status, Usage
from agent_fuse.errors import SentinelError
from agent_fuse.integrations import AgentFuseCallbackHandler
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Ledger
from agent_fuse.manual import calls, pre_post_flight
from agent_fuse.manual.loop_guards import _LAST
from agent_fuse.otel import opening
from agent_fuse.otel.open_spans import CURRENT_FRAME
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import settings
from agent_fuse.testing import LoopbackProvider, Reply

USED = Usage(input_tokens=1000, output_tokens=500)
ANSWER = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}, "id": "by-hand", "model": "gpt-4o"}
TEXT = "Hello."
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 600}
MESSAGE: dict[str, Any] = {"model": "claude-opus-4-6", "messages": MESSAGES, "max_tokens": 600}


class Rig:
    """A processor, its ledger, the provider that is called, and clients of every kind."""

    def __init__(self, provider: LoopbackProvider, folder: Any) -> None:
        self.provider = provider
        self._folder = folder
        self._made = 0
        self._since = 0.0
        self.functions: list[FunctionType] = []
        """Of ours, which were there before the first scene."""
        self.runner = asyncio.Runner()
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracing = TracerProvider(shutdown_on_exit=False)
        self.ledger: Ledger = open_ledger("memory://")
        self._end = self.ledger.close
        self.processor = AgentFuseSpanProcessor(budget=5, db_path="memory://", meter_provider=self.meters)
        self.tracing.add_span_processor(self.processor)
        at = {"api_key": "test", "max_retries": 0}
        self.openai = openai.OpenAI(base_url=provider.openai_base_url, **at)
        self.aopenai = openai.AsyncOpenAI(base_url=provider.openai_base_url, **at)
        self.anthropic = anthropic.Anthropic(base_url=provider.anthropic_base_url, **at)
        self.handler = AgentFuseCallbackHandler()
        self.session = ""
        self.chat = ChatOpenAI(base_url=provider.openai_base_url, api_key="test", model="gpt-4o", max_retries=0)  # type: ignore[arg-type]

    def renew(self) -> None:
        """A ledger of its own, on disk. Fuses that retire leave it open: the next one is on it."""
        self._end()
        self._made += 1
        self.ledger = open_ledger(f"{self._folder}/ledger{self._made}.db")
        self._end, self.ledger.close = self.ledger.close, lambda: None  # type: ignore[method-assign]

    def fresh(self, **options: Any) -> None:
        """A fuse that remembers nothing, on the same ledger, in a session of its own."""
        real = opening.open_ledger
        opening.open_ledger = lambda *_, **__: self.ledger  # type: ignore[assignment]
        try:
            self.session = uuid4().hex
            given = {"budget": "0.5", "db_path": "memory://", "session_id": self.session, **options}
            self.processor.use(opening.open_fuse(settings({}, **given)))
        finally:
            opening.open_ledger = real
        self.again()

    def again(self) -> None:
        """The same fuse, in a context that nothing was left in."""
        self._since = time.time()
        self.processor.gates.nodes._nodes.clear()
        self.processor.gates.nodes.settle_dropped()
        self.provider.reset()
        context.attach(context.Context())
        for variable, value in ((CURRENT_FRAME, None), (UNDER_WAY, None), (_LAST, None), (calls._OPEN, ())):
            variable.set(value)  # type: ignore[attr-defined]
        pre_post_flight._pending.renew()

    def booked(self) -> list[tuple[Any, ...]]:
        """What the journal says since the fuse is there, without ids and times."""
        lines = list(self.ledger.journal(since=self._since))
        told = [one.cost if one.status is Status.SETTLED else 0 for one in lines]  # estimates learn from call to call
        return sorted(
            (one.status, one.operation, one.tool, one.model, cost, one.reason)
            for one, cost in zip(lines, told, strict=True)
        )

    def close(self) -> None:
        self.processor.shutdown()
        self.runner.run(self.aopenai.close())
        self.runner.close()
        self.openai.close()
        self.anthropic.close()
        self.tracing.shutdown()
        self.meters.shutdown()
        self._end()


Run = Callable[[Rig], object]


@dataclass(frozen=True)
class Scene:
    """One use of a seam. `run` gives what the host gets."""

    name: str
    run: Run
    options: dict[str, Any] = field(default_factory=dict)
    refused: bool = False
    """A limit refuses it, and must whatever fails."""
    tight: bool = False
    """A limit admits it in another form alone, and refuses it where that cannot be."""


SCENES: list[Scene] = []


def scene(**options: Any) -> Callable[[Run], Run]:
    """Register a scene under the function's name."""
    refused, tight = options.pop("refused", False), options.pop("tight", False)

    def register(run: Run) -> Run:
        SCENES.append(Scene(run.__name__, run, options, refused, tight))
        return run

    return register


# The request gate -----------------------------------------------------------------------------------------------------


@scene()
def sdk_call(rig: Rig) -> object:
    return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene()
def sdk_async_call(rig: Rig) -> object:
    answer: Any = rig.runner.run(rig.aopenai.chat.completions.create(**CHAT))
    return answer.choices[0].message.content


@scene()
def sdk_stream(rig: Rig) -> object:
    stream: Any = rig.openai.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
    return "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices)


@scene()
def sdk_stream_without_usage(rig: Rig) -> object:
    stream: Any = rig.openai.chat.completions.create(**CHAT, stream=True)
    return "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices)


@scene()
def sdk_stream_broken_off(rig: Rig) -> object:
    stream: Any = rig.openai.chat.completions.create(**CHAT, stream=True)
    first = next(stream)
    stream.close()
    return bool(first.id)


@scene()
def sdk_stream_dropped(rig: Rig) -> object:
    begun = next(rig.openai.chat.completions.create(**CHAT, stream=True)).id != ""
    gc.collect()
    return begun


@scene()
def sdk_async_stream(rig: Rig) -> object:
    async def run() -> str:
        stream: Any = await rig.aopenai.chat.completions.create(
            **CHAT, stream=True, stream_options={"include_usage": True}
        )
        return "".join([piece.choices[0].delta.content or "" async for piece in stream if piece.choices])

    return rig.runner.run(run())


@scene()
def sdk_raw_answer(rig: Rig) -> object:
    raw = rig.openai.chat.completions.with_raw_response.create(**CHAT)
    return raw.status_code, raw.parse().choices[0].message.content


@scene()
def sdk_streaming_answer(rig: Rig) -> object:
    with rig.openai.chat.completions.with_streaming_response.create(**CHAT) as raw:
        return raw.status_code, b"choices" in raw.read()


@scene()
def sdk_retry(rig: Rig) -> object:
    rig.provider.reply(Reply(status=500, headers={"retry-after-ms": "1"}), Reply(text=TEXT))
    return rig.openai.with_options(max_retries=1).chat.completions.create(**CHAT).choices[0].message.content


@scene()
def sdk_error(rig: Rig) -> object:
    rig.provider.reply(Reply(status=400))
    try:
        return rig.openai.chat.completions.create(**CHAT)
    except openai.BadRequestError as error:
        return error.status_code


@scene()
def sdk_responses(rig: Rig) -> object:
    return rig.openai.responses.create(model="gpt-4o", input="Say hello.", max_output_tokens=600).output_text


@scene()
def sdk_embeddings(rig: Rig) -> object:
    return len(rig.openai.embeddings.create(model="text-embedding-3-small", input="hello").data)


@scene()
def sdk_free_request(rig: Rig) -> object:
    return rig.openai.models.list().object


@scene()
def anthropic_call(rig: Rig) -> object:
    answer: Any = rig.anthropic.messages.create(**MESSAGE)
    return answer.content[0].text


@scene()
def anthropic_stream(rig: Rig) -> object:
    with rig.anthropic.messages.stream(**MESSAGE) as stream:
        return "".join(stream.text_stream)


@scene(refused=True, budget="0.000001")
def sdk_refused(rig: Rig) -> object:
    return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene(refused=True, budget="0.000001")
def sdk_refused_under_langchain(rig: Rig) -> object:
    return rig.chat.invoke("Say hello.").content


@scene(tight=True, limits=agent_fuse.Limit(output_tokens=500), on_tight="clamp")
def sdk_clamped(rig: Rig) -> object:
    with agent_fuse.session(uuid4().hex):
        return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene(tight=True, limits=agent_fuse.Limit(usd="0.0055"), on_tight="downgrade", downgrade={"gpt-4o": "gpt-4.1"})
def sdk_downgraded(rig: Rig) -> object:
    with agent_fuse.session(uuid4().hex):
        return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene(limits=agent_fuse.Limit(output_tokens=10**6))
def sdk_stream_that_outgrows_its_hold(rig: Rig) -> object:
    rig.provider.reply(Reply(text="word " * 2_000))
    stream: Any = rig.openai.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    return "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices)


@scene(warn_at=(0.001,), on_warning=lambda _: None)
def sdk_with_warning(rig: Rig) -> object:
    return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene(warn_at=(0.0001,), tell_model=True)
def sdk_whose_model_is_told(rig: Rig) -> object:
    return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene(warn_at=(0.001,), on_warning=lambda _: None, limits=agent_fuse.Limit(tokens=10**6, per="user.id"))
def sdk_in_a_session(rig: Rig) -> object:
    with agent_fuse.session("inner", budget=100, user_id="ann"):
        return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene()
def sdk_in_threads(rig: Rig) -> object:
    def ask(_: object = None) -> Any:
        return rig.openai.chat.completions.create(**CHAT).choices[0].message.content

    with agent_fuse.session(uuid4().hex):
        headers = agent_fuse.session_headers()
    with agent_fuse.session_from(headers):
        said: list[Any] = []
        thread = threading.Thread(target=lambda: said.append(trip_of(ask)))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            said.append(pool.submit(trip_of, ask).result())
        with ThreadPool(1) as old:
            said += old.map(trip_of, [ask])
    trips = [one for one in said if isinstance(one, SentinelError)]
    if trips:
        raise trips[0]
    return said


def trip_of(work: Callable[[], Any]) -> Any:
    """What the work gives, or the trip that it raised: a thread has nobody to raise it to."""
    try:
        return work()
    except SentinelError as trip:
        return trip


# The wire gate --------------------------------------------------------------------------------------------------------

GEMINI: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Say hello."}]}],
    "tools": [{"functionDeclarations": [{"name": "search"}]}],
    "generationConfig": {"maxOutputTokens": 600},
}


def _wire(rig: Rig, path: str) -> str:
    return f"{rig.provider.url}{path}"


@scene(endpoints=("gateway.internal",))
def wire_call(rig: Rig) -> object:
    with httpx.Client() as client:
        answer = client.post(_wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent"), json=GEMINI)
    return answer.json()["candidates"][0]["content"]["parts"][0]["text"]


@scene()
def wire_async_call(rig: Rig) -> object:
    async def run() -> object:
        async with httpx.AsyncClient() as client:
            body = {"model": "command-r-plus-08-2024", "messages": MESSAGES, "max_tokens": 600}
            return (await client.post(_wire(rig, "/v2/chat"), json=body)).json()["finish_reason"]

    return rig.runner.run(run())


@scene()
def wire_stream(rig: Rig) -> object:
    url = _wire(rig, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    with httpx.Client() as client, client.stream("POST", url, json=GEMINI) as answer:
        return b"".join(answer.iter_bytes()).endswith(b"\n\n")


@scene()
def wire_lines(rig: Rig) -> object:
    body = {"model": "llama3.2", "messages": MESSAGES, "options": {"num_predict": 600}}
    with httpx.Client() as client, client.stream("POST", _wire(rig, "/api/chat"), json=body) as answer:
        return len(list(answer.iter_lines())) > 1


CONVERSE: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": "Say hello."}]}],
    "inferenceConfig": {"maxTokens": 600},
}


@scene()
def wire_requests(rig: Rig) -> object:
    answer = requests.post(_wire(rig, "/model/amazon.nova-lite-v1:0/converse"), json=CONVERSE, timeout=20)
    return answer.json()["stopReason"]


@scene()
def wire_requests_stream(rig: Rig) -> object:
    url = _wire(rig, "/model/amazon.nova-lite-v1:0/converse-stream")
    with requests.post(url, json=CONVERSE, stream=True, timeout=20) as answer:
        return len(b"".join(answer.iter_content(99))) > 99


@scene()
def wire_requests_read(rig: Rig) -> object:
    url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
    with requests.post(url, data=iter([json.dumps(GEMINI).encode()]), stream=True, timeout=20) as answer:
        return len(answer.raw.read()) > 99


@scene(refused=True, budget="0.000001")
def wire_requests_refused(rig: Rig) -> object:
    url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
    return requests.post(url, json=GEMINI, timeout=20).status_code


@scene()
def wire_urllib(rig: Rig) -> object:
    url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
    with urllib.request.urlopen(url, json.dumps(GEMINI).encode(), timeout=20) as answer:
        return len(answer.read()) > 99


@scene()
def wire_urllib_stream(rig: Rig) -> object:
    url = _wire(rig, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    with urllib.request.urlopen(url, iter([json.dumps(GEMINI).encode()]), timeout=20) as answer:
        return len(b"".join([next(answer), answer.read1(5), *answer])) > 99


@scene()
def wire_http_client(rig: Rig) -> object:
    buffer = bytearray(9_999)
    with closing(HTTPConnection("127.0.0.1", rig.provider.port, timeout=20)) as connection:
        connection.request("POST", "/v1beta/models/gemini-2.5-flash:generateContent", json.dumps(GEMINI))
        return connection.getresponse().readinto(buffer) > 99


@scene(refused=True, budget="0.000001")
def wire_urllib_refused(rig: Rig) -> object:
    url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
    with urllib.request.urlopen(url, json.dumps(GEMINI).encode(), timeout=20) as answer:
        return answer.status


@scene()
def wire_aiohttp(rig: Rig) -> object:
    async def run() -> object:
        url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
        async with aiohttp.ClientSession() as session, session.post(url, json=GEMINI) as answer:
            return (await answer.json())["candidates"][0]["content"]["parts"][0]["text"]

    return rig.runner.run(run())


@scene(refused=True, budget="0.000001")
def wire_aiohttp_refused(rig: Rig) -> object:
    async def run() -> object:
        url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
        async with aiohttp.ClientSession() as session, session.post(url, data=json.dumps(GEMINI)) as answer:
            return answer.status

    return rig.runner.run(run())


@scene()
def wire_free_request(rig: Rig) -> object:
    with httpx.Client() as client:
        return client.post(_wire(rig, "/v1beta/models/gemini-2.5-flash:countTokens"), json=GEMINI).status_code


@scene(refused=True, budget="0.000001")
def wire_refused(rig: Rig) -> object:
    with httpx.Client() as client:
        url = _wire(rig, "/v1beta/models/gemini-2.5-flash:generateContent")
        return client.post(url, json=GEMINI).status_code


# Spans ----------------------------------------------------------------------------------------------------------------

_CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
_TOLD = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500, "gen_ai.response.id": "span"}
_TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


@contextmanager
def spans(rig: Rig, scope: str, name: str, attributes: Any) -> Iterator[Any]:
    with rig.tracing.get_tracer(scope).start_as_current_span(name, attributes=attributes) as span:
        yield span


@scene(request_gate=False)
def span_of_a_call(rig: Rig) -> object:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.conversation.id": rig.session}
    with (
        spans(rig, "opentelemetry.instrumentation.genai.openai", "invoke_agent a", agent),
        spans(rig, "opentelemetry.instrumentation.genai.openai", "chat gpt-4o", _CALL) as span,
    ):
        span.set_attributes(_TOLD)
    return len(span.attributes) >= len(_CALL) + len(_TOLD)


@scene(request_gate=False)
def span_that_failed(rig: Rig) -> object:
    try:
        with spans(rig, "opentelemetry.instrumentation.genai.openai", "chat gpt-4o", _CALL):
            raise TimeoutError  # noqa: TRY301  where the host's own code fails
    except TimeoutError as error:
        return type(error).__name__


@scene(request_gate=False)
def span_that_was_dropped(rig: Rig) -> object:
    span = rig.tracing.get_tracer("opentelemetry.instrumentation.genai.openai").start_span("chat", attributes=_CALL)
    return span.is_recording()


@scene(request_gate=False)
def span_with_late_facts(rig: Rig) -> object:
    with spans(rig, "opentelemetry.instrumentation.anthropic", "anthropic.chat", {"llm.request.type": "chat"}) as span:
        span.set_attribute("gen_ai.request.model", "claude-sonnet-4-5")
        span.set_attribute("gen_ai.prompt.0.content", "Say hello.")
        span.set_attributes(_TOLD)
    return len(span.attributes) >= len(_TOLD)


@scene(request_gate=False)
def span_made_afterwards(rig: Rig) -> object:
    with spans(
        rig, "opentelemetry.instrumentation.openai.v1", "openai.response", {"gen_ai.request.model": "gpt-4o"}
    ) as span:
        span.set_attributes(_TOLD)
    return len(span.attributes) >= len(_TOLD)


@scene(request_gate=False)
def span_of_a_tool(rig: Rig) -> object:
    with spans(rig, "opentelemetry.instrumentation.genai.openai", "execute_tool search", _TOOL) as span:
        span.set_attribute("gen_ai.tool.call.arguments", '{"q": 1}')
        span.set_attribute("gen_ai.tool.call.result", "found")
    return span.attributes["gen_ai.tool.name"]


@scene(request_gate=False)
def span_of_a_tool_with_late_arguments(rig: Rig) -> object:
    with spans(rig, "opentelemetry.instrumentation.langchain", "search.tool", {"traceloop.span.kind": "tool"}) as span:
        span.set_attribute("traceloop.entity.input", '{"inputs": {"q": 1}}')
        span.set_attribute("traceloop.entity.output", '{"output": "found"}')
    return span.name


@scene(request_gate=False)
def span_recognised_at_its_end(rig: Rig) -> object:
    with spans(rig, "openinference.instrumentation.langchain", "ChatModel", {}) as span:
        span.set_attributes(
            {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 1000,
             "llm.token_count.completion": 500}
        )  # fmt: skip
    return span.name


@scene(request_gate=False, endpoints=("models.internal",))
def span_of_an_http_client(rig: Rig) -> object:
    attributes = {"http.request.method": "POST", "url.full": "http://models.internal/v1/chat/completions"}
    with spans(rig, "opentelemetry.instrumentation.httpx", "POST", attributes) as span:
        span.set_attribute("http.response.status_code", 200)
    return span.name


@scene(request_gate=False)
def span_of_something_else(rig: Rig) -> object:
    with spans(rig, "opentelemetry.instrumentation.flask", "GET /", {"http.method": "GET"}) as span:
        span.set_attribute("http.status_code", 200)
    return span.name


@scene(refused=True, request_gate=False, budget="0.000001")
def span_refused(rig: Rig) -> object:
    with spans(
        rig, "opentelemetry.instrumentation.genai.openai", "chat gpt-4o", {**_CALL, "gen_ai.request.max_tokens": 600}
    ):
        return "sent"


@scene(refused=True, request_gate=False, budget="0.000001")
def span_refused_late(rig: Rig) -> object:
    with spans(
        rig,
        "opentelemetry.instrumentation.google_generativeai",
        "gemini.generate_content",
        {"gen_ai.request.model": "gemini-2.5-pro"},
    ) as span:
        span.set_attribute("gen_ai.prompt.0.content", "Say hello.")
        return "sent"


# LangChain ------------------------------------------------------------------------------------------------------------


@tool
def search(q: str) -> str:
    """Find something."""
    return f"found {q}"


@scene()
def langchain_model(rig: Rig) -> object:
    return rig.chat.invoke(
        "Say hello.", {"callbacks": [rig.handler], "metadata": {"thread_id": rig.session, "lc_agent_name": "a"}}
    ).content


@scene()
def langchain_async_stream(rig: Rig) -> object:
    async def run() -> str:
        pieces = rig.chat.astream("Say hello.", {"callbacks": [rig.handler]})
        return "".join([str(piece.content) async for piece in pieces])

    return rig.runner.run(run())


@scene()
def langchain_error(rig: Rig) -> object:
    rig.provider.reply(Reply(status=400))
    try:
        return rig.chat.invoke("Say hello.", {"callbacks": [rig.handler]})
    except openai.BadRequestError as error:
        return error.status_code


@scene()
def langchain_tool(rig: Rig) -> object:
    return search.invoke({"q": "x"}, {"callbacks": [rig.handler]})


@scene(refused=True, budget="0.000001")
def langchain_refused(rig: Rig) -> object:
    return rig.chat.invoke("Say hello.", {"callbacks": [rig.handler]}).content


# By hand --------------------------------------------------------------------------------------------------------------


@guard(model="gpt-4o")
def guarded(messages: Any) -> Any:
    return {**ANSWER, "said": messages[0]["content"]}


@guard
async def guarded_async(messages: Any, model: str = "gpt-4o") -> Any:
    return ANSWER


@guard(model="gpt-4o")
def guarded_generator(prompt: str) -> Iterator[Any]:
    yield {"choices": [prompt]}
    yield ANSWER


@guard(model="gpt-4o")
async def guarded_async_generator(prompt: str) -> Any:
    yield {"choices": [prompt]}
    yield ANSWER


@guard(model="gpt-4o")
def guarded_error() -> None:
    raise TimeoutError


@loop_guard("search")
def looked_up(q: str) -> str:
    return f"found {q}"


@loop_guard()
async def looked_up_async(q: str) -> str:
    raise LookupError(q)


@scene()
def by_guard(rig: Rig) -> object:
    return guarded(MESSAGES)["said"]


@scene()
def by_async_guard(rig: Rig) -> object:
    return rig.runner.run(guarded_async(MESSAGES))["id"]


@scene()
def by_generator(rig: Rig) -> object:
    return len(list(guarded_generator("Say hello.")))


@scene()
def by_async_generator(rig: Rig) -> object:
    async def run() -> int:
        return len([one async for one in guarded_async_generator("Say hello.")])

    return rig.runner.run(run())


@scene()
def by_guard_with_an_error(rig: Rig) -> object:
    try:
        return guarded_error()
    except TimeoutError as error:
        return type(error).__name__


@scene()
def by_block(rig: Rig) -> object:
    with agent_fuse.call("gpt-4o", messages=MESSAGES) as call:
        call.response(ANSWER)
    return "done"


@scene()
def by_async_block(rig: Rig) -> object:
    async def run() -> str:
        async with agent_fuse.call("gpt-4o", 1000, 500) as call:
            call.usage(1000, 500)
        return "done"

    return rig.runner.run(run())


@scene()
def by_pair(rig: Rig) -> object:
    agent_fuse.pre_flight("gpt-4o", messages=MESSAGES)
    agent_fuse.post_flight("gpt-4o", 1000, 500, {"response_id": "x"})
    return "done"


@scene()
def by_release(rig: Rig) -> object:
    agent_fuse.pre_flight("gpt-4o", 1000, 500).release()
    return "done"


@scene()
def by_late_pair(rig: Rig) -> object:
    agent_fuse.post_flight("gpt-4o", 1000, 500)
    return "done"


@scene()
def by_request_inside(rig: Rig) -> object:
    with agent_fuse.call("gpt-4o", messages=MESSAGES):
        return rig.openai.chat.completions.create(**CHAT).choices[0].message.content


@scene()
def by_check(rig: Rig) -> object:
    check_loop("search", {"q": [1, {"two": 3.0}]})
    return "done"


@scene(limits=agent_fuse.Limit(tool_calls=100))
def by_tool(rig: Rig) -> object:
    return looked_up("x")


@scene(loop_threshold=3)
def by_tool_near_a_loop(rig: Rig) -> object:
    with agent_fuse.session(uuid4().hex):
        return [looked_up("x") for _ in range(3)]


@scene(refused=True, loop_threshold=1, limits=agent_fuse.Limit(calls=10))
def by_tool_in_a_loop(rig: Rig) -> object:
    with agent_fuse.session(uuid4().hex):
        return [looked_up("x") for _ in range(2)]


@scene()
def by_async_tool(rig: Rig) -> object:
    try:
        return rig.runner.run(looked_up_async("x"))
    except LookupError as error:
        return error.args[0]


@scene(refused=True, budget="0.000001")
def by_guard_refused(rig: Rig) -> object:
    return guarded(MESSAGES)["said"]


@scene(refused=True, limits=agent_fuse.Limit(tool_calls=0))
def by_tool_refused(rig: Rig) -> object:
    return looked_up("x")


# Metrics --------------------------------------------------------------------------------------------------------------


@scene(warn_at=(0.001,))
def metrics_are_collected(rig: Rig) -> object:
    agent_fuse.pre_flight("gpt-4o", 1000, 500)
    agent_fuse.post_flight("gpt-4o", 1000, 500)
    return rig.reader.get_metrics_data() is not None or "collected"
