"""Refusals explain themselves: which limit, how it stood, and advice that would really let the call go."""

import pickle
from decimal import Decimal

import pytest

from agent_fuse import Limit, SentinelBudgetExceeded, SentinelLoopError, charge, check_loop, pre_flight, session
from agent_fuse.account_names import account
from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.accounting.published_limits import PublishedLimit
from agent_fuse.calls import RefusedBy, Status
from agent_fuse.errors import soften
from agent_fuse.ledgers.base import Cap, Meter, Refusal
from agent_fuse.limits import Caller, Session
from agent_fuse.refusals import advice, explain
from agent_fuse.sightings import Layer
from agent_fuse.views.limit_status import LimitStatus, refuser


def until_refused(work):
    """Do it until it is refused, at most ten times."""
    for _ in range(10):
        try:
            work()
        except (SentinelBudgetExceeded, SentinelLoopError) as trip:
            return trip
    raise AssertionError("nothing was refused")


ALONE = "the call alone asks for more than the whole limit; "
USED_UP = [
    (Limit(usd=1), "run-1", "raise the limit or start a new session"),
    (Limit(tokens=9), "run-1", "raise the limit on tokens or start a new session"),
    (Limit(output_tokens=9), "run-1", "raise the limit on output tokens or start a new session"),
    (Limit(calls=9), "run-1", "raise the limit on calls or start a new session"),
    (
        Limit(tool_calls=9),
        "run-1",
        "let the agent answer with what it has, raise the limit on tool calls or start a new session",
    ),
    (Limit(usd=1, per="trace"), "4bf9", "raise the limit or begin a new trace"),
    (Limit(calls=9, per="process"), "p1", "raise the limit on calls or start a new process"),
    (
        Limit(usd=1, per="all"),
        "",
        "raise the limit; a new session does not help, for this limit counts all sessions of the ledger",
    ),
    (
        Limit(usd=1, per="user.id"),
        "ann",
        "raise the limit; a new session does not help, for this limit counts user.id 'ann' in all sessions",
    ),
    (
        Limit(calls=9, per="agent"),
        "writer",
        "raise the limit on calls; a new session does not help, for this limit counts agent 'writer' in all sessions",
    ),
    (
        Limit(usd=1, per="user.id"),
        "(none)",
        "calls without user.id share this account: name it on each, or raise the limit",
    ),
]


@pytest.mark.parametrize(("limit", "value", "words"), USED_UP, ids=lambda one: str(one)[:40])
def test_advice_fits_the_limit(limit, value, words):
    """A new session is advised where it begins a fresh account, and nowhere else; each meter has its own words."""
    cap = Cap(account(limit.per, value), limit.meter, limit.cap)
    assert advice(Refusal(cap, settled=limit.cap, held=0, requested=1), limit, 0.0) == words


@pytest.mark.parametrize("per", ["session", "trace", "process", "agent", "all", "user.id"])
@pytest.mark.parametrize("meter", [one.value for one in Meter])
def test_no_key_and_no_meter_is_forgotten(per, meter):
    """Every meter has advice under every key; only accounts that a new session empties are told to start one."""
    limit = Limit(**{meter: 9, "per": per})
    cap = Cap(account(per, "x"), limit.meter, limit.cap)
    said = advice(Refusal(cap, settled=limit.cap, held=0, requested=1), limit, 0.0)
    assert "raise the limit" in said
    fresh = per == "session" and limit.meter is not Meter.CONCURRENT  # where a call that ends makes room
    assert ("start a new session" in said) is fresh


@pytest.mark.parametrize(
    ("limit", "refusal", "words"),
    [
        (Limit(usd=0), (0, 0, 5), "the limit admits nothing; raise the limit"),
        (
            Limit(usd=1),
            (0, 0, 2 * 10**9),
            ALONE + "lower its max_tokens, shorten its prompt, choose a cheaper model or raise the limit",
        ),
        (Limit(output_tokens=9), (0, 0, 10), ALONE + "lower its max_tokens or raise the limit on output tokens"),
        (
            Limit(usd=1),
            (5, 10**9 - 6, 2),
            "it fits if the open calls cost less than they hold: try again when they have ended, or raise the limit",
        ),
        (Limit(usd=1), (10**9 - 1, 1, 2), "raise the limit or start a new session"),
    ],
)
def test_advice_fits_the_figures(limit, refusal, words):
    """A call larger than its limit, a limit of nothing, and one that only open calls fill have words of their own."""
    settled, held, requested = refusal
    cap = Cap("session=run-1", limit.meter, limit.cap)
    assert advice(Refusal(cap, settled=settled, held=held, requested=requested), limit, 0.0) == words


@pytest.mark.parametrize(
    ("limit", "asked", "words"),
    [
        (Limit(usd=1), 12_700_000, "it may cost $0.0127, with $1.00 spent of the limit of $1.00 per session 'x'"),
        (Limit(calls=1), 1, "it asks for 1 call, with 1 call used of the limit of 1 call per session 'x'"),
        (Limit(tool_calls=2), 1, "it asks for 1 tool call, with 2 tool calls used of the limit of 2 tool calls per"),
        (Limit(tokens=1000), 900, "it may use 900 tokens, with 1,000 tokens used of the limit of 1,000 tokens per"),
        (
            Limit(output_tokens=1),
            1,
            "it may use 1 output token, with 1 output token used of the limit of 1 output token",
        ),
    ],
)
def test_the_message_counts_like_a_person(limit, asked, words):
    """Calls do not cost calls: each meter has its verb, one of a thing is singular."""
    cap = Cap("session=x", limit.meter, limit.cap)
    message, _ = explain(Refusal(cap, settled=limit.cap, held=0, requested=asked), limit, "call to m", 0.0)
    assert message.startswith(f"call to m refused before it was sent: {words}")


