"""Agents by name: by hand and by a framework's adapter, in every kind of function and in threads; trips found and whole."""

import asyncio
import contextlib
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import (
    ConfigurationError,
    Limit,
    SentinelBudgetExceeded,
    SentinelError,
    SentinelLoopError,
    frameworks,
    trip_of,
)
from agent_fuse.calls import Status
from agent_fuse.errors import SentinelSystemError, is_soft, soften
from agent_fuse.otel import active, agents
from agent_fuse.testing import LoopbackProvider

FRAMEWORK = '''
"""A framework: one agent's work in a function of every kind, and a team that only knows Exception."""
from contextlib import asynccontextmanager

class Agent:
    def __init__(self, name, work):
        self.name, self.work = name, work
    def plain(self):
        return self.work()
    async def coroutine(self):
        return self.work()
    def generator(self):
        got = yield self.work()
        while got is not None:
            try:
                got = yield got, self.work()
            except KeyError as error:
                got = yield error, self.work()
        return "end"
    async def async_generator(self):
        got = yield self.work()
        while got is not None:
            try:
                got = yield got, self.work()
            except KeyError as error:
                got = yield error, self.work()
    @asynccontextmanager
    async def block(self):
        yield self.work()
    def later(self):
        return self.coroutine_of_its_own()
    async def coroutine_of_its_own(self):
        return self.work()
    def pulled(self):
        return Pulled(self.work)
    @staticmethod
    def static(agent):
        return agent.work()

class Pulled:
    """A stream that works when it is read, and lets others enter a context around that."""
    def __init__(self, work):
        self.work, self.around = work, []
    def with_pull_context_manager(self, factory):
        self.around.append(factory)
        return self
    def read(self):
        with self.around[0]():
            return self.work()

class Tool:
    name = "search"
    def __init__(self, answer):
        self.answer = answer
    def __call__(self, query):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

async def team(work):
    try:
        work()
    except Exception as error:
        raise RuntimeError(str(error))
    finally:
        pass

async def served(work):
    return work()

async def soft_tool(work):
    return work()

async def run(work):
    """It runs a tool, whose task tells of nothing but an Exception, and wraps that."""
    try:
        return await soft_tool(work)
    except Exception as error:
        raise RuntimeError("the run has failed") from error

async def waiting(work, queue):
    """It never puts what ends the queue where its work raised."""
    done = work()
    queue.append("end")
    return done
'''
ADAPTER = """
from agent_fuse.errors import soften
from agent_fuse.frameworks import Seam

def answer(trip):
    if trip.limit is None:
        raise TypeError("a fault of the adapter's")
    return RuntimeError("429: " + trip.message)

def name(agent, *args, **kwargs):
    return agent.name

def let_go(trip, work, queue):
    queue.append("let go")
    return len(queue) > 1

def tool(tool, query):
    return tool.name, {"query": query}

KINDS = "plain", "coroutine", "generator", "async_generator", "block", "later", "pulled", "static", "gone"
SEAMS = (*(Seam(function=f"Agent.{one}", agent=name) for one in KINDS), Seam(function="team", soft=True), Seam(function="served", instead=answer), Seam(function="soft_tool", instead=soften), Seam(function="run", unwrap=True), Seam(function="waiting", let_go=let_go), Seam(function="Tool.__call__", tool=tool))
NONE = "no seam"
"""
ENTRIES = "[agent_fuse.frameworks]\nacme_agents = acme_fuse:SEAMS\nacme_other = acme_fuse:NONE\n"


def whose() -> str:
    """The agent that a call here would go on."""
    return active.guards()[0].caller(None, None).agent


