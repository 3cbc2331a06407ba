"""Recipes for golden spans: for each dialect, the real package is turned on and called.

Imports are inside the functions: no environment holds all packages.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

from agent_fuse.calls import Usage
from agent_fuse.testing import Reply, ToolCall
from spans.recorder import Session

TOLD = Usage(input_tokens=1117, output_tokens=233, cache_read_tokens=512, reasoning_tokens=100)
CLAUDE_TOLD = Usage(input_tokens=2117, output_tokens=233, cache_read_tokens=512, cache_write_tokens=300)
EMBEDDED = Usage(input_tokens=1117, output_tokens=0)
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
GPT, CLAUDE, EMBEDDER = "gpt-4o", "claude-opus-4-6", "text-embedding-3-small"

ANSWER = Reply(usage=TOLD, text="Hello there, this is the world speaking to you in a few words.")
CLAUDE_ANSWER = Reply(usage=CLAUDE_TOLD, text="Hello there, this is the world speaking to you in a few words.")
TOO_MANY = Reply(status=429, retry_after_s=0.01)
USE_TOOL = Reply(usage=TOLD, tool_calls=(ToolCall(name="weather", arguments={"city": "Bergen"}),))

LOOP = asyncio.new_event_loop()
"""One loop for all: LangChain keeps its async clients, which are bound to a loop."""

Recipe = Callable[[Session, Any], None]
RECIPES: dict[str, tuple[Recipe, tuple[str, ...]]] = {}


def recipe(name: str, *packages: str) -> Callable[[Recipe], Recipe]:
    def add(run: Recipe) -> Recipe:
        RECIPES[name] = (run, packages)
        return run

    return add


def openai_cases(to: Session) -> None:
    """Every kind of call of the openai SDK."""
    import openai

    url = to.provider.openai_base_url
    client = openai.OpenAI(base_url=url, api_key="test", max_retries=0)
    usage: Any = {"include_usage": True}

    def abandon() -> None:
        stream = client.chat.completions.create(model=GPT, messages=MESSAGES, stream=True, stream_options=usage)
        next(iter(stream))
        stream.close()
        del stream
        gc.collect()

    async def chat_async() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="test", max_retries=0) as one:
            await one.chat.completions.create(model=GPT, messages=MESSAGES)

    to.case("chat", lambda: client.chat.completions.create(model=GPT, messages=MESSAGES, max_tokens=300), ANSWER)
    to.case("chat_async", lambda: LOOP.run_until_complete(chat_async()), ANSWER)
    to.case(
        "chat_stream",
        lambda: list(client.chat.completions.create(model=GPT, messages=MESSAGES, stream=True, stream_options=usage)),
        ANSWER,
    )
    to.case(
        "chat_stream_without_usage",
        lambda: list(client.chat.completions.create(model=GPT, messages=MESSAGES, stream=True)),
        ANSWER,
        exact=False,
    )
    to.case("chat_stream_abandoned", abandon, ANSWER, exact=False)
    to.case(
        "chat_429",
        lambda: client.chat.completions.create(model=GPT, messages=MESSAGES),
        TOO_MANY,
        fails="RateLimitError",
    )
    to.case("responses", lambda: client.responses.create(model=GPT, input="Say hello."), ANSWER)
    to.case(
        "responses_stream", lambda: list(client.responses.create(model=GPT, input="Say hello.", stream=True)), ANSWER
    )
    to.case("embeddings", lambda: client.embeddings.create(model=EMBEDDER, input=["hello"]), Reply(usage=EMBEDDED))


def anthropic_cases(to: Session) -> None:
    """Every kind of call of the anthropic SDK."""
    import anthropic

    client = anthropic.Anthropic(base_url=to.provider.anthropic_base_url, api_key="test", max_retries=0)
    asked: Any = {"model": CLAUDE, "max_tokens": 300, "messages": MESSAGES}

    def stream() -> None:
        with client.messages.stream(**asked) as one:
            one.get_final_message()

    def abandon() -> None:
        one = client.messages.create(**asked, stream=True)
        for _ in range(3):
            next(iter(one))
        one.close()
        del one
        gc.collect()

    async def messages_async() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=to.provider.anthropic_base_url, api_key="test", max_retries=0
        ) as one:
            await one.messages.create(**asked)

    to.case("messages", lambda: client.messages.create(**asked), CLAUDE_ANSWER)
    to.case("messages_async", lambda: LOOP.run_until_complete(messages_async()), CLAUDE_ANSWER)
    to.case("messages_create_stream", lambda: list(client.messages.create(**asked, stream=True)), CLAUDE_ANSWER)
    # Traceloop adds the `message_start` figure to a stream's output, and says of this kind nowhere that it is one.
    over = {"over": 1} if to.name.startswith("traceloop") else {}
    to.case("messages_stream", stream, CLAUDE_ANSWER, **over)
    to.case("messages_stream_abandoned", abandon, CLAUDE_ANSWER, exact=False)
    to.case("messages_429", lambda: client.messages.create(**asked), TOO_MANY, fails="RateLimitError")


def langchain_cases(to: Session) -> None:
    """LangChain's OpenAI model, alone and in an agent with a tool."""
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    def chat(**options: Any) -> Any:
        return ChatOpenAI(model=GPT, base_url=to.provider.openai_base_url, api_key="test", max_retries=0, **options)

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}."

    @tool
    def broken(city: str) -> str:
        """The weather in a city."""
        raise ValueError(f"no weather in {city}")

    def agent(one: Any, thread: str) -> Any:
        return create_agent(chat(), tools=[one]), {"configurable": {"thread_id": thread}}

    def run_agent(one: Any) -> None:
        made, config = agent(one, "thread-1")
        made.invoke({"messages": MESSAGES}, config)

    async def run_agent_async() -> None:
        made, config = agent(weather, "thread-1")
        await made.ainvoke({"messages": MESSAGES}, config)

    to.case("invoke", lambda: chat(max_tokens=300).invoke("Say hello."), ANSWER)
    to.case("ainvoke", lambda: LOOP.run_until_complete(chat().ainvoke("Say hello.")), ANSWER)
    to.case("stream", lambda: list(chat(stream_usage=True).stream("Say hello.")), ANSWER)
    to.case("responses_api", lambda: chat(use_responses_api=True).invoke("Say hello."), ANSWER)
    to.case("invoke_429", lambda: chat().invoke("Say hello."), TOO_MANY, fails="OpenAIRateLimitError")
    to.case("agent", lambda: run_agent(weather), USE_TOOL, ANSWER, tool="weather", session="thread-1")
    to.case(
        "agent_async",
        lambda: LOOP.run_until_complete(run_agent_async()),
        USE_TOOL,
        ANSWER,
        tool="weather",
        session="thread-1",
    )
    use_broken = Reply(usage=TOLD, tool_calls=(ToolCall(name="broken", arguments={"city": "Bergen"}),))
    to.case(
        "agent_tool_fails",
        lambda: run_agent(broken),
        use_broken,
        ANSWER,
        fails="ValueError",
        tool="broken",
        session="thread-1",
    )


