"""Calls guarded by hand: `call`, `pre_flight`, `post_flight`; alone, nested, in threads and tasks, around an SDK."""

import asyncio
import contextvars
import os
import threading
import urllib.error
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

import agent_fuse
from agent_fuse import HandCall, SentinelBudgetExceeded, Usage, call, guard, post_flight, pre_flight
from agent_fuse.calls import Status
from agent_fuse.testing import FakeClock, LoopbackProvider, Reply, assert_books_balance
from boxes import PRICE

MESSAGES: Any = [{"role": "user", "content": "Say hello to the world, please."}]


@pytest.fixture(scope="module")
def server():
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as one:
        yield one


@pytest.fixture
def provider(server):
    server.reset()
    server.default = Reply()
    return server


@pytest.fixture
def client(provider):
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0) as one:
        yield one


def test_a_pair_holds_and_books(box):
    """pre_flight holds the quote, post_flight books what was really used and frees the hold."""
    rig = box(budget=1)
    made = pre_flight("gpt-4o", 1000, 500)
    assert (made.quoted_usd, made.model, made.session, made.is_open) == (Decimal("0.0075"), "gpt-4o", "test", True)
    assert rig.books.held("session=test") == PRICE
    post_flight("gpt-4o", 500, 250, {"response_id": "resp_1", "prompt": "secret"})
    entry = rig.entry()
    assert (entry.status, entry.cost, entry.response_id, entry.model) == (
        Status.SETTLED,
        PRICE // 2,
        "resp_1",
        "gpt-4o",
    )
    assert not made.is_open


def test_exactly_as_many_as_fit(box):
    """$0.30 admits exactly 40 pairs of $0.0075, and the 41st is refused before it could be sent, with its figures."""
    rig = box(budget=Decimal("0.30"))
    for _ in range(40):
        pre_flight("gpt-4o", 1000, 500)
        post_flight("gpt-4o", 1000, 500)
    with pytest.raises(SentinelBudgetExceeded) as refused:
        pre_flight("gpt-4o", 1000, 500)
    trip = refused.value
    assert (trip.current_spend, trip.estimated_cost, trip.budget_limit) == (
        Decimal("0.3"),
        Decimal("0.0075"),
        Decimal("0.3"),
    )
    assert (trip.model, trip.overage) == ("gpt-4o", Decimal("0.0075"))
    assert trip.key == trip.session
    assert rig.spent() == 40 * PRICE
    assert_books_balance(rig.fuse.ledger)


def test_messages_and_prompt_make_the_quote(box):
    """A hold follows the size of the messages or the prompt, whatever form their content has."""
    box(budget=100)
    small = pre_flight("gpt-4o", messages=MESSAGES, estimated_output_tokens=1)
    text = pre_flight("gpt-4o", prompt="word " * 10_000, estimated_output_tokens=1)
    parts = [{"role": "user", "content": [{"type": "text", "text": "word " * 10_000}]}]
    listed = pre_flight("gpt-4o", messages=parts, estimated_output_tokens=1)
    assert small.quoted_usd < Decimal("0.001")
    assert text.quoted_usd > Decimal("0.02")
    assert listed.quoted_usd > Decimal("0.02")


def test_nested_and_interleaved_pairs(box):
    """Each post_flight finds the last open pre_flight of its own model, in whatever order they come."""
    rig = box(budget=1)
    outer, inner = pre_flight("gpt-4o", 10, 10), pre_flight("gpt-4o-mini", 10, 10)
    again = pre_flight("gpt-4o", 20, 20)
    post_flight("gpt-4o", 1, 1, {"response_id": "again"})
    assert (outer.is_open, inner.is_open, again.is_open) == (True, True, False)
    post_flight("gpt-4o", 2, 2, {"response_id": "outer"})
    post_flight("gpt-4o-mini", 3, 3, {"response_id": "inner"})
    assert [(one.model, one.response_id, one.input_tokens) for one in rig.entries()] == [
        ("gpt-4o", "outer", 2),
        ("gpt-4o-mini", "inner", 3),
        ("gpt-4o", "again", 1),
    ]
    assert rig.books.open_holds() == []


def test_a_dated_snapshot_belongs_to_its_model(box):
    """The response's own model name (a dated snapshot) pairs with the name that was asked for, and is booked."""
    rig = box(budget=1)
    pre_flight("gpt-4o", 1000, 500)
    post_flight("gpt-4o-2024-08-06", 1000, 500)
    assert rig.entry().model == "gpt-4o-2024-08-06"