@pytest.mark.parametrize(("reserve", "words"), [(1, "1 call is kept"), (2, "2 calls are kept")])
def test_what_is_kept_is_counted_like_a_person(reserve, words):
    limit = Limit(calls=4, reserve=reserve)
    cap = Cap("session=x", limit.meter, limit.cap, limit.kept)
    message, _ = explain(Refusal(cap, settled=4, held=0, requested=1), limit, "call to m", 0.0)
    assert f", of which {words} for agent_fuse.final(); " in message


def test_a_charge_is_not_told_to_choose_another_model(box):
    """What makes a model call ask for less does nothing for a tool."""
    box(budget=1)
    with pytest.raises(SentinelBudgetExceeded, match=r"more than the whole limit; raise the limit$"):
        charge("gpu", usd=2).__enter__()


def test_trip_and_journal_know_the_limit(box):
    """Of four limits the one that refused is named, with its key, its figures and what to do: on the trip, in the books."""
    limits = (Limit(usd=5), Limit(usd="0.02", per="user.id"), Limit(usd=10, per="all"), Limit(calls=100, per="agent"))
    rig = box(limits=limits)
    with session("run-1", user_id="ann"):
        trip = until_refused(lambda: pre_flight("gpt-4o", 1000, 500))
    by = RefusedBy(
        limit="$0.02 per user.id",
        per="user.id",
        value="ann",
        meter="usd",
        cap=20_000_000,
        spent=0,
        held=15_000_000,
        requested=7_500_000,
        advice="it fits if the open calls cost less than they hold: try again when they have ended, or raise the limit",
    )
    assert trip.refused_by == by
    assert (trip.limit, trip.held) == ("$0.02 per user.id 'ann'", Decimal("0.015"))
    assert str(trip).endswith(by.advice)
    (line,) = rig.books.entries(Status.REFUSED)
    assert line.refused_by == by
    assert pickle.loads(pickle.dumps(trip)).refused_by == soften(trip).refused_by == by


def test_a_session_s_own_limit_is_named(box):
    """A limit that `session()` brought is the one that is told of, not the fuse's of the same meter."""
    rig = box(limits=(Limit(usd=5),))
    with session("run-1", budget="0.001"), pytest.raises(SentinelBudgetExceeded):
        pre_flight("gpt-4o", 1000, 500)
    (line,) = rig.books.entries(Status.REFUSED)
    assert (line.refused_by.limit, line.refused_by.value, line.refused_by.requested) == (
        "$0.001 per session",
        "run-1",
        7_500_000,
    )


def test_a_loop_s_line_says_what_to_do(box):
    """A tool loop is no limit: its line names none, and says what helps. No arguments in it."""
    rig = box(budget=1)
    until_refused(lambda: check_loop("search", {"q": "secret"}))
    (line,) = rig.books.entries(Status.REFUSED)
    assert line.refused_by == RefusedBy(
        advice="change what the agent does, or give search a higher threshold (loop_tool_thresholds)"
    )


def test_a_model_without_a_price_is_not_blamed_on_a_limit(box):
    """With unknown_model='block' the line names no limit, and asks for a price."""
    rig = box(budget=1, unknown_model="block")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        pre_flight("nobody-knows-it", 1000, 500)
    assert (caught.value.reason, caught.value.limit) == ("unpriced", "")
    (line,) = rig.books.entries(Status.REFUSED)
    assert (line.reason, line.refused_by) == (
        "unpriced",
        RefusedBy(advice="give the model a price with prices={'nobody-knows-it': Price(...)}"),
    )


def test_a_call_of_a_model_that_nobody_named(box):
    """The words say so, and not `call to `."""
    one = box(limits=[Limit(calls=0)])
    fuse = one.fuse
    with pytest.raises(SentinelBudgetExceeded, match=r"^call to a model refused before it was sent: "):
        fuse.open_call(CallRequest(layer=Layer.CLIENT, source="x", caller=Caller(session=Session(id="s"))))


def test_nobody_is_no_user():
    """Calls that tell no user share an account; a trip and whoever reads the ledger say so, and name nobody `(none)`."""
    limit = Limit(usd=1, per="user.id")
    cap = Cap("user.id=(none)", limit.meter, limit.cap)
    message, facts = explain(Refusal(cap, settled=limit.cap, held=0, requested=1), limit, "call", 0.0)
    words = "$1.00 per user.id, for calls without one"
    assert f"of the limit of {words}; calls without user.id share this account" in message
    assert refuser(facts["refused_by"]) == facts["limit"] == words
    posted = PublishedLimit(per=limit.per, meter=limit.meter, amount=limit.cap)
    found = LimitStatus(account=cap.account, cap=posted, spent=1, held=0, refused=0)
    assert found.whose == "calls without user.id"
    pair = Limit(usd=1, per=("user.id", "model"))
    message, _ = explain(Refusal(cap, settled=limit.cap, held=0, requested=1), pair, "call", 0.0)
    assert "calls without user.id or model share this account" in message