@pytest.fixture
def acme(box: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An installed framework, and an installed package that adapts AgentFuse to it."""
    (tmp_path / "acme_agents.py").write_text(FRAMEWORK)
    (tmp_path / "acme_other.py").write_text("")
    (tmp_path / "acme_fuse.py").write_text(ADAPTER)
    info = tmp_path / "acme_fuse-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-fuse\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    agents.frameworks._others.cache_clear()
    box(limits=Limit(calls=1000))
    agents.install()
    yield __import__("acme_agents")
    for name in ("acme_agents", "acme_fuse", "acme_other"):
        sys.modules.pop(name, None)
    agents.frameworks._others.cache_clear()
    for one in [one for one in agents.problems if one.startswith("acme")]:
        del agents.problems[one]
    agents._waiting.difference_update({"acme_agents", "acme_other"})


def drained(steps: Any) -> list[Any]:
    """What a generator gives and returns; between its steps it is nobody's turn."""
    found = [next(steps), whose(), steps.send("word"), steps.throw(KeyError("k")), whose()]
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    return [*found, end.value.value]


async def adrained(steps: Any) -> list[Any]:
    found = [await anext(steps), whose(), await steps.asend("word"), await steps.athrow(KeyError("k")), whose()]
    with pytest.raises(StopAsyncIteration):
        await steps.asend(None)
    return [*found, "end"]


async def entered(block: Any) -> str:
    async with block as given:
        return given


KINDS: dict[str, Callable[[Any], object]] = {
    "plain": lambda agent: agent.plain(),
    "coroutine": lambda agent: asyncio.run(agent.coroutine()),
    "block": lambda agent: asyncio.run(entered(agent.block())),
    "later": lambda agent: asyncio.run(agent.later()),
    "pulled": lambda agent: [stream := agent.pulled(), stream.read(), stream.read()][2],
    "static": lambda agent: type(agent).static(agent),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_seam_of_every_kind(acme: Any, kind: str) -> None:
    """Inside an agent's function calls are its own, also under another's turn; before and after they are not."""
    with agent_fuse.agent("outer"):
        assert KINDS[kind](acme.Agent("ann", whose)) == "ann"
        assert whose() == "outer"
        assert KINDS[kind](acme.Agent("", whose)) == "outer"
    assert whose() == ""


def test_generators_of_both_kinds(acme: Any) -> None:
    """What is sent, thrown and returned goes through; a step is the agent's turn, the pause after it is not."""
    for found in (
        drained(acme.Agent("ann", whose).generator()),
        asyncio.run(adrained(acme.Agent("ann", whose).async_generator())),
    ):
        first, between, (sent, turn), (thrown, again), after, end = found
        assert (first, between, sent, turn, again, after, end) == ("ann", "", "word", "ann", "ann", "", "end")
        assert isinstance(thrown, KeyError)


def test_a_generator_that_is_dropped_is_closed(acme: Any) -> None:
    """Breaking off ends the framework's own generator at once, in its agent's turn."""
    ended: list[str] = []

    def work() -> str:
        if ended:
            return "word"
        ended.append("begun")
        return "word"

    class Word:
        def __iter__(self) -> Iterator[str]:
            try:
                yield work()
            finally:
                ended.append(whose())

    def generator(agent: Any) -> Iterator[str]:
        yield from Word()

    async def async_generator(agent: Any) -> Any:
        try:
            yield work()
        finally:
            ended.append(whose())

    seam = agents.Seam(function="x", agent=lambda agent: agent.name)
    steps = agents._wrapped(generator, seam)(acme.Agent("ann", whose))
    next(steps)
    steps.close()

    async def broken_off() -> None:
        steps = agents._wrapped(async_generator, seam)(acme.Agent("bob", whose))
        await anext(steps)
        await steps.aclose()

    asyncio.run(broken_off())
    assert ended == ["begun", "ann", "bob"]


def test_a_seam_that_has_gone_is_told(acme: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A framework that has moved on is named by `doctor`; an adapter that is none is left out, with a warning."""
    __import__("acme_other")
    assert "the adapter for acme_other is 'n'; it must be a Seam" not in caplog.text
    assert "the adapter for acme_other is 'no seam'; it must be a Seam" in caplog.text
    (problem,) = [fact for fact in agent_fuse.doctor() if "Agent.gone" in fact.what]
    assert problem.what == "acme_agents has no Agent.gone: agents of this release are not known by name"


def test_a_name_that_cannot_be_read_names_nobody(acme: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of an adapter stays with us: the framework's work is done, and the fault is told once."""
    agent = acme.Agent("ann", whose)
    del agent.name
    assert agent.plain() == ""
    assert "AgentFuse failed in reading an agent's name" in caplog.text


def test_off_when_nothing_guards(acme: Any) -> None:
    """Without a guard the wrappers stay in the framework and do nothing."""
    agents.uninstall()
    assert acme.Agent("ann", whose).plain() == ""
    agents.install()
    assert acme.Agent("ann", whose).plain() == "ann"


def test_a_framework_that_was_there_before(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module imported before AgentFuse is turned on is adapted to, whatever it calls itself by now (as CrewAI's does)."""
    fresh = types.ModuleType("acme.inner")
    exec(FRAMEWORK, vars(fresh))
    monkeypatch.setitem(sys.modules, "acme_agents", fresh)
    agents._waiting.discard("acme_agents")
    agents.install()
    assert fresh.Agent("ann", whose).plain() == "ann"


def test_by_hand(box: Any) -> None:
    """`with agent(...)` names the agent of calls, limits and reports, in threads too; the inner of two counts."""
    with LoopbackProvider() as provider:
        fuse = box(limits=Limit(calls=2, per="agent"))
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)

        def ask() -> None:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

        with agent_fuse.agent("lead"):
            ask()
            with agent_fuse.agent("researcher"):
                thread = threading.Thread(target=ask)
                thread.start()
                thread.join()
                ask()
                with pytest.raises(SentinelBudgetExceeded, match="per agent 'researcher'"):
                    ask()
            ask()
        assert provider.count == 4
    del fuse
    entries = active.guards()[0].fuse.ledger.journal()
    assert sorted(one.agent for one in entries) == ["lead", "lead", "researcher", "researcher", "researcher"]


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_an_agent_has_a_name(box: Any, name: Any) -> None:
    """What is no name is said at once, and names what is allowed."""
    box(limits=Limit(calls=1))
    with pytest.raises(ConfigurationError, match=r"agent name is .*; it must be a text"), agent_fuse.agent(name):
        pass


def test_a_workflow_is_no_agent(box: Any) -> None:
    """The name of a workflow, or of a graph that has none, is no agent's: the calls inside are nobody's."""
    box(limits=Limit(calls=10, per="agent"))
    provider = TracerProvider()
    provider.add_span_processor(active.guards()[0])
    tracer = provider.get_tracer("opentelemetry.instrumentation.langchain")
    for operation, name, found in (
        ("invoke_workflow", "pipeline", ""),
        ("invoke_agent", "LangGraph", ""),
        ("invoke_agent", "ann", "ann"),
    ):
        told = {"gen_ai.operation.name": operation, "gen_ai.agent.name": name}
        with tracer.start_as_current_span("work", attributes=told):
            guard = active.guards()[0]
            caller = guard.caller(None, guard.node(trace.get_current_span().get_span_context().span_id))
            assert (caller.agent, caller.value("agent")) == (found, found or "(none)")


def test_trips_get_out_of_a_host_that_knows_only_exception(acme: Any) -> None:
    """Inside, a trip is an Exception; outside it is the trip itself, with the host's own error as its cause."""
    with LoopbackProvider() as provider:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                with agent_fuse.session("none", limits=Limit(calls=0)):
                    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
            except BaseException as error:
                raised.append(error)
                raise

        with pytest.raises(SentinelBudgetExceeded) as caught:
            asyncio.run(acme.team(ask))
        assert is_soft(raised[0])
        assert not is_soft(caught.value)
        assert isinstance(caught.value.__cause__, RuntimeError)
        with pytest.raises(RuntimeError, match="other"):
            asyncio.run(acme.team(lambda: (_ for _ in ()).throw(RuntimeError("other"))))
        assert provider.count == 0


def test_a_team_inside_a_team(acme: Any) -> None:
    """A team that only knows Exception, inside another such: the inner one lets the soft form out, the outer one the trip."""
    raised: list[BaseException] = []

    async def knows_exception(work: Callable[[], Any]) -> None:
        try:
            await work()
        except Exception as error:
            raised.append(error)
            raise RuntimeError(str(error)) from None

    team = agents._wrapped(knows_exception, agents.Seam(function="x", soft=True))
    with LoopbackProvider() as provider:
        client = openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)
        asked = [{"role": "user", "content": "hi"}]

        async def ask() -> None:
            with agent_fuse.session("none", limits=Limit(calls=0)):
                await client.chat.completions.create(model="gpt-4o", messages=asked)  # type: ignore[call-overload]

        with pytest.raises(SentinelBudgetExceeded) as caught:
            asyncio.run(team(lambda: team(ask)))
    assert [is_soft(one) for one in raised] == [True, True]
    assert not is_soft(caught.value)


def test_a_trip_leaves_what_wraps_it(acme: Any) -> None:
    """A host's own error around a trip gives way to the trip, in its hard form, also from a group; another error does not."""
    hard = trip()

    def fail(error: BaseException) -> None:
        raise error

    for raised in (hard, caused(hard), caused(BaseExceptionGroup("some", [hard])), soften(hard)):
        with pytest.raises(SentinelBudgetExceeded, match="no money") as caught:
            asyncio.run(acme.run(lambda raised=raised: fail(raised)))
        assert is_soft(caught.value) == is_soft(raised)
    for other in (KeyError("k"), in_context(hard)):
        with pytest.raises(RuntimeError, match="the run has failed"):
            asyncio.run(acme.run(lambda other=other: fail(other)))
    assert asyncio.run(acme.run(lambda: 5)) == 5


def test_agents_side_by_side_that_are_refused_at_once_leave_as_one_trip() -> None:
    """A task group gathers their trips, which nobody who waits for a trip would catch; what is no trip stays in it."""

    async def fail(error: BaseException) -> None:
        raise error

    async def side_by_side(*errors: BaseException) -> None:
        async with asyncio.TaskGroup() as group:
            for error in errors:
                group.create_task(fail(error))

    run = agents._wrapped(side_by_side, agents.Seam(function="x", unwrap=True))
    agents.install()
    first, second = SentinelBudgetExceeded("one"), SentinelBudgetExceeded("two")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        asyncio.run(run(first, second))
    assert caught.value is first
    with pytest.raises(BaseExceptionGroup) as group:
        asyncio.run(run(first, KeyError("a fault of the agent's")))
    assert agent_fuse.trip_of(group.value) is first


@pytest.mark.parametrize("kind", ["coroutine", "generator", "async_generator"])
def test_a_trip_that_a_host_goes_on_over(acme: Any, kind: str) -> None:
    """A host that takes an agent's Exception for an answer goes on to its end; there the trip leaves it, whole."""
    ended: list[str] = []
    with LoopbackProvider() as provider:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)

        def ask(calls: int) -> str:
            try:
                with agent_fuse.session("some", limits=Limit(calls=calls)):
                    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
            except Exception as error:
                ended.append("soft" if is_soft(error) else "hard")
            return "done"

        async def coroutine(calls: int) -> str:
            return ask(calls)

        def generator(calls: int) -> Iterator[str]:
            yield ask(calls)

        async def async_generator(calls: int) -> Any:
            yield ask(calls)

        async def read(steps: Any) -> list[str]:
            return [one async for one in steps]

        kinds: dict[str, Callable[..., Any]] = {
            "coroutine": lambda run, calls: [asyncio.run(run(calls))],
            "generator": lambda run, calls: list(run(calls)),
            "async_generator": lambda run, calls: asyncio.run(read(run(calls))),
        }
        seam = agents.Seam(function="x", drops=True)
        run = agents._wrapped({one.__name__: one for one in (coroutine, generator, async_generator)}[kind], seam)
        assert kinds[kind](run, 1) == ["done"]
        with pytest.raises(SentinelBudgetExceeded) as caught:
            kinds[kind](run, 0)
        assert ended == ["soft"]
        assert not is_soft(caught.value)
        assert provider.count == 1


def test_whoever_waits_for_a_tool_is_let_go(acme: Any) -> None:
    """Where a trip leaves a run whose end is waited for, the wait is ended, and the trip too where it was told."""
    queue: list[str] = []
    with pytest.raises(SentinelBudgetExceeded):
        asyncio.run(acme.waiting(lambda: (_ for _ in ()).throw(trip()), queue))
    with pytest.raises(KeyError):
        asyncio.run(acme.waiting({}.popitem, queue))
    asyncio.run(acme.waiting(lambda: 5, queue))
    assert asyncio.run(acme.waiting(lambda: (_ for _ in ()).throw(trip()), queue)) is None
    assert queue == ["let go", "end", "let go"]


@pytest.mark.parametrize("kind", ["generator", "async_generator"])
def test_a_generator_whose_trip_goes_no_further_ends(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """At its first step or at a later one: what came before is there, and nothing else."""

    def generator(steps: int) -> Any:
        yield from range(steps)
        raise trip()

    async def async_generator(steps: int) -> Any:
        for one in range(steps):
            yield one
        raise trip()

    async def read(steps: Any) -> list[int]:
        return [one async for one in steps]

    seam = agents.Seam(function="x", let_go=lambda trip, steps: True)
    run = agents._wrapped({"generator": generator, "async_generator": async_generator}[kind], seam)
    monkeypatch.setattr(agents, "_on", True)
    ended = [list(run(steps)) if kind == "generator" else asyncio.run(read(run(steps))) for steps in (0, 2)]
    assert ended == [[], [0, 1]]


def test_a_host_that_answers_another_process_tells_it_so(acme: Any) -> None:
    """What the adapter makes of a trip is raised, the trip as its cause; other errors pass, and where it fails the trip."""

    def refused(limit: str | None) -> None:
        raise SentinelBudgetExceeded("no more", limit=limit)

    with pytest.raises(RuntimeError, match="429: no more") as caught:
        asyncio.run(acme.served(lambda: refused("limit")))
    assert isinstance(caught.value.__cause__, SentinelBudgetExceeded)
    with pytest.raises(SentinelBudgetExceeded):
        asyncio.run(acme.served(lambda: refused(None)))
    with pytest.raises(KeyError):
        asyncio.run(acme.served({}.popitem))
    assert asyncio.run(acme.served(lambda: 5)) == 5


class StandInForProxyException(Exception):
    """LiteLLM is not installed here; `make frameworks` asks its real proxy."""

    def __init__(self, *, message: str, type: str, param: None, code: int, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.said = (type, code, headers)


def test_litellms_proxy_answers_for_a_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a budget of its own, not to be tried again; where the ledger failed, as a service that is not there."""
    stand_in = types.SimpleNamespace(ProxyException=StandInForProxyException)
    monkeypatch.setitem(sys.modules, "litellm.proxy._types", stand_in)
    (seam,) = frameworks.seams_of("litellm.proxy.common_request_processing")
    assert seam.instead is not None
    for trip, kind, code in (
        (SentinelBudgetExceeded("no more"), "budget_exceeded", 429),
        (SentinelLoopError("again"), "loop", 429),
        (SentinelSystemError("no disk"), "system", 503),
    ):
        answer = seam.instead(trip)
        assert isinstance(answer, StandInForProxyException)
        assert str(answer) == trip.message
        assert answer.said == (kind, code, {"x-should-retry": "false"})


@pytest.mark.parametrize("answer", ["nothing", ValueError("no such thing")])
def test_a_tool_whose_calls_no_conversation_shows(acme: Any, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seam that is a tool's run makes it an action of the session: counted, and refused when it goes round."""
    search = acme.Tool(answer)
    for _ in range(5):
        with contextlib.suppress(ValueError):
            search("owls")
    with pytest.raises(SentinelLoopError, match="search"):
        search("owls")
    agents.uninstall()
    with contextlib.suppress(ValueError):
        search("owls")
    agents.install()
    entries = active.guards()[0].fuse.ledger.journal()
    assert sum(one.operation == "execute_tool" and one.status is not Status.REFUSED for one in entries) == 5


def trip() -> SentinelError:
    return SentinelBudgetExceeded("no money")


def caused(by: BaseException) -> BaseException:
    error = RuntimeError("wrapped")
    error.__cause__ = by
    return error


def in_context(of: BaseException) -> BaseException:
    error = ValueError("while handling")
    error.__context__ = of
    return error


def test_a_trip_is_found_behind_an_error() -> None:
    """As the error itself, hard or soft, its cause, its context, in a group, and in all of these in one another."""
    found = trip()
    for wrap in (
        lambda one: one,
        caused,
        in_context,
        lambda one: caused(in_context(one)),
        lambda one: BaseExceptionGroup("some", [ValueError("x"), caused(one)]),
        lambda one: caused(BaseExceptionGroup("some", [BaseExceptionGroup("inner", [one]), KeyError("y")])),
    ):
        assert trip_of(wrap(found)) is found
    assert trip_of(soften(found)) is not None
    around = ValueError("a circle")
    around.__context__ = caused(around)
    for other in (None, ValueError("x"), around, ExceptionGroup("some", [KeyError("y")])):
        assert trip_of(other) is None
