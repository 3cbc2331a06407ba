"""Calls that wait for open ones go in the order in which they came: a later small one does not starve an earlier one."""

import asyncio
import signal
import threading
import time

import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, control
from agent_fuse.accounting.line import MOST, PlaceInLine
from agent_fuse.ledgers.base import Cap, Meter, Refusal
from agent_fuse.ledgers.controls import read
from agent_fuse.testing import LoopbackProvider, Reply

WAIT = 2.0


def charge(usd, name, order, held=0.0, until=None):
    """Hold so much for so long, or until that is set, and note when it was let in."""
    try:
        with agent_fuse.call("gpt-4o", 0, int(usd * 100_000)) as made:
            order.append(name)
            time.sleep(held) if until is None else until.wait(60)
            made.usage(0, 0)
    except SentinelBudgetExceeded:
        order.append(f"{name} refused")


def start(*given, **named):
    thread = threading.Thread(target=charge, args=given, kwargs=named)
    thread.start()
    return thread


def test_a_stream_of_small_calls_does_not_starve_a_large_one(box) -> None:
    """The large one needs all there is; small ones, each of which would fit at once, keep coming while it waits."""
    box(budget=1, busy_wait=WAIT)
    order: list[str] = []
    threads = [start(0.5, "first", order, held=0.5)]
    time.sleep(0.1)
    threads.append(start(1, "large", order, held=0.1))
    time.sleep(0.1)
    for number in range(6):
        threads.append(start(0.2, f"small {number}", order, held=0.6))
        time.sleep(0.1)
    for one in threads:
        one.join()
    assert order[:2] == ["first", "large"]
    assert sorted(order[2:]) == [f"small {number}" for number in range(6)]


def test_nobody_stands_in_line_longer_than_it_would_wait(box) -> None:
    """The one ahead waits in vain; the one behind goes when its own two seconds are over, or when the other gives up."""
    box(budget=1, busy_wait=0.6)
    order: list[str] = []
    over = threading.Event()
    threads = [start(0.5, "open", order, until=over)]
    time.sleep(0.1)
    threads.append(start(1, "large", order))
    time.sleep(0.1)
    began = time.monotonic()
    charge(0.2, "small", order)
    took = time.monotonic() - began
    over.set()
    for one in threads:
        one.join()
    assert order == ["open", "large refused", "small"]
    assert 0.3 < took < 2.5


def test_only_those_who_want_the_same_stand_in_line(box) -> None:
    """A session of its own budget passes by."""
    box(budget=1, busy_wait=WAIT)
    order: list[str] = []
    threads = [start(0.5, "open", order, held=0.6)]
    time.sleep(0.1)
    threads.append(start(1, "large", order))
    time.sleep(0.1)
    with agent_fuse.session("another"):
        charge(0.2, "other", order)
    assert order == ["open", "other"]
    for one in threads:
        one.join()


def test_where_nobody_waits_nobody_stands_back(box) -> None:
    """With `busy_wait=0` a call that does not fit is refused at once, and holds nobody up."""
    box(budget=1, busy_wait=0)
    order: list[str] = []
    thread = start(0.5, "open", order, held=0.5)
    time.sleep(0.1)
    charge(1, "large", order)
    charge(0.2, "small", order)
    assert order == ["open", "large refused", "small"]
    thread.join()


@pytest.mark.parametrize("limit", [Limit(concurrent=1), Limit(concurrent=1, on_limit="wait", max_wait=30)])
def test_tasks_of_an_event_loop_go_in_the_order_in_which_they_came(box, limit) -> None:
    """One open call at a time: whoever is in line first is served first, though all ask again at their own times."""
    box(limits=[limit], busy_wait=30)
    with LoopbackProvider(Reply(text="ok", delay_s=0.12)) as provider:

        async def run():
            async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:

                async def ask(number):
                    await asyncio.sleep(number * 0.03)
                    said = [{"role": "user", "content": f"{number}"}]
                    await client.chat.completions.create(model="gpt-4o", messages=said, max_tokens=5)

                await asyncio.gather(*map(ask, range(6)))

        asyncio.run(run())
    assert [one.body["messages"][0]["content"] for one in provider.requests] == list("012345")


def test_who_was_cancelled_holds_nobody_up(box) -> None:
    """A task that is cancelled while it waits leaves the line."""
    one = box(limits=[Limit(concurrent=1)], busy_wait=30)
    with LoopbackProvider(Reply(text="ok", delay_s=0.9)) as provider:

        async def run():
            async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:

                async def ask(text):
                    said = [{"role": "user", "content": text}]
                    await client.chat.completions.create(model="gpt-4o", messages=said, max_tokens=5)

                first = asyncio.create_task(ask("first"))
                await asyncio.sleep(0.1)
                second = asyncio.create_task(ask("second"))
                await asyncio.sleep(0.1)
                third = asyncio.create_task(ask("third"))
                await asyncio.sleep(0.05)
                second.cancel()
                await asyncio.gather(first, third)

        asyncio.run(run())
    assert [one.body["messages"][0]["content"] for one in provider.requests] == ["first", "third"]
    assert one.fuse.ledger.controls() == {}, "nobody is in line any more"


# Over processes -----------------------------------------------------------------------------------------------------