def agents_cases(to: Session) -> None:
    """openai-agents: a tool agent over the Responses model, and over the chat-completions model."""
    import agents
    import openai

    client = openai.AsyncOpenAI(base_url=to.provider.openai_base_url, api_key="test", max_retries=0)

    @agents.function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}."

    def run(model: Any) -> None:
        agent = agents.Agent(name="forecaster", instructions="Be brief.", model=model, tools=[weather])
        LOOP.run_until_complete(agents.Runner.run(agent, "The weather in Bergen?"))

    to.case(
        "responses_model",
        lambda: run(agents.OpenAIResponsesModel(model=GPT, openai_client=client)),
        USE_TOOL,
        ANSWER,
        tool="weather",
    )
    to.case(
        "chat_completions_model",
        lambda: run(agents.OpenAIChatCompletionsModel(model=GPT, openai_client=client)),
        USE_TOOL,
        ANSWER,
        tool="weather",
        **({"exact": False} if to.name.startswith("traceloop") else {}),
    )


@recipe("openinference-openai", "openinference-instrumentation-openai", "openai")
def openinference_openai(to: Session, tracing: Any) -> None:
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    openai_cases(to)


@recipe("openinference-anthropic", "openinference-instrumentation-anthropic", "anthropic")
def openinference_anthropic(to: Session, tracing: Any) -> None:
    from openinference.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=tracing)
    anthropic_cases(to)


