"""`guard` and `loop_guard`: every kind of function stays its kind, and each call of it is one call."""

import asyncio
import functools
import inspect
import threading
from decimal import Decimal
from typing import Any

import openai
import pytest

from agent_fuse import SentinelBudgetExceeded, SentinelLoopError, Usage, call, check_loop, guard, loop_guard
from agent_fuse.calls import Status
from agent_fuse.ledgers.base import Meter
from agent_fuse.testing import LoopbackProvider
from boxes import PRICE

ANSWER = {"id": "r1", "model": "gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
MESSAGES: Any = [{"role": "user", "content": "Say hello to the world, please."}]
ROOM = guard(model="gpt-4o", estimated_input_tokens=1000, estimated_output_tokens=500)


def consume(some: Any) -> None:
    for _ in some:
        pass


def test_bare_guard_calls_the_function_and_books(box):
    """`@guard` without parentheses wraps the function, which runs, and its returned usage is booked."""
    rig = box(budget=1)

    @guard
    def ask(question: str) -> dict[str, Any]:
        """Asks."""
        return {**ANSWER, "question": question}

    assert (ask.__name__, ask.__doc__, list(inspect.signature(ask).parameters)) == ("ask", "Asks.", ["question"])
    assert ask("what?")["question"] == "what?"
    assert (rig.entry().status, rig.entry().cost, rig.entry().response_id) == (Status.SETTLED, PRICE, "r1")


def told(caplog):
    """What was said of functions that tell no usage."""
    return [one.getMessage() for one in caplog.records if one.getMessage().startswith("@guard:")]


def test_a_function_that_tells_no_usage_is_named_once(box, caplog):
    """Calls that can only be booked at their quotes are told of once a function, with its name and what to do."""
    box(budget=1)

    @guard(model="gpt-4o")
    def ask(question: str) -> str:
        return "42"

    @guard(model="gpt-4o", estimated_input_tokens=2_000)
    async def ask_later() -> None:
        return None

    for _ in range(3):
        ask("what?")
    asyncio.run(ask_later())
    here = f"{__name__}.test_a_function_that_tells_no_usage_is_named_once.<locals>"
    assert told(caplog) == [
        f"@guard: {here}.{name} tells no usage, so its calls are booked at their quotes, this one at {cost} for {into} "
        "tokens in, 1,000 out; let it return the provider's response or a Usage, or give estimated_output_tokens"
        for name, cost, into in (("ask", "$0.02", "4,000"), ("ask_later", "$0.015", "2,000"))
    ]


@pytest.mark.parametrize("kind", ["response", "usage", "by hand", "stream", "estimated", "failed"])
def test_nothing_is_said_where_usage_is_known(box, caplog, kind):
    """No word where a response, a Usage, a call by hand inside or a stream's piece tells it, or its size was given."""
    box(budget=1)

    @guard(model="gpt-4o", **({"estimated_output_tokens": 10} if kind == "estimated" else {}))
    def ask() -> Any:
        if kind == "by hand":
            with call("gpt-4o") as one:
                one.usage(10, 5)
        if kind == "failed":
            raise ValueError("no request was made")
        return {"response": ANSWER, "usage": Usage(input_tokens=1, output_tokens=2)}.get(kind)

    @guard(model="gpt-4o")
    def stream() -> Any:
        yield ANSWER

    if kind == "stream":
        consume(stream())
    elif kind == "failed":
        with pytest.raises(ValueError, match="no request"):
            ask()
    else:
        ask()
    assert told(caplog) == []


@pytest.mark.parametrize("decorate", [guard, guard(), guard("gpt-4o"), guard(model="gpt-4o")])
def test_every_spelling_of_guard(box, decorate):
    """`@guard`, `@guard()`, `@guard("gpt-4o")` and `@guard(model="gpt-4o")` all refuse before the function runs."""
    box(budget=0)
    ran = []
    with pytest.raises(SentinelBudgetExceeded):
        decorate(lambda: ran.append(1))()
    assert ran == []


def test_the_model_of_the_call_is_quoted(box):
    """A `model` argument of the function is what is quoted and booked; a response names it where nothing else does."""
    rig = box(budget=1)

    @guard
    def ask(messages: Any, model: str = "gpt-4o-mini") -> dict[str, Any]:
        return {"usage": ANSWER["usage"]}

    @guard
    def other() -> dict[str, Any]:
        return {**ANSWER, "model": "gpt-4o-mini"}

    ask(MESSAGES)
    other()
    assert [(one.model, one.cost) for one in rig.entries()] == [("gpt-4o-mini", 450_000)] * 2


def test_without_usage_it_is_booked_by_its_quote(box):
    """A guarded function that returns a text is booked at the quote, as estimated: never at nothing."""
    rig = box(budget=1)
    assert ROOM(lambda: "text")() == "text"
    assert (rig.entry().status, rig.entry().cost) == (Status.ESTIMATED, PRICE)


def test_a_function_that_raises(box):
    """What it raises passes; a refused connection costs nothing, a bug is booked as estimated."""
    rig = box(budget=1)

    @ROOM
    def ask(error: BaseException) -> None:
        raise error

    with pytest.raises(ConnectionRefusedError):
        ask(ConnectionRefusedError())
    assert rig.entries() == []
    with pytest.raises(ZeroDivisionError):
        ask(ZeroDivisionError())
    assert rig.entry().status is Status.ESTIMATED


def test_async_functions_stay_coroutine_functions(box):
    """An async function is awaited as before, also as a method, a partial or an object called like one."""
    rig = box(budget=1)

    class Agent:
        @ROOM
        async def ask(self, question: str) -> dict[str, Any]:
            await asyncio.sleep(0)
            return {**ANSWER, "question": question}

    class Called:
        async def __call__(self) -> dict[str, Any]:
            return ANSWER

    ask = ROOM(functools.partial(Agent().ask, "x"))
    assert inspect.iscoroutinefunction(Agent.ask)
    assert inspect.iscoroutinefunction(ROOM(Called()))
    assert asyncio.run(Agent().ask("what?"))["question"] == "what?"
    assert asyncio.run(ROOM(Called())()) == ANSWER
    assert len(rig.entries()) == 2
    asyncio.run(ask())
    assert len(rig.entries()) == 3  # guarded twice, called once
    assert rig.spent() == 3 * PRICE


def test_a_plain_function_that_returns_an_awaitable(box):
    """The call ends when the awaitable does, not when it is made."""
    rig = box(budget=1)

    async def inner() -> dict[str, Any]:
        assert rig.books.held("session=test") == PRICE
        return ANSWER

    def make() -> Any:
        return inner()

    asked = ROOM(make)()
    assert rig.entries() == []

    async def main() -> Any:
        return await asked

    assert asyncio.run(main()) == ANSWER
    assert rig.entry().cost == PRICE


def test_generators_stay_generators(box):
    """A generator sends, throws, returns and closes as before; its pieces tell the usage."""
    rig = box(budget=1)

    @ROOM
    def stream():
        got = yield "first"
        try:
            yield got
        except ValueError:
            yield "caught"
        yield {"usage": {"prompt_tokens": 100, "completion_tokens": 50}}
        return "done"

    assert inspect.isgeneratorfunction(stream)
    running = stream()
    assert rig.books.held("session=test") == 0
    assert next(running) == "first"
    assert rig.books.held("session=test") == PRICE
    assert running.send("echo") == "echo"
    assert running.throw(ValueError()) == "caught"
    assert isinstance(next(running), dict)
    with pytest.raises(StopIteration) as stopped:
        next(running)
    assert stopped.value.value == "done"
    assert (rig.entry().status, rig.entry().cost) == (Status.SETTLED, PRICE // 10)


def test_a_generator_broken_off_is_estimated(box):
    """A stream that nobody reads to its end is booked by estimate, and its own clean-up runs."""
    rig = box(budget=1)
    closed = []

    @ROOM
    def stream():
        try:
            yield from range(10)
        finally:
            closed.append(True)

    for _ in stream():
        break
    assert closed == [True]
    assert (rig.entry().status, rig.entry().cost) == (Status.ESTIMATED, PRICE)


def test_async_generators_stay_async_generators(box):
    """The same for async generators, read to the end or closed early."""
    rig = box(budget=1)

    @ROOM
    async def stream():
        got = yield "first"
        yield got
        yield ANSWER

    assert inspect.isasyncgenfunction(stream)

    async def main() -> list[Any]:
        running = stream()
        seen = [await anext(running), await running.asend("echo")]
        seen += [one async for one in running]
        early = stream()
        await anext(early)
        await early.aclose()
        return seen

    assert asyncio.run(main()) == ["first", "echo", ANSWER]
    assert sorted(one.status for one in rig.entries()) == [Status.ESTIMATED, Status.SETTLED]
    assert rig.books.open_holds() == []


def test_between_two_items_the_caller_is_outside(box):
    """A call made between two items of a guarded generator is the caller's own, not the generator's."""
    rig = box(budget=1)

    @ROOM
    def stream():
        yield 1
        yield ANSWER

    @ROOM
    def other() -> dict[str, Any]:
        return ANSWER

    for _ in stream():
        other()
    assert rig.spent() == 3 * PRICE


def test_a_request_inside_a_guarded_function_is_one_call(box):
    """A gated SDK's request in a guarded function is counted once; a second one is another call."""
    rig = box(budget=1)
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)

        @guard
        def ask(times: int) -> None:
            for _ in range(times):
                client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

        with client:
            ask(1)
            assert (rig.entry().status, rig.entry().cost) == (Status.SETTLED, PRICE)
            ask(3)
    assert rig.spent() == 4 * PRICE
    assert rig.books.open_holds() == []


def test_guarded_functions_inside_one_another(box):
    """An agent that calls two guarded models makes two calls, not three."""
    rig = box(budget=1)

    @ROOM
    def model() -> dict[str, Any]:
        return ANSWER

    @ROOM
    def agent() -> str:
        model()
        model()
        return "done"

    agent()
    assert [one.cost for one in rig.entries()] == [PRICE, PRICE]
    assert rig.books.open_holds() == []


def test_a_returned_usage_is_booked_even_from_an_odd_object(box):
    """What a response object does when it is looked at never reaches the caller."""
    rig = box(budget=1)

    class Odd:
        @property
        def usage(self) -> Any:
            raise RuntimeError("lazy")

    def make() -> Odd:
        return Odd()

    ROOM(make)()
    assert rig.entry().status is Status.ESTIMATED


def test_loop_guard_trips_past_the_threshold(box):
    """The sixth identical call trips before the body runs; other arguments have a counter of their own."""
    box(budget=1)
    ran: list[str] = []

    @loop_guard()
    def search_web(query: str, limit: int = 10) -> str:
        ran.append(query)
        return "the same"

    for spelled in range(5):
        if spelled % 2:
            search_web("python")
        else:
            search_web(query="python", limit=10)
    with pytest.raises(SentinelLoopError) as tripped:
        search_web("python")
    assert (tripped.value.call_count, len(ran)) == (6, 5)
    assert tripped.value.signature == tripped.value.pattern == 'search_web|{"limit": 10, "query": "python"}'
    search_web("rust")


@pytest.mark.parametrize("decorate", [loop_guard, loop_guard(), loop_guard("search"), loop_guard(tool_name="search")])
def test_every_spelling_of_loop_guard(box, decorate):
    """`@loop_guard`, `@loop_guard()`, `@loop_guard("name")`: all count; results that stay the same are no news."""
    box(budget=1)

    def search(query: str) -> int:
        return 1

    guarded = decorate(search)
    for _ in range(5):
        guarded("x")
    with pytest.raises(SentinelLoopError, match="search"):
        guarded("x")


def test_self_is_not_part_of_the_signature(box):
    """Two objects' methods with the same arguments are the same action; static and class methods work too."""
    box(budget=1, loop_threshold=3)

    class Tools:
        @loop_guard()
        def search(self, query: str) -> int:
            return 1

        @loop_guard()
        @classmethod
        def find(cls, query: str) -> str:
            return cls.__name__

        @loop_guard()
        @staticmethod
        def read(path: str) -> int:
            return 1

    assert Tools.find("x") == "Tools"
    Tools.read("x")
    for name in ("search", "find", "read"):
        with pytest.raises(SentinelLoopError) as tripped:
            consume(getattr(Tools(), name)("x") for _ in range(10))
        assert tripped.value.call_count == 4
        assert "Tools" not in tripped.value.signature


def test_results_are_looked_at(box):
    """Polling whose results change is no loop; the same error with ever other arguments is one."""
    box(budget=1, loop_threshold=3)
    states = iter(range(100))

    @loop_guard()
    def poll(job: str) -> str:
        return f"{next(states)} percent"

    for _ in range(30):
        poll("job-1")

    @loop_guard()
    def write(path: str) -> None:
        raise PermissionError("disk is read-only")

    for number in range(3):
        with pytest.raises(PermissionError):
            write(f"/x/{number}")
    with pytest.raises(SentinelLoopError) as tripped:
        write("/x/99")
    assert tripped.value.kind == "error"


def test_async_tools_stay_async(box):
    """A guarded coroutine function, generator and async generator stay what they are, and trip when they run."""
    box(budget=1, loop_threshold=2)

    @loop_guard()
    async def fetch(url: str) -> str:
        return "page"

    @loop_guard()
    def lines(path: str):
        yield "line"

    @loop_guard()
    async def chunks(path: str):
        yield "chunk"

    async def drain() -> list[str]:
        return [one async for one in chunks("x")]

    assert inspect.iscoroutinefunction(fetch)
    assert inspect.isgeneratorfunction(lines)
    assert inspect.isasyncgenfunction(chunks)
    runs = (lambda: asyncio.run(fetch("x")), lambda: list(lines("x")), lambda: asyncio.run(drain()))
    for run in runs:
        assert run()
        assert run()
        with pytest.raises(SentinelLoopError):
            run()


def test_arguments_that_do_not_fit_are_the_functions_own_error(box):
    """A call that the function does not take raises its own TypeError, and is not counted."""
    rig = box(budget=1)

    @loop_guard()
    def search(query: str) -> int:
        return 1

    with pytest.raises(TypeError, match="query"):
        search()
    assert rig.books.spent("session=test", Meter.TOOL_CALLS) == 0


def test_the_tool_action_is_counted_once(box):
    """A guarded tool that checks itself by hand too is one action."""
    rig = box(budget=1)

    @loop_guard()
    def search(query: str) -> int:
        check_loop("search", {"query": query})
        return 1

    for number in range(4):
        search(f"{number}")
    assert rig.books.spent("session=test", Meter.TOOL_CALLS) == 4


def test_other_arguments_are_another_action(box):
    """A guarded tool that runs after a check of other arguments is counted for itself."""
    rig = box(budget=1)
    guarded = loop_guard("search")(lambda query: 1)
    for number in range(3):
        check_loop("search", {"query": f"a{number}"})
        guarded(f"b{number}")
    assert rig.books.spent("session=test", Meter.TOOL_CALLS) == 6


def test_calls_by_hand_that_overlap_are_not_one(box):
    """A guarded function and a block that run at the same time with the same figures are two calls."""
    rig = box(budget=1)
    guarded = ROOM(lambda: ANSWER)
    with call("gpt-4o", 1000, 500) as one:
        worker = threading.Thread(target=guarded)
        worker.start()
        worker.join()
        one.response(ANSWER)
    guarded()
    assert rig.spent() == 3 * PRICE


def test_money_and_tools_are_apart(box):
    """A loop check costs no money and no model call."""
    rig = box(budget=Decimal(0))
    loop_guard("tool")(lambda: 1)()
    assert rig.books.spent("session=test") == 0
