"""Limits: what may be written, which accounts and caps a call meets, and whose limit comes first."""

from decimal import Decimal
from numbers import Integral
from typing import Any

import pytest

from agent_fuse import ConfigurationError, Limit
from agent_fuse.account_names import ALL, NOBODY, account
from agent_fuse.ledgers.base import Cap, Meter
from agent_fuse.limits import Caller, Demand, Session, counted, demand, keys_of

PERS = ("session", "trace", "agent", "process", "all", "user.id")


def due(limits: tuple[Limit, ...], session: Session, **caller: Any) -> Demand:
    return demand(limits, Caller(session=session, **caller), now=1.0)


# What may be written ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "got none"),
        ({"usd": 1, "calls": 1}, "got usd, calls"),
        ({"per": "user.id"}, "got none"),
        ({"usd": 1, "per": ""}, "Limit per=''"),
        ({"usd": 1, "per": "  "}, "Limit per='  '"),
        ({"usd": 1, "per": None}, "Limit per=None"),
        ({"usd": -1}, "finite amount of USD, 0 or more"),
        ({"usd": True}, "True"),
        ({"calls": True}, "Limit calls=True"),
        ({"calls": 1.5}, "a whole number, 0 or more"),
        ({"calls": "5"}, "Limit calls='5'"),
        ({"calls": float("nan")}, "a whole number, 0 or more"),
        ({"calls": float("inf")}, "a whole number, 0 or more"),
        ({"calls": -1}, "a whole number from 0 to 2**53"),
        ({"tokens": 2**53}, "a whole number from 0 to 2**53"),
    ],
)
def test_a_limit_that_cannot_be(given: Any, words: str) -> None:
    """One meter with a whole, finite figure, and a key with a name: anything else is refused in words."""
    with pytest.raises(ConfigurationError) as caught:
        Limit(**given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "meter", "cap", "words"),
    [
        ({"usd": 0}, Meter.USD, 0, "$0.00 per session"),
        ({"usd": Decimal("0.0075"), "per": "all"}, Meter.USD, 7_500_000, "$0.0075 in all"),
        ({"tokens": 2**53 - 1}, Meter.TOKENS, 2**53 - 1, "9,007,199,254,740,991 tokens per session"),
        ({"output_tokens": 5.0}, Meter.OUTPUT_TOKENS, 5, "5 output tokens per session"),
        ({"calls": 0, "per": "user.id"}, Meter.CALLS, 0, "0 calls per user.id"),
        ({"tool_calls": 1, "per": "agent"}, Meter.TOOL_CALLS, 1, "1 tool call per agent"),
    ],
)
def test_a_limit_says_what_it_caps(given: Any, meter: Meter, cap: int, words: str) -> None:
    """The meter that was given, its cap as an integer, and both in words; zero is a cap."""
    limit = Limit(**given)
    assert (limit.meter, limit.cap, str(limit)) == (meter, cap, words)


def test_whole_numbers_of_any_kind_are_counts():
    """Those of numpy are no int, and are whole numbers all the same; so are seconds of its kinds."""

    class Whole:
        def __init__(self, value: int) -> None:
            self.value = value

        def __int__(self) -> int:
            return self.value

        def __float__(self) -> float:
            return float(self.value)

    Integral.register(Whole)
    assert Limit(calls=Whole(3), max_wait=Whole(5)).cap == 3
    with pytest.raises(ConfigurationError, match="a whole number from 0 to"):
        Limit(calls=Whole(-3))


def test_one_of_a_thing_is_no_plural() -> None:
    """1 call, 2 calls, 1 output token, $1.00."""
    assert [counted(Meter.CALLS, n) for n in (0, 1, 2, 1000)] == ["0 calls", "1 call", "2 calls", "1,000 calls"]
    assert counted(Meter.OUTPUT_TOKENS, 1) == "1 output token"
    assert counted(Meter.USD, 10**9) == "$1.00"


# Which accounts and caps ------------------------------------------------------------------------------------------------


def test_every_call_is_booked_in_all_and_on_its_sessions() -> None:
    """Without any limit: the ledger's whole, the session, and each session around it, innermost first."""
    inner = Session(id="inner", parent=Session(id="outer", parent=Session(id="outermost")))
    found = due((), inner)
    assert found.accounts == (ALL, "session=inner", "session=outer", "session=outermost")
    assert (found.caps, found.limits) == ((), ())


@pytest.mark.parametrize("per", PERS)
def test_each_key_has_its_account(per: str) -> None:
    """A limit binds the account of its own key, with its own figure; the call is booked there too, once."""
    limit = Limit(calls=7, per=per)
    caller = {"agent": "writer", "trace": "f" * 32, "process": "host:1", "keys": {"user.id": "ada"}}
    values = {"session": "s", "agent": "writer", "trace": "f" * 32, "process": "host:1", "user.id": "ada"}
    name = ALL if per == "all" else f"{per}={values[per]}"
    found = due((limit, limit), Session(id="s"), **caller)
    assert found.caps == (Cap(name, Meter.CALLS, 7),) * 2
    assert found.limits == (limit, limit)
    assert found.accounts.count(name) == 1
    assert set(found.accounts) == {ALL, "session=s", name}