def test_pairs_in_threads(box):
    """Fifty threads that each pair a call of their own leave no hold, and book each call with its own figures."""
    rig = box(budget=10)
    barrier = threading.Barrier(50)

    def work(number: int) -> None:
        barrier.wait()
        pre_flight("gpt-4o", 1000, 500)
        post_flight("gpt-4o", number, 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert rig.books.open_holds() == []
    assert sorted(one.input_tokens for one in rig.entries()) == list(range(50))


def test_a_pair_across_threads(box):
    """A post_flight in a thread that knows nothing of the pre_flight's context still finds it, once."""
    rig = box(budget=1)
    made = pre_flight("gpt-4o", 1000, 500)
    done = threading.Thread(target=lambda: post_flight("gpt-4o", 1000, 500))
    done.start()
    done.join()
    assert not made.is_open
    assert rig.entry().cost == PRICE
    post_flight("gpt-4o", 1000, 500)
    assert rig.spent() == 2 * PRICE


def test_pairs_in_tasks(box):
    """Interleaved asyncio tasks each book their own call, though all share one thread."""
    rig = box(budget=10)
    held: dict[int, HandCall] = {}

    async def work(number: int) -> None:
        held[number] = pre_flight("gpt-4o", 1000, 500)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert held[number].is_open
        post_flight("gpt-4o", number, 0)
        assert not held[number].is_open

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(main())
    assert sorted(one.input_tokens for one in rig.entries()) == list(range(20))
    assert rig.books.open_holds() == []


def test_a_task_books_for_its_parent_once(box):
    """Two tasks that inherit one open call do not both take it: the second call is booked by itself."""
    rig = box(budget=1)

    async def child() -> None:
        post_flight("gpt-4o", 1000, 500)

    async def main() -> None:
        pre_flight("gpt-4o", 1000, 500)
        await asyncio.gather(asyncio.create_task(child()), asyncio.create_task(child()))

    asyncio.run(main())
    assert rig.spent() == 2 * PRICE
    assert rig.books.open_holds() == []


def test_a_post_flight_alone_books(box):
    """A post_flight without a pre_flight books what it says, past the limit too: what was spent was spent."""
    rig = box(budget=Decimal("0.001"))
    post_flight("gpt-4o", 1000, 500)
    assert rig.entry().cost == PRICE


def test_all_buckets_are_billed(box):
    """Cached input is billed at the cached rate; the buckets reach the journal."""
    rig = box(budget=1)
    post_flight("gpt-4o", 1000, 500, cache_read_tokens=1000, reasoning_tokens=100)
    entry = rig.entry()
    assert entry.cost == 1000 * 1250 + 500 * 10_000
    assert (entry.cache_read_tokens, entry.reasoning_tokens) == (1000, 100)


def test_a_pre_flight_alone_expires_as_presumed_spent(box):
    """Without a post_flight the hold is presumed spent at the quote; a later real figure corrects it."""
    clock = FakeClock(1_000_000.0)
    rig = box(budget=1, hold_seconds=60, clock=clock)
    contextvars.copy_context().run(pre_flight, "gpt-4o", 1000, 500)
    clock.advance(61)
    pre_flight("gpt-4o-mini", 1, 1).release()
    (entry,) = rig.entries()
    assert (entry.status, entry.cost) == (Status.PRESUMED, PRICE)
    post_flight("gpt-4o", 2000, 1000)
    (entry,) = rig.entries()
    assert (entry.status, entry.cost) == (Status.SETTLED, 2 * PRICE)
    assert rig.books.open_holds() == []


def test_a_crowd_of_pre_flights_is_bounded(box, monkeypatch):
    """Calls that never get their post_flight are booked by estimate when too many wait, and are forgotten."""
    monkeypatch.setattr("agent_fuse.manual.pre_post_flight.MAX_PENDING", 5)
    rig = box(budget=1)
    for _ in range(8):
        contextvars.Context().run(pre_flight, "gpt-4o", 1000, 500)
    assert len(rig.books.open_holds()) == 5
    assert [one.status for one in rig.entries()] == [Status.ESTIMATED] * 3


def test_release_gives_the_hold_back(box):
    """A call that was not made after all costs nothing."""
    rig = box(budget=1)
    pre_flight("gpt-4o", 1000, 500).release()
    assert (rig.books.held("session=test"), rig.spent()) == (0, 0)


def test_with_call_books_what_it_is_told(box):
    """`with call` holds, and books usage by figures, by a dict or by an object, or else the quote, as estimated."""
    rig = box(budget=1)
    with call("gpt-4o", 1000, 500) as one:
        assert rig.books.held("session=test") == PRICE
        one.usage(500, 250)
    with call("gpt-4o", 1000, 500) as one:
        assert one.response({"id": "x1", "usage": {"prompt_tokens": 100, "completion_tokens": 50}})
    with call("gpt-4o", 1000, 500) as one:
        assert not one.response("no usage here")
    told = [(entry.status, entry.cost, entry.response_id) for entry in rig.entries()]
    assert told == [
        (Status.SETTLED, PRICE // 2, ""),
        (Status.SETTLED, PRICE // 10, "x1"),
        (Status.ESTIMATED, PRICE, ""),
    ]
    assert rig.books.open_holds() == []


def test_async_with_call(box):
    """`async with call` does the same, and tasks do not see each other's calls."""
    rig = box(budget=1)

    async def work(tokens: int) -> None:
        async with call("gpt-4o", 1000, 500) as one:
            await asyncio.sleep(0)
            one.usage(tokens, 0)

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in (10, 20, 30)))

    asyncio.run(main())
    assert sorted(one.input_tokens for one in rig.entries()) == [10, 20, 30]


SHAPES = [
    SimpleNamespace(usage_metadata={"input_tokens": 100, "output_tokens": 50, "input_token_details": {"cache_read": 10}}),
    SimpleNamespace(usage_metadata=SimpleNamespace(prompt_token_count=100, candidates_token_count=30, thoughts_token_count=20, cached_content_token_count=10)),
    {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 50, "cachedContentTokenCount": 10}},
    {"usage": {"inputTokens": 90, "outputTokens": 50, "cacheReadInputTokens": 10}},
    {"usage": {"input_tokens": 90, "output_tokens": 50, "cache_read_input_tokens": 10}},
    {"usage": {"billed_units": {"input_tokens": 100, "output_tokens": 50}}},
    {"prompt_eval_count": 100, "eval_count": 50},
    Usage(input_tokens=100, output_tokens=50),
]  # fmt: skip


