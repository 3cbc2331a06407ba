"""A session reaches where its work goes: threads, pools, loops and processes, whatever stands beside AgentFuse."""

import _thread
import asyncio
import concurrent.futures
import contextvars
import inspect
import logging
import multiprocessing
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.sdk.trace import TracerProvider
from wrapt import wrap_function_wrapper

import agent_fuse
import handed
from agent_fuse import (
    ConfigurationError,
    Limit,
    SentinelBudgetExceeded,
    final,
    remaining,
    session,
    session_from,
    session_headers,
)
from agent_fuse.otel import active, carrying
from agent_fuse.otel.context import ORIGIN
from agent_fuse.otel.handing import HEADER
from agent_fuse.testing import LoopbackProvider

ROOM, TRIED = 4, 9


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as one:
        yield one


@pytest.fixture
def ask(box, provider) -> Callable[..., int]:
    """One request of the SDK; 1 where it left, 0 where it was refused."""
    box(limits=Limit(calls=1000))
    provider.reset()
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)

    def ask(*_: object) -> int:
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        except SentinelBudgetExceeded:
            return 0
        return 1

    return ask


def whose() -> str:
    """The session that a call here would go on."""
    return active.guards()[0].caller(None, None).session.id


def by_thread(make: Callable[..., threading.Thread], ask: Callable[..., int]) -> int:
    got: list[int] = []
    threads = [make(lambda: got.append(ask())) for _ in range(TRIED)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(got)


class Own(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self.work = work

    def run(self) -> None:
        self.work()


def in_pool(method: str, ask: Callable[..., int]) -> int:
    with ThreadPool(3) as pool:
        call = getattr(pool, method)
        items: Any = [(one,) for one in range(TRIED)] if "star" in method else range(TRIED)
        if method.startswith("apply"):
            found = [call(ask, (one,)) for one in items]
            return sum(one if method == "apply" else one.get() for one in found)
        found = call(ask, items)
        return sum(found.get() if method.endswith("_async") else found)


async def in_loop(ask: Callable[..., int], executor: ThreadPoolExecutor | None) -> int:
    loop = asyncio.get_running_loop()
    return sum(await asyncio.gather(*[loop.run_in_executor(executor, ask) for _ in range(TRIED)]))


async def in_tasks(ask: Callable[..., int]) -> int:
    async def one() -> int:
        return ask()

    return sum(await asyncio.gather(*[one() for _ in range(TRIED)]))


async def to_thread(ask: Callable[..., int]) -> int:
    return sum(await asyncio.gather(*[asyncio.to_thread(ask) for _ in range(TRIED)]))


def nested(pool: ThreadPoolExecutor, ask: Callable[..., int]) -> int:
    """A thread that hands its work on to a pool that is older than the session."""
    return by_thread(lambda target: threading.Thread(target=lambda: pool.submit(target).result()), ask)


POOL_METHODS = sorted(
    name
    for name, one in inspect.getmembers(Pool, inspect.isfunction)
    if not name.startswith("_") and "func" in inspect.signature(one).parameters
)
WAYS: dict[str, Callable[[Callable[..., int], ThreadPoolExecutor], int]] = {
    "submit": lambda ask, _: sum(
        one.result() for one in [concurrent.futures.ThreadPoolExecutor(2).submit(ask) for _ in range(TRIED)]
    ),
    "executor_map": lambda ask, _: sum(ThreadPoolExecutor(3).map(ask, range(TRIED))),
    "older_submit": lambda ask, old: sum(one.result() for one in [old.submit(ask) for _ in range(TRIED)]),
    "older_map": lambda ask, old: sum(old.map(ask, range(TRIED))),
    "Thread": lambda ask, _: by_thread(lambda work: threading.Thread(target=work), ask),
    "Thread_subclass": lambda ask, _: by_thread(Own, ask),
    "Timer": lambda ask, _: by_thread(lambda work: threading.Timer(0.001, work), ask),
    "thread_in_older_pool": lambda ask, old: nested(old, ask),
    "run_in_executor": lambda ask, _: asyncio.run(in_loop(ask, None)),
    "run_in_older_executor": lambda ask, old: asyncio.run(in_loop(ask, old)),
    "gather": lambda ask, _: asyncio.run(in_tasks(ask)),
    "to_thread": lambda ask, _: asyncio.run(to_thread(ask)),
    "loop_of_another_thread": lambda ask, _: by_thread(
        lambda work: threading.Thread(target=lambda: asyncio.run(asyncio.to_thread(work))), ask
    ),
    **{f"ThreadPool_{name}": lambda ask, _, name=name: in_pool(name, ask) for name in POOL_METHODS},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_bounds_the_work_it_hands_out(ask, provider, way):
    """Whichever way work is handed to threads inside a session, that session's limit admits just its room."""
    with ThreadPoolExecutor(3) as older:
        assert older.submit(whose).result() == "test"
        with session("mine", limits=Limit(calls=ROOM)):
            assert WAYS[way](ask, older) == ROOM
    assert provider.count == ROOM


def test_every_way_of_a_pool_is_tried():
    """The methods of a pool that take a function are those tried above."""
    assert {"apply", "apply_async", "imap", "imap_unordered", "map", "map_async", "starmap", "starmap_async"} == set(
        POOL_METHODS
    )


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ThreadPool])
def test_a_pool_belongs_to_no_session(box, kind):
    """A worker thread that one session's task started serves the next session, and work of none, as theirs."""
    box(budget=1)
    with kind(1) as pool:
        run = pool.submit if kind is ThreadPoolExecutor else pool.apply_async
        found = lambda one: one.result() if kind is ThreadPoolExecutor else one.get()  # noqa: E731
        told = []
        for name in ("a", "b"):
            with session(name):
                told.append(found(run(whose)))
        told.append(found(run(whose)))
    assert told == ["a", "b", "test"]


def test_a_thread_started_outside_stays_outside(box):
    """A session that is entered after a thread was started is not the thread's."""
    box(budget=1)
    go, told = threading.Event(), []
    one = threading.Thread(target=lambda: (go.wait(), told.append(whose())))
    one.start()
    with session("later"):
        go.set()
        one.join()
    assert told == ["test"]


def test_sessions_in_a_thread_stand_in_the_one_it_came_from(ask, provider):
    """A session entered in a carried thread is bound by the limits of the one around its start."""

    def work() -> list[int]:
        with session("inner"):
            return [ask() for _ in range(TRIED)]

    with session("outer", limits=Limit(calls=ROOM)), ThreadPoolExecutor(1) as pool:
        assert sum(pool.submit(work).result()) == ROOM


def test_what_else_says_whose_call_it_is_comes_along(box):
    """The agent, trace and session told by the spans around, and keys in baggage, hold in a thread as well."""
    rig = box(limits=(Limit(calls=9, per="user.id"), Limit(calls=9, per="agent")))
    tracing = TracerProvider()
    tracing.add_span_processor(rig.processor)
    told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Ann", "gen_ai.conversation.id": "talk"}
    token = context.attach(baggage.set_baggage("user.id", "bob"))
    with tracing.get_tracer("t").start_as_current_span("invoke_agent", attributes=told) as span, ThreadPool(1) as pool:
        caller = pool.apply(lambda: active.guards()[0].caller(None, None))
    context.detach(token)
    assert (caller.session.id, caller.agent, caller.value("user.id")) == ("talk", "Ann", "bob")
    assert caller.trace == trace.format_trace_id(span.get_span_context().trace_id)


def test_a_threads_own_word_counts_first(box):
    """Baggage that the thread sets itself wins over what its starter had."""
    box(limits=Limit(calls=9, per="user.id"))

    def work() -> str:
        context.attach(baggage.set_baggage("user.id", "own"))
        return active.guards()[0].caller(None, None).value("user.id")

    token = context.attach(baggage.set_baggage("user.id", "starter's"))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "own"
    context.detach(token)


HOST: contextvars.ContextVar[str] = contextvars.ContextVar("host", default="unset")


def test_the_host_sees_its_threads_as_ever(box):
    """Spans, baggage and context variables of the host do not cross; nothing of ours hangs on a thread or a task."""
    box(budget=1)
    HOST.set("set")
    tracer = TracerProvider().get_tracer("t")

    def look() -> tuple[Any, ...]:
        here = threading.current_thread()
        ours = [name for name in vars(here) if "agent_fuse" in name]
        return trace.get_current_span().get_span_context().is_valid, dict(baggage.get_all()), HOST.get(), ours

    seen: list[Any] = []
    with session("s"), tracer.start_as_current_span("around"):
        thread = threading.Thread(target=lambda: seen.append(look()))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other:
            seen += [pool.submit(look).result(), other.apply(look)]
    assert seen == [(False, {}, "unset", [])] * 3
    assert ORIGIN.get() is None


def test_errors_of_a_task_are_its_own(box):
    """An exception of a task reaches the caller as it is, and no frame of ours stands in an executor's traceback."""
    box(budget=1)

    def fail(*_: object) -> None:
        raise LookupError("mine")

    with session("s"), ThreadPoolExecutor(1) as pool, ThreadPool(1) as other:
        failed = pool.submit(fail).exception()
        frames = traceback.extract_tb(failed.__traceback__)
        assert frames[-1].name == "fail"
        assert not [frame for frame in frames if Path(frame.filename).is_relative_to(Path(agent_fuse.__file__).parent)]
        with pytest.raises(LookupError, match="mine"):
            other.map(fail, [1])
        assert pool.submit(pickle.dumps, 3).result() == pickle.dumps(3)
        with pytest.raises(TypeError):
            pool.submit()


def originals() -> list[Any]:
    return [vars(owner).get(name) for owner, name, _ in carrying._seams()]


def test_it_can_be_taken_out_again(box):
    """With the last processor shut down every seam is as it was; turned on twice, it is on once."""
    carrying.uninstall()
    before = originals()
    rigs = [box(budget=1), box(budget=1)]
    carrying.install()
    assert all(hasattr(one, carrying._MARK) for one in originals())
    assert carrying.installed()
    active._guards = tuple(one.processor for one in rigs)
    rigs[0].processor.shutdown()
    assert carrying.installed()
    rigs[1].processor.shutdown()
    assert originals() == before
    assert not carrying.installed()


def test_a_python_without_a_seam_is_told_of(monkeypatch, caplog):
    """Where a release of Python has moved a seam, one warning says so and the others are put in."""
    carrying.uninstall()
    monkeypatch.setattr(carrying, "problem", "")
    seams = carrying._seams()
    monkeypatch.setattr(carrying, "_seams", lambda: ((threading, "_gone", carrying._start_thread), *seams[1:]))
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        carrying.install()
        carrying.install()
    (record,) = caplog.records
    assert record.message.startswith("this Python has no threading._gone: sessions do not reach the threads that")
    assert not carrying.installed()
    monkeypatch.undo()
    carrying.uninstall()


class Threading:
    """OpenTelemetry's threading instrumentation: the same seams, wrapped and unwrapped the same way."""

    SEAMS = ((threading.Thread, "start"), (threading.Thread, "run"), (ThreadPoolExecutor, "submit"))

    def instrument(self) -> None:
        for owner, name in self.SEAMS:
            wrap_function_wrapper(owner, name, getattr(self, name))

    def uninstrument(self) -> None:
        for owner, name in self.SEAMS:
            unwrap(owner, name)

    @staticmethod
    def start(call, thread, args, kwargs):
        thread._otel_context = context.get_current()
        return call(*args, **kwargs)

    @staticmethod
    def run(call, thread, args, kwargs):
        token = context.attach(thread._otel_context)
        try:
            return call(*args, **kwargs)
        finally:
            context.detach(token)

    @staticmethod
    def submit(call, pool, args, kwargs):
        here, function = context.get_current(), args[0]

        def carried(*given, **named):
            token = context.attach(here)
            try:
                return function(*given, **named)
            finally:
                context.detach(token)

        return call(carried, *args[1:], **kwargs)


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("ours_leaves_first", [True, False])
def test_beside_opentelemetrys_own(ask, ours_first, ours_leaves_first):
    """In either order, OpenTelemetry's instrumentation works, each can be taken out, and the session holds."""
    carrying.uninstall()
    theirs = [vars(owner)[name] for owner, name in Threading.SEAMS]
    ours, other = originals(), Threading()
    for install in (carrying.install, other.instrument)[:: 1 if ours_first else -1]:
        install()
    try:
        for way in ("submit", "older_map", "Thread", "Thread_subclass", "Timer", "run_in_executor", "ThreadPool_map"):
            with ThreadPoolExecutor(3) as older:
                older.submit(whose).result()
                with session(f"{way} mine", limits=Limit(calls=ROOM)):
                    assert WAYS[way](ask, older) == ROOM
    finally:
        for leave in (carrying.uninstall, other.uninstrument)[:: 1 if ours_leaves_first else -1]:
            leave()
    assert [vars(owner)[name] for owner, name in Threading.SEAMS] == theirs
    assert originals() == ours


def test_a_lost_thread_is_told_of_once(box, caplog):
    """A call from a thread that no session reached is told once, by file and line, while sessions are in use."""
    box(budget=1)
    done = threading.Semaphore(0)

    def work() -> None:
        agent_fuse.pre_flight("gpt-4o", 10, 10)
        done.release()

    line = inspect.getsourcelines(work)[1] + 1
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        agent_fuse.pre_flight("gpt-4o", 10, 10)
        _thread.start_new_thread(work, ())
        assert done.acquire(timeout=10)
        assert caplog.records == []
        with session("s"):
            for _ in range(3):
                _thread.start_new_thread(work, ())
                assert done.acquire(timeout=10)
    (record,) = caplog.records
    assert f"{__file__}:{line} has no session while sessions are in use: it counts on 'test'" in record.message


def test_a_session_crosses_processes(box, tmp_path):
    """Headers carry a session, its budget and its user to a pool of processes; without them each is on its own."""
    rig = box(budget=100, db_path=str(tmp_path / "ledger.db"), session_id="here")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, handed.start, (str(tmp_path / "ledger.db"),)) as pool:
        with session("run", budget="0.03"), session("step", user_id="ann"):
            told = list(pool.map(handed.work, [session_headers()] * 6))
        told.append(pool.submit(handed.work, {}).result())
    assert told == ["step"] * 4 + ["$0.03 per session 'run'"] * 2 + ["worker"]
    assert rig.spent("run") == rig.spent("step") == 4 * 7_500_000


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_spawned_process_is_guarded_as_its_starter(box, provider, tmp_path, method):
    """Nobody calls init() in it: same limits, same ledger, the same session, pickled with the process or left out."""
    box(limits=(Limit(calls=2),), db_path=str(tmp_path / "ledger.db"), session_id="here", on_warning=lambda _: None)
    before = provider.count
    told = []
    for _ in range(2):
        with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
            told += pool.map(handed.ask, [provider.openai_base_url] * 2)
    assert told == ["here"] * 2 + ["2 calls per session 'here'"] * 2
    assert provider.count - before == 2