@recipe("openinference-langchain", "openinference-instrumentation-langchain", "langchain-core", "langchain")
def openinference_langchain(to: Session, tracing: Any) -> None:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=tracing)
    langchain_cases(to)


@recipe("traceloop-openai", "opentelemetry-instrumentation-openai", "openai")
def traceloop_openai(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    openai_cases(to)


@recipe("traceloop-anthropic", "opentelemetry-instrumentation-anthropic", "anthropic")
def traceloop_anthropic(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=tracing)
    anthropic_cases(to)


@recipe("traceloop-langchain", "opentelemetry-instrumentation-langchain", "langchain-core", "langchain")
def traceloop_langchain(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    LangchainInstrumentor().instrument(tracer_provider=tracing)
    langchain_cases(to)


@recipe("traceloop-openai-agents", "opentelemetry-instrumentation-openai-agents", "openai-agents", "openai")
def traceloop_openai_agents(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=tracing)
    agents_cases(to)


@recipe("traceloop-google", "opentelemetry-instrumentation-google-generativeai", "google-genai")
def traceloop_google(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.google_generativeai import GoogleGenerativeAiInstrumentor

    GoogleGenerativeAiInstrumentor().instrument(tracer_provider=tracing)
    google_cases(to)


@recipe("google-genai", "opentelemetry-instrumentation-google-genai", "google-genai")
def google_genai(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor

    GoogleGenAiSdkInstrumentor().instrument(tracer_provider=tracing)
    google_cases(to)


@recipe("genai-openai", "opentelemetry-instrumentation-genai-openai", "openai")
def genai_openai(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    openai_cases(to)


@recipe("genai-anthropic", "opentelemetry-instrumentation-genai-anthropic", "anthropic")
def genai_anthropic(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=tracing)
    anthropic_cases(to)


@recipe("genai-langchain", "opentelemetry-instrumentation-genai-langchain", "langchain-core", "langchain")
def genai_langchain(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=tracing)
    langchain_cases(to)


@recipe("genai-langchain@content", "opentelemetry-instrumentation-genai-langchain", "langchain-core", "langchain")
def genai_langchain_content(to: Session, tracing: Any) -> None:
    genai_langchain(to, tracing)


@recipe("genai-openai-agents", "opentelemetry-instrumentation-genai-openai-agents", "openai-agents", "openai")
def genai_openai_agents(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=tracing)
    to.facts["calls"] = 0
    agents_cases(to)


@recipe("openai-v2", "opentelemetry-instrumentation-openai-v2", "openai")
def openai_v2(to: Session, tracing: Any) -> None:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    to.facts["untold"] = ["cache_read_tokens"]
    openai_cases(to)


@recipe("anthropic-sdk", "anthropic")
def anthropic_sdk(to: Session, tracing: Any) -> None:
    """The SDK's own spans go to the global provider; nothing turns them on."""
    anthropic_cases(to)


@recipe("pydantic-ai", "pydantic-ai-slim", "openai")
def pydantic_ai(to: Session, tracing: Any) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def run(settings: Any, *, stream: bool = False) -> None:
        import openai

        async def go() -> None:
            async with openai.AsyncOpenAI(
                base_url=to.provider.openai_base_url, api_key="test", max_retries=0
            ) as client:
                model = OpenAIChatModel(GPT, provider=OpenAIProvider(openai_client=client))
                agent = Agent(model, name="forecaster", model_settings={"max_tokens": 300})
                Agent.instrument_all(settings)

                @agent.tool_plain
                def weather(city: str) -> str:
                    """The weather in a city."""
                    return f"Rain in {city}."

                if stream:
                    async with agent.run_stream("Say hello.") as result:
                        await result.get_output()
                else:
                    await agent.run("The weather in Bergen?")

        LOOP.run_until_complete(go())

    for number in (2, 3, 4, 5):  # this release no longer knows version 1
        settings = InstrumentationSettings(tracer_provider=tracing, version=number)  # type: ignore[arg-type]
        to.case(f"agent_v{number}", lambda settings=settings: run(settings), USE_TOOL, ANSWER, tool="weather")
        to.case(f"stream_v{number}", lambda settings=settings: run(settings, stream=True), ANSWER)
        to.case(f"agent_429_v{number}", lambda settings=settings: run(settings), TOO_MANY, fails="ModelRateLimitError")


@recipe("litellm", "litellm", "openai")
def litellm_callback(to: Session, tracing: Any) -> None:
    import time

    import litellm
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter="in_memory"), tracer_provider=tracing)]
    litellm.suppress_debug_info = True
    to.facts["untold"] = ["cache_read_tokens"]
    asked: Any = {
        "model": f"openai/{GPT}",
        "messages": MESSAGES,
        "api_base": to.provider.openai_base_url,
        "api_key": "test",
        "max_retries": 0,
    }

    def run(**options: Any) -> None:
        try:
            found = litellm.completion(**asked, **options)
            if options.get("stream"):
                list(found)
        finally:
            time.sleep(0.5)

    to.case("completion", run, ANSWER)
    to.case("completion_stream", lambda: run(stream=True, stream_options={"include_usage": True}), ANSWER)
    to.case("completion_429", run, TOO_MANY, fails="RateLimitError")


@recipe("openinference-litellm", "openinference-instrumentation-litellm", "litellm")
def openinference_litellm(to: Session, tracing: Any) -> None:
    import litellm
    from openinference.instrumentation.litellm import LiteLLMInstrumentor

    LiteLLMInstrumentor().instrument(tracer_provider=tracing)
    litellm.suppress_debug_info = True
    at, key = to.provider.openai_base_url, "test"
    asked: Any = {"messages": MESSAGES, "api_key": key, "max_retries": 0, "max_tokens": 300}
    gpt: Any = {**asked, "model": f"openai/{GPT}", "api_base": at}
    gemini: Any = {
        **asked,
        "model": "gemini/gemini-2.5-flash",
        "api_base": f"{to.provider.url}/v1beta/models/gemini-2.5-flash",
    }
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    to.case("completion", lambda: litellm.completion(**gpt), ANSWER)
    to.case("completion_stream", lambda: list(litellm.completion(**gpt, **streamed)), ANSWER)
    to.case("acompletion", lambda: LOOP.run_until_complete(litellm.acompletion(**gpt)), ANSWER)
    to.case("completion_gemini", lambda: litellm.completion(**gemini), ANSWER)
    to.case("completion_429", lambda: litellm.completion(**gpt), TOO_MANY, fails="RateLimitError")
    to.case(
        "embedding",
        lambda: litellm.embedding(model=f"openai/{EMBEDDER}", input=["hello"], api_base=at, api_key=key),
        Reply(usage=EMBEDDED),
    )


@recipe("google-adk", "google-adk", "google-genai")
def google_adk(to: Session, tracing: Any) -> None:
    """Its tracer is the global provider's."""
    import os

    from google.adk.agents import LlmAgent
    from google.adk.agents.run_config import RunConfig, StreamingMode
    from google.adk.runners import InMemoryRunner
    from google.genai import types

    os.environ.update(GOOGLE_GEMINI_BASE_URL=to.provider.url, GOOGLE_API_KEY="test")

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}."

    async def go(mode: Any) -> None:
        agent = LlmAgent(name="forecaster", model="gemini-2.5-flash", instruction="Answer.", tools=[weather])
        runner = InMemoryRunner(agent=agent, app_name="app")
        session = await runner.session_service.create_session(app_name="app", user_id="user")
        asked = types.Content(role="user", parts=[types.Part(text="Say hello.")])
        config = RunConfig(streaming_mode=mode)
        async for _ in runner.run_async(user_id="user", session_id=session.id, new_message=asked, run_config=config):
            pass

    def run(mode: Any = StreamingMode.NONE) -> None:
        LOOP.run_until_complete(go(mode))

    to.case("agent", run, USE_TOOL, ANSWER, tool="weather")
    to.case("answer", run, ANSWER)
    to.case("stream", lambda: run(StreamingMode.SSE), ANSWER)
    to.case("answer_429", run, TOO_MANY, fails="_ResourceExhaustedError")


@recipe("strands", "strands-agents", "boto3")
def strands_agents(to: Session, tracing: Any) -> None:
    """Its tracer is the global provider's."""
    import os

    from botocore.config import Config
    from strands import Agent, tool
    from strands.models import BedrockModel

    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}."

    def run(*, streams: bool = True) -> None:
        model = BedrockModel(
            model_id="anthropic.claude-3-haiku-20240307-v1:0",
            endpoint_url=to.provider.url,
            boto_client_config=Config(retries={"max_attempts": 1}),
            streaming=streams,
            max_tokens=300,
        )
        agent = Agent(name="forecaster", model=model, tools=[tool(weather)], callback_handler=None)
        agent("Say hello.")

    plain = Reply(usage=CLAUDE_TOLD, text="Hello there, this is the world.")
    use_tool = Reply(usage=CLAUDE_TOLD, tool_calls=USE_TOOL.tool_calls)
    to.case("agent", run, use_tool, plain, tool="weather")
    to.case("answer", run, plain)
    to.case("answer_whole", lambda: run(streams=False), plain)