@pytest.mark.parametrize("response", SHAPES, ids=["langchain", "gemini", "gemini-json", "bedrock", "anthropic", "cohere", "ollama", "usage"])  # fmt: skip
def test_responses_of_every_shape(box, response):
    """Usage is read from what providers and frameworks really return, into inclusive buckets."""
    rig = box(budget=1)
    with call("gpt-4o", 1, 1) as one:
        assert one.response(response)
    entry = rig.entry()
    assert (entry.input_tokens, entry.output_tokens) == (100, 50)
    assert entry.cache_read_tokens in (10, None)


class Status429(Exception):
    status_code = 429


class BotoError(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.response = {"ResponseMetadata": {"HTTPStatusCode": 403}}


FREE = [
    Status429("too many"),
    BotoError("denied"),
    ConnectionRefusedError("nobody there"),
    urllib.error.URLError(ConnectionRefusedError("nobody there")),
    urllib.error.HTTPError("http://x", 503, "busy", {}, None),
    httpx.HTTPStatusError("bad", request=httpx.Request("POST", "http://x"), response=httpx.Response(400)),
    httpx.ConnectTimeout("no answer"),
]
PAID = [TimeoutError("no answer in time"), httpx.ReadTimeout("slow"), KeyError("text"), asyncio.CancelledError()]


@pytest.mark.parametrize("error", FREE, ids=lambda one: type(one).__name__)
def test_an_error_that_cost_nothing_gives_the_hold_back(box, error):
    """After an error status or a connection that was refused, nothing is booked or held; the error passes."""
    rig = box(budget=1)
    with pytest.raises(type(error)), call("gpt-4o", 1000, 500):
        raise error
    assert (rig.entries(), rig.books.open_holds(), rig.spent()) == ([], [], 0)


@pytest.mark.parametrize("error", PAID, ids=lambda one: type(one).__name__)
def test_an_error_after_which_it_may_have_cost_is_estimated(box, error):
    """A timeout, a cancelled task, or a bug of the caller's own leaves the call booked at its quote, as estimated."""
    rig = box(budget=1)
    with pytest.raises(type(error)), call("gpt-4o", 1000, 500):
        raise error
    assert (rig.entry().status, rig.entry().cost) == (Status.ESTIMATED, PRICE)


def test_usage_told_before_an_error_is_booked(box):
    """What the provider reported is booked even when the caller fails afterwards."""
    rig = box(budget=1)
    one = call("gpt-4o", 1000, 500)
    with pytest.raises(KeyError), one:
        _ = one.usage(100, 50) or {}["text"]
    assert (rig.entry().status, rig.entry().cost) == (Status.SETTLED, PRICE // 10)


def test_a_request_inside_is_the_same_call(box, client):
    """A gated SDK's request inside `with call` is counted once, by the request's own usage."""
    rig = box(budget=1)
    with call("gpt-4o", 1000, 500) as one:
        one.response(client.chat.completions.create(model="gpt-4o", messages=MESSAGES))
    assert (rig.entry().status, rig.entry().cost, rig.books.spent("all")) == (Status.SETTLED, PRICE, PRICE)


def test_a_pair_around_a_request_is_the_same_call(box, client):
    """pre_flight, a gated SDK's request, post_flight: one call; the next request is a call of its own."""
    rig = box(budget=1)
    pre_flight("gpt-4o", 1000, 500)
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    post_flight("gpt-4o", 1000, 500)
    assert rig.entry().cost == PRICE
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert rig.spent() == 2 * PRICE


def test_two_requests_inside_are_two_calls(box, client):
    """A second request inside one `with call` is not lost in the first."""
    rig = box(budget=1)
    with call("gpt-4o", 1000, 500):
        for _ in range(2):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert [one.cost for one in rig.entries()] == [PRICE, PRICE]
    assert rig.books.open_holds() == []


def test_nested_calls_each_count(box, client):
    """A call inside a call is another call; the request belongs to the inner one."""
    rig = box(budget=1)
    with call("gpt-4o", 2000, 1000) as outer:
        with call("gpt-4o", 1000, 500):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        outer.usage(2000, 1000)
    assert sorted(one.cost for one in rig.entries()) == [PRICE, 2 * PRICE]


def test_a_failed_request_inside_costs_nothing(box, provider, client):
    """The SDK's 500 gives the hold of the call around it back too."""
    rig = box(budget=1)
    provider.default = Reply(status=500)
    with pytest.raises(openai.InternalServerError), call("gpt-4o", 1000, 500):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert (rig.entries(), rig.books.open_holds()) == ([], [])


def test_a_refused_request_inside_leaves_nothing_open(box, provider, client):
    """When the request asks for more than is left, the trip passes through the block and nothing stays held."""
    rig = box(budget=Decimal("0.01"))
    with pytest.raises(SentinelBudgetExceeded), call("gpt-4o", 1, 1):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=10_000)
    assert (rig.entries(), rig.books.open_holds(), len(provider.requests)) == ([], [], 0)


def test_a_streamed_request_inside_is_booked_when_it_ends(box, client):
    """A stream that outlives the block settles once, by what it used."""
    rig = box(budget=1)
    with call("gpt-4o", 1000, 500):
        stream = client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    assert rig.entries() == []
    list(stream)
    assert (rig.entry().status, rig.entry().cost) == (Status.SETTLED, PRICE)


def test_sessions_and_their_budgets_hold_by_hand(box):
    """A call by hand goes on the account of the session around it, with that session's budget."""
    rig = box(budget=1)
    with agent_fuse.session("small", budget=Decimal("0.0075")):
        pre_flight("gpt-4o", 1000, 500)
        post_flight("gpt-4o", 1000, 500)
        with pytest.raises(SentinelBudgetExceeded):
            pre_flight("gpt-4o", 1000, 500)
    assert (rig.spent("small"), rig.spent()) == (PRICE, 0)
    pre_flight("gpt-4o", 1000, 500)


def test_a_forked_child_begins_with_no_open_calls(box):
    """A child does not take its parent's pre_flight from the process's list; its own post_flight books by itself."""
    rig = box(budget=1)
    made = contextvars.Context().run(pre_flight, "gpt-4o", 1000, 500)
    child = os.fork()
    if child == 0:
        try:
            post_flight("gpt-4o", 100, 50)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert made.is_open
    assert (len(rig.books.open_holds()), rig.spent()) == (1, PRICE // 10)


def test_a_call_is_made_once(box):
    """The same call cannot be entered twice: its second cost would be lost."""
    box(budget=1)
    one = call("gpt-4o", 1, 1)
    with one:
        one.usage(1, 1)
    with pytest.raises(agent_fuse.ConfigurationError, match="call to gpt-4o was opened before"), one:
        pass


def test_by_hand_inside_a_guarded_function_is_one_call(box):
    """A pair inside a guarded function is that function's call, not a second one."""
    rig = box(budget=1)

    @guard(model="gpt-4o", estimated_input_tokens=1000, estimated_output_tokens=500)
    def ask() -> str:
        pre_flight("gpt-4o", 1000, 500)
        post_flight("gpt-4o", 1000, 500)
        return "text"

    ask()
    assert (rig.entry().status, rig.spent()) == (Status.SETTLED, PRICE)


def test_under_langchain_the_trip_is_soft(box):
    """In a LangChain model of one's own, whose async path knows only Exception, the trip arrives as its own class."""

    class Mine(GenericFakeChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            with call("gpt-4o", 1000, 500):
                return super()._generate(*args, **kwargs)

    rig = box(budget=Decimal("0.0075"))
    model = Mine(messages=iter(["hello", "again", "once more"]))
    assert model.invoke("hi").content == "hello"
    with pytest.raises(SentinelBudgetExceeded):
        model.invoke("hi")
    with pytest.raises(SentinelBudgetExceeded):
        asyncio.run(model.ainvoke("hi"))
    assert (rig.entry().status, rig.books.refused("session=test")) == (Status.ESTIMATED, 2)