@pytest.mark.parametrize("made", [ThreadPool, multiprocessing.get_context("spawn").Pool])
def test_a_trip_ends_a_task_of_an_old_pool(box, made):
    """These pools know no BaseException: their worker would die of it, and who waits would wait for ever."""
    box(budget=1)
    with made(1) as pool:
        for waiting in (pool.map_async(handed.trip, [1, 2]), pool.apply_async(handed.trip, (1,))):
            with pytest.raises(SentinelBudgetExceeded, match="refused"):
                waiting.get(timeout=100)


LIMITS = (
    Limit(usd="0.123456789"),
    Limit(tokens=5, per="user.id"),
    Limit(output_tokens=6),
    Limit(calls=7, per="all"),
    Limit(tool_calls=8, per="agent"),
    Limit(usd=9, per=("user.id", "model"), window="day", timezone="Europe/Berlin", reserve=Decimal("0.25")),
    Limit(calls=10, per="user.id", window="1m", on_limit="wait", max_wait=Fraction(1, 2)),
    Limit(usd=Decimal(11), on_tight="pause", pause_for=3),
)


def shown(session: Any) -> list[Any]:
    def terms(one: Limit) -> tuple[object, ...]:
        return (str(one), one.key, one.cap, one.kept, one.on_limit, one.max_wait, one.on_tight, one.pause_for)

    return [(one.id, [*map(terms, one.limits)], one.attributes, one.on_child_trip) for one in session.chain()]