def google_cases(to: Session) -> None:
    """google-genai against a stand-in for the Gemini API, which the loopback provider does not speak."""
    from google import genai

    from spans.gemini import Gemini

    with Gemini(to) as url:
        client = genai.Client(api_key="test", http_options={"base_url": url})
        asked: Any = {"model": "gemini-2.5-flash", "contents": "Say hello."}
        to.case("generate_content", lambda: client.models.generate_content(**asked))
        to.case("generate_content_stream", lambda: list(client.models.generate_content_stream(**asked)))

        async def go() -> None:
            await client.aio.models.generate_content(**asked)

        to.case("generate_content_async", lambda: LOOP.run_until_complete(go()))


def http_posts(to: Session, post: Callable[[str], Any], *, unconnected: str) -> None:
    """One priced request, one refused by the provider, one that is free, one that raises `unconnected`."""
    url = f"{to.provider.openai_base_url}/chat/completions"
    to.case("post", lambda: post(url), ANSWER, exact=False)
    to.case("post_429", lambda: post(url), TOO_MANY)
    to.case("free", lambda: post(f"{to.provider.openai_base_url}/moderations"))
    to.case("refused_connection", lambda: post("http://127.0.0.1:9/v1/chat/completions"), fails=unconnected)


BODY: Any = {"model": GPT, "messages": MESSAGES}


