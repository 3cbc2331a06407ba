"""Tool actions under limits that wait or pause: they wait in their thread as model calls do, and loops are judged once."""

import asyncio
import json
import threading

import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, SentinelLoopError
from agent_fuse.accounting import paused_calls, waits
from agent_fuse.limits import Caller, Session
from fuses import Desk

ME = Caller(session=Session(id="s"))
FIVE_A_MINUTE = Limit(tool_calls=5, per="all", window="1m", on_limit="wait")
PAUSES = Limit(tool_calls=2, on_tight="pause", pause_for=60)


@pytest.fixture
def desk(monkeypatch):
    """Makes a fuse whose waits move its clock; `meanwhile` runs in each."""

    def make(*limits, **options):
        return Desk(limits=limits, budget=None, **options).sleeping(monkeypatch)

    return make


def use(desk, tool="search", **arguments):
    action = desk.fuse.actions.open(ME, tool, arguments or {"q": len(desk.events)})
    desk.fuse.actions.close(action, "found")


def waiting(desk):
    return list(paused_calls.change(desk.ledger, lambda _: None, desk.clock()).values())


def test_a_tool_waits_until_its_window_has_room(desk):
    """Twelve at five a minute: none is refused, and the clock says two windows."""
    one = desk(FIVE_A_MINUTE)
    began = one.clock()
    for n in range(12):
        use(one, q=n)
    assert 120 <= one.clock() - began <= 124
    assert not [event for event in one.events if event.trip]
    assert one.books.balance("all").settled.tool_calls == 12


def test_what_waited_is_one_step_of_a_loop(desk):
    """Its limits are asked twice, the loop rule once: the fifth equal call is the first that trips, waits or not."""
    one = desk(Limit(tool_calls=1, per="all", window="1m", on_limit="wait"), loop_threshold=4)
    for _ in range(4):
        use(one, q="same")
    assert one.slept
    with pytest.raises(SentinelLoopError):
        use(one, q="same")


def test_a_priced_tool_waits_too(desk):
    """Dollars a minute: its hold is taken when there is room."""
    one = desk(Limit(usd="0.02", per="all", window="1m", on_limit="wait"), tool_prices={"search": "0.01"})
    for n in range(4):
        use(one, q=n)
    assert one.clock() - 1_800_000_000 >= 60
    assert one.books.balance("all").settled.usd == 40_000_000


def test_without_a_wait_it_is_refused_at_once(desk):
    one = desk(Limit(tool_calls=2, per="all", window="1m"))
    use(one)
    use(one)
    with pytest.raises(SentinelBudgetExceeded, match="tool 'search'"):
        use(one)
    assert one.slept == []


def test_silence_refuses_a_paused_tool(desk):
    """A person is asked about the tool by its name; nobody answers."""
    one = desk(PAUSES)
    seen = []
    one.meanwhile = lambda _: seen.extend(waiting(one))
    use(one)
    use(one)
    with pytest.raises(SentinelBudgetExceeded, match="nobody answered within 60 seconds") as caught:
        use(one)
    assert caught.value.reason == "unanswered"
    assert {(call.tool, call.model, call.what) for call in seen} == {("search", "", "tool 'search'")}
    assert not waiting(one)


def test_a_top_up_lets_a_paused_tool_run(desk):
    one = desk(PAUSES)
    use(one)
    use(one)

    def meanwhile(_):
        if len(one.slept) == 3:
            more = {"top_ups": [{"meter": "tool_calls", "amount": 1}]}
            one.ledger.control("session=s", None, json.dumps(more), now=1)

    one.meanwhile = meanwhile
    use(one)
    assert len(one.slept) == 3
    assert one.books.balance("session=s").settled.tool_calls == 3


def test_a_stop_ends_the_question(desk):
    one = desk(PAUSES)
    use(one)
    use(one)
    one.meanwhile = lambda _: one.ledger.control("session=s", None, '{"stopped": true}', now=1)
    with pytest.raises(SentinelBudgetExceeded, match="stopped"):
        use(one)
    assert not waiting(one)


def test_an_interrupt_withdraws_the_question(desk):
    """Ctrl-C while a person is asked: nobody is asked any more, and nothing is counted."""
    one = desk(PAUSES)
    use(one)
    use(one)

    def interrupt(_):
        raise KeyboardInterrupt

    one.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        use(one)
    assert not waiting(one)
    assert one.books.balance("session=s").settled.tool_calls == 2


def test_an_event_loop_does_not_stand_still_for_it(desk):
    """Nobody can await a tool that a span shows: it is refused at once."""
    one = desk(FIVE_A_MINUTE)
    for n in range(5):
        use(one, q=n)

    async def run():
        use(one, q=6)

    with pytest.raises(
        SentinelBudgetExceeded, match=r"an event loop runs here, .*: await it \(@loop_guard, async with\)"
    ):
        asyncio.run(run())
    assert one.slept == []


def test_observe_mode_waits_for_nothing(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(waits.time, "sleep", slept.append)
    agent_fuse.init(limits=[FIVE_A_MINUTE], mode="observe", db_path=str(tmp_path / "ledger.db"))
    look = agent_fuse.loop_guard(lambda n: n + 1)
    assert [look(n) for n in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    assert slept == []


def test_threads_share_a_rate(tmp_path, monkeypatch):
    """Real time: eight threads, three a second, through the decorator; all run, and none too early."""
    ran = []
    agent_fuse.init(
        limits=[Limit(tool_calls=3, per="all", window="1s", on_limit="wait")], db_path=str(tmp_path / "ledger.db")
    )

    @agent_fuse.loop_guard
    def look(n):
        ran.append(n)

    threads = [threading.Thread(target=look, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(ran) == list(range(8))