def test_headers_carry_all_of_a_session(box):
    """Ids of any writing, limits on every meter, attributes and the sessions around come out as they went in."""
    box(budget=1)
    around = session("チャット-é\n", limits=LIMITS, user_id="ann", on_child_trip="end")
    with around, session("inner", budget=2) as inner:
        headers = session_headers()
    assert headers[HEADER].isascii()
    assert headers[HEADER].isprintable()
    with session_from({"Agent-Fuse-Session": headers[HEADER]}) as found:
        assert shown(found) == shown(inner)


def test_headers_tell_that_it_is_the_last_answer(box):
    """Work that is handed over for it may use what is kept for it, and no other."""
    box(limits=[Limit(usd=1, reserve="0.25")])
    with session("run"):
        before = session_headers()
        with final():
            last = session_headers()
    for headers, left in (before, "0.75"), (last, "1"):
        with session_from(headers), session("helper"):
            assert remaining().usd == Decimal(left)


def test_headers_shut_out_what_is_around(box):
    """A worker that was forked inside one session serves another's work as that other's alone."""
    box(budget=1)
    with session("theirs"):
        headers = session_headers()
    with session("forked inside"), session_from(headers) as found:
        assert [one.id for one in found.chain()] == ["theirs"]


def test_headers_of_a_session_that_others_name(box):
    """A session named in baggage, or by init, is carried too; where nothing names one, there is no header."""
    box(budget=1, session_id="named")
    token = context.attach(baggage.set_baggage("session.id", "by baggage"))
    assert '"by baggage"' in session_headers()[HEADER]
    context.detach(token)
    assert '"named"' in session_headers()[HEADER]
    active._guards = ()
    assert session_headers() == {}


@pytest.mark.parametrize(
    "bad", ["", "{}", "[]", "[1]", '[{"id": 1}]', '[{"id":"x","limits":[{"n":1}],"attributes":{}}]']
)
def test_a_bad_header_is_named(box, bad):
    """A header that session_headers did not make is an error of one line."""
    box(budget=1)
    with (
        pytest.raises(ConfigurationError, match="it must be what session_headers\\(\\) made"),
        session_from({HEADER: bad}),
    ):
        pass


def test_headers_must_be_headers(box):
    """What is no mapping is named; None, as Celery has it for a task without headers, is none."""
    with pytest.raises(ConfigurationError, match="session_from headers is 7"), session_from(7):
        pass
    with session_from(None) as found:
        assert found is None