@pytest.mark.parametrize("per", ["agent", "trace", "process", "user.id"])
def test_calls_without_a_key_share_an_account(per: str) -> None:
    """A call that lacks the key is capped with all others that lack it."""
    assert due((Limit(calls=7, per=per),), Session(id="s")).caps == (Cap(f"{per}={NOBODY}", Meter.CALLS, 7),)


def test_a_key_is_taken_from_the_call_then_from_the_nearest_session() -> None:
    """What the call itself says outranks its session, that outranks the sessions around it; empty says nothing."""
    outer = Session(id="outer", attributes={"user.id": "outer", "team": "red"})
    inner = Session(id="inner", parent=outer, attributes={"user.id": "inner", "team": ""})
    assert Caller(session=inner, keys={"user.id": "mine"}).value("user.id") == "mine"
    assert Caller(session=inner, keys={"user.id": ""}).value("user.id") == "inner"
    assert Caller(session=outer).value("user.id") == "outer"
    assert Caller(session=inner).value("team") == "red"
    assert Caller(session=inner).value("other") == NOBODY


def test_keys_that_limits_ask_for() -> None:
    """The names to be read from spans and baggage: not those that every call has."""
    assert keys_of([Limit(calls=1, per=per) for per in PERS]) == {"user.id", "agent"}
    assert keys_of([]) == frozenset()


# Whose limit ------------------------------------------------------------------------------------------------------------


def test_a_sessions_own_limit_replaces_the_fuses_of_the_same_meter() -> None:
    """A run with a budget of its own is bound by that, not by the general one; by other meters it still is."""
    own = Limit(usd=2)
    found = due((Limit(usd=1), Limit(calls=9)), Session(id="s", limits=(own,)))
    assert found.caps == (Cap("session=s", Meter.USD, 2 * 10**9), Cap("session=s", Meter.CALLS, 9))
    assert found.limits[0] is own


def test_a_sessions_limit_per_another_key_replaces_nothing() -> None:
    """A limit per user inside a session binds the user's account, and the general budget binds as before."""
    session = Session(id="s", limits=(Limit(usd=2, per="user.id"),), attributes={"user.id": "ada"})
    found = due((Limit(usd=1),), session)
    assert found.caps == (Cap("session=s", Meter.USD, 10**9), Cap("user.id=ada", Meter.USD, 2 * 10**9))
    assert found.accounts == (ALL, "session=s", "user.id=ada")


def test_sessions_around_bind_with_their_own_limits_and_the_fuses() -> None:
    """A nested session meets its own limits, its parents', and for each of them what the fuse says of any session."""
    outer = Session(id="outer", limits=(Limit(usd=5), Limit(calls=3, per="agent")))
    inner = Session(id="inner", parent=outer, limits=(Limit(calls=2),))
    found = due((Limit(usd=1), Limit(calls=9), Limit(tokens=100, per="all")), inner, agent="writer")
    assert found.caps == (
        Cap("session=inner", Meter.CALLS, 2),
        Cap("session=inner", Meter.USD, 10**9),
        Cap("session=outer", Meter.USD, 5 * 10**9),
        Cap("session=outer", Meter.CALLS, 9),
        Cap(ALL, Meter.TOKENS, 100),
        Cap("agent=writer", Meter.CALLS, 3),
    )
    assert [limit.cap for limit in found.limits] == [cap.amount for cap in found.caps]
    assert found.accounts == (ALL, "session=inner", "session=outer", "agent=writer")


def test_long_values_are_cut_only_where_they_are_too_long() -> None:
    """160 characters are kept as they are; more are cut and told apart by a hash that is the same everywhere."""
    assert account("user.id", "x" * 160) == "user.id=" + "x" * 160
    cut = account("user.id", "x" * 161)
    assert cut.startswith("user.id=" + "x" * 160 + "#")
    assert len(cut) == len("user.id=") + 160 + 1 + 16
    assert cut == account("user.id", "x" * 161)
    assert account("user.id", "\ud800" * 200)


def test_a_session_that_two_fuses_judge_meets_the_limits_of_each() -> None:
    """What its calls demand is kept on the session, for the limits that it was worked out by and no others."""
    one, other = (Limit(usd=1),), (Limit(calls=3), Limit(usd=2, per="agent"))
    session = Session(id="s", limits=(Limit(calls=2),), parent=Session(id="outer"))
    for limits in (one, other, one):
        met = due(limits, session, agent="a")
        fresh = due(limits, Session(id="s", limits=(Limit(calls=2),), parent=Session(id="outer")), agent="a")
        assert met == fresh
        assert due(limits, session, agent="a") == fresh
    assert due(other, session, agent="b") != due(other, session, agent="a")
    assert session == Session(id="s", limits=(Limit(calls=2),), parent=Session(id="outer"))