def _http(name: str, *packages: str) -> Callable[[Recipe], Recipe]:
    """The recipe, with stable and with old attribute names; each in a process of its own."""

    def add(run: Recipe) -> Recipe:
        recipe(f"http@{name}-stable", *packages)(run)
        recipe(f"http@{name}-old", *packages)(run)
        return run

    return add


@_http("httpx", "opentelemetry-instrumentation-httpx", "httpx")
def httpx_spans(to: Session, tracing: Any) -> None:
    import httpx
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    HTTPXClientInstrumentor().instrument(tracer_provider=tracing)
    http_posts(to, lambda url: httpx.post(url, json=BODY), unconnected="ConnectError")


@_http("httpx2", "opentelemetry-instrumentation-httpx", "httpx2")
def httpx2_spans(to: Session, tracing: Any) -> None:
    import httpx2
    from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor

    HTTPX2ClientInstrumentor().instrument(tracer_provider=tracing)
    http_posts(to, lambda url: httpx2.post(url, json=BODY), unconnected="ConnectError")


@_http("requests", "opentelemetry-instrumentation-requests", "requests")
def requests_spans(to: Session, tracing: Any) -> None:
    import requests
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    RequestsInstrumentor().instrument(tracer_provider=tracing)
    http_posts(to, lambda url: requests.post(url, json=BODY, timeout=5), unconnected="ConnectionError")