WAITER = """
import sys
import agent_fuse
from agent_fuse import Limit
tokens, url, window = sys.argv[1:]
limit = Limit(output_tokens=100, per="all", window=window or None, on_limit="wait", max_wait=7200)
agent_fuse.init(limits=[limit], db_path=url)
with agent_fuse.call("gpt-4o", 0, int(tokens)) as made:
    print("in", flush=True)
    sys.stdin.readline()
    made.usage(0, 0)
"""
"""Waits until there is room for so many of a hundred tokens, says so, and keeps it until it is told."""

ROOM = Limit(output_tokens=100, per="all", on_limit="wait", max_wait=600)


class Waiter:
    """A process that waits, or has its room."""

    def __init__(self, process):
        self.process = process

    def is_in(self):
        """Waits for that."""
        assert self.process.stdout.readline() == "in\n"

    def end(self):
        """Its call is over, and free."""
        self.process.tell("")
        assert self.process.wait() == 0

    def stand_still(self, ledger):
        """Between two of its steps: whoever is stopped in a transaction on a file holds up all, in line or not."""
        is_free = getattr(ledger, "is_free", lambda: True)
        while True:
            self.process.stop()
            if is_free():
                return
            self.go_on()
            time.sleep(0.01)

    def go_on(self):
        self.process.signal(signal.SIGCONT)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return str(tmp_path / "books.db") if request.param == "sqlite" else request.getfixturevalue("postgres").database()


@pytest.fixture
def waiter(url, begun):
    """Starts one."""

    def make(tokens, window=""):
        return Waiter(begun(WAITER, str(tokens), url, window))

    return make


def amounts_in_line(fuse):
    """What others wait for, the first come first."""
    found = read(fuse.ledger.controls()).by_account.get("all")
    waiting = found.waiting if found is not None else ()
    return [one.amount for one in sorted(waiting, key=lambda one: one.since) if one.waits_at(time.time())]


def until(holds):
    """Wait for that, a minute at most."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_processes_go_in_the_order_in_which_they_came(box, url, waiter) -> None:
    """The large one needs all there is. The small one, of another process, would fit at once, and lets it go first."""
    fuse = box(limits=[ROOM], db_path=url).fuse
    with agent_fuse.call("gpt-4o", 0, 50) as mine:
        large = waiter(100)
        until(lambda: amounts_in_line(fuse) == [100])
        small = waiter(20)
        until(lambda: amounts_in_line(fuse) == [100, 20])
        mine.usage(0, 0)
    large.is_in()
    until(lambda: amounts_in_line(fuse) == [20])
    large.end()
    small.is_in()
    small.end()
    until(lambda: fuse.ledger.controls() == {})


def test_who_is_killed_or_stopped_in_line_holds_nobody_up(box, url, waiter) -> None:
    """Its place is given up a moment later; one that only stood still has its turn when it goes on."""
    fuse = box(limits=[ROOM], db_path=url).fuse
    with agent_fuse.call("gpt-4o", 0, 50) as mine:
        killed = waiter(100)
        until(lambda: amounts_in_line(fuse) == [100])
        killed.process.kill()
        small = waiter(20)
        small.is_in()
        stopped = waiter(100)
        until(lambda: amounts_in_line(fuse) == [100])
        stopped.stand_still(fuse.ledger)
        late = waiter(20)
        late.is_in()
        stopped.go_on()
        late.end()
        small.end()
        mine.usage(0, 0)
    stopped.is_in()
    stopped.end()


def test_a_windows_room_goes_to_who_came_first_too(box, url, waiter) -> None:
    """The small one would fit into what its window has left, and stands back behind one that does not."""
    fuse = box(limits=[Limit(output_tokens=100, per="all", window="1h")], db_path=url).fuse
    with agent_fuse.call("gpt-4o", 0, 60) as made:
        made.usage(0, 60)
    large = waiter(50, "1h")
    until(lambda: [one.amount for one in waiting(fuse)] == [50])
    small = waiter(20, "1h")
    until(lambda: sorted(one.amount for one in waiting(fuse)) == [20, 50])
    control.top_up("all", output_tokens=10, db_path=url, who="test")
    large.is_in()
    until(lambda: [one.amount for one in waiting(fuse)] == [20])
    control.top_up("all", output_tokens=20, db_path=url, who="test")
    small.is_in()
    large.end()
    small.end()


def waiting(fuse):
    return [one for each in read(fuse.ledger.controls()).by_account.values() for one in each.waiting]


# In the ledger ------------------------------------------------------------------------------------------------------


def test_a_line_is_no_longer_than_it_may_be(box) -> None:
    """Who comes when it is full waits without a place, and gets one when there is one."""
    fuse = box().fuse
    short = Refusal(Cap("all", Meter.CALLS, 1), 0, 1, 1)
    those = [PlaceInLine(fuse.ledger, float(number)) for number in range(MOST + 1)]
    for one in those:
        one.stand(short, 1000.0, 0.1)
    assert [one.since for one in waiting(fuse)] == [float(number) for number in range(MOST)]
    those[0].leave(1000.0)
    those[-1].stand(short, 1001.0, 0.1)
    assert waiting(fuse)[-1].since == float(MOST)