@_http("urllib3", "opentelemetry-instrumentation-urllib3", "urllib3")
def urllib3_spans(to: Session, tracing: Any) -> None:
    import urllib3
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor

    URLLib3Instrumentor().instrument(tracer_provider=tracing)
    http_posts(to, lambda url: urllib3.request("POST", url, json=BODY, retries=False), unconnected="NewConnectionError")


@_http("aiohttp", "opentelemetry-instrumentation-aiohttp-client", "aiohttp")
def aiohttp_spans(to: Session, tracing: Any) -> None:
    import aiohttp
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

    AioHttpClientInstrumentor().instrument(tracer_provider=tracing)

    async def post(url: str) -> None:
        async with aiohttp.ClientSession() as client, client.post(url, json=BODY) as response:
            await response.read()

    http_posts(to, lambda url: LOOP.run_until_complete(post(url)), unconnected="ClientConnectorError")


@recipe("botocore-bedrock", "opentelemetry-instrumentation-botocore", "boto3")
def botocore_spans(to: Session, tracing: Any) -> None:
    import boto3
    from botocore.config import Config
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    BotocoreInstrumentor().instrument(tracer_provider=tracing)
    from spans.gemini import Bedrock

    with Bedrock(to) as url:
        keys: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            config=Config(retries={"max_attempts": 1}),
            **keys,
        )
        said: Any = [{"role": "user", "content": [{"text": "Say hello."}]}]
        model = "anthropic.claude-3-haiku-20240307-v1:0"
        to.case("converse", lambda: client.converse(modelId=model, messages=said, inferenceConfig={"maxTokens": 300}))
        to.case(
            "invoke_model",
            lambda: client.invoke_model(
                modelId=model, body='{"max_tokens": 300, "anthropic_version": "x", "messages": []}'
            ),
        )
        s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        to.case("free", s3.list_buckets)


@recipe("logfire", "logfire", "openai", "anthropic")
def logfire(to: Session, tracing: Any) -> None:
    """What it writes down at a stream's end is a span as well, which is no call: without a gate a stream is counted."""
    import anthropic
    import logfire as fire
    import openai

    fire.configure(
        send_to_logfire=False, console=False, inspect_arguments=False, additional_span_processors=[to.recorder]
    )
    fire.instrument_openai()
    fire.instrument_anthropic()
    client = openai.OpenAI(base_url=to.provider.openai_base_url, api_key="test", max_retries=0)
    claude = anthropic.Anthropic(base_url=to.provider.anthropic_base_url, api_key="test", max_retries=0)
    asked: Any = {"model": GPT, "messages": MESSAGES}
    to.case("chat", lambda: client.chat.completions.create(**asked, max_tokens=300), ANSWER)
    to.case(
        "chat_stream",
        lambda: list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})),
        ANSWER,
        exact=False,
    )
    to.case("chat_429", lambda: client.chat.completions.create(**asked), TOO_MANY, fails="RateLimitError")
    to.case("responses", lambda: client.responses.create(model=GPT, input="Say hello."), ANSWER)
    to.case("messages", lambda: claude.messages.create(model=CLAUDE, max_tokens=300, messages=MESSAGES), CLAUDE_ANSWER)
