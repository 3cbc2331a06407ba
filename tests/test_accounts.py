"""Account names: each pair of key and value has its own, ordinary names are as they ever were, and names read back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_fuse.account_names import ALL, NOBODY, account, key_of
from agent_fuse.accounting.published_limits import LimitPublisher
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts, Hold
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.limits import Caller, Limit, Session, demand
from agent_fuse.views.limit_status import known_caps, standings
from ledgers.samples import NOW, line

KEYS = st.text("ab=%325D.", min_size=1, max_size=6).filter(lambda key: key != ALL)
VALUES = st.text("ab=%325D()", max_size=6)


@given(st.tuples(KEYS, VALUES), st.tuples(KEYS, VALUES))
@example(("user", "x=y"), ("user=x", "y"))
@example(("user%3Dx", "y"), ("user=x", "y"))
@example(("user%253Dx", "y"), ("user%3Dx", "y"))
def test_no_two_share_an_account(one, other):
    """Two accounts have one name only if key and value are the same; the name says which they are."""
    assert (account(*one) == account(*other)) is (one == other)
    assert key_of(account(*one)) == one
    assert account(*one) != ALL


@pytest.mark.parametrize(
    ("per", "value", "name"),
    [
        ("session", "run-1", "session=run-1"),
        ("session", "a=b%3Dc é", "session=a=b%3Dc é"),
        ("user.id", "x=y", "user.id=x=y"),
        ("100%", "x", "100%=x"),
        ("all", "whatever", "all"),
    ],
)
def test_ordinary_names_are_as_they_were(per, value, name):
    """Ledgers of older versions keep their meaning: only a key with `=` in its own name is written otherwise."""
    assert account(per, value) == name


def test_long_values_that_begin_alike_are_told_apart():
    """A value that is cut keeps its own account, also from one that spells the cut name out."""
    long, longer = account("user.id", "x" * 161), account("user.id", "x" * 162)
    assert len({long, longer, account("user.id", key_of(long)[1])}) == 3


@pytest.mark.parametrize("named", ["(none)", "((none))", "(((none)))"])
def test_a_value_that_reads_like_no_value(named):
    """A user who is called `(none)` is not booked on the account of the calls without a user."""
    limits = (Limit(usd=1, per="user.id"),)
    nobody = demand(limits, Caller(session=Session(id="s")), now=1.0).accounts
    someone = demand(limits, Caller(session=Session(id="s"), keys={"user.id": named}), now=1.0).accounts
    assert nobody[-1] == f"user.id={NOBODY}"
    assert someone[-1] == f"user.id=({named})"


def test_limits_of_like_keys_do_not_spend_each_other():
    """What user `x=y` spends is not held against the limit of the key `user=x`, and the other way round."""
    ledger = MemoryLedger()
    limits = (Limit(calls=1, per="user"), Limit(calls=1, per="user=x"))

    def admitted(number, keys):
        due = demand(limits, Caller(session=Session(id=f"s{number}"), keys=keys), now=1.0)
        hold = Hold(
            entry=line(f"c{number}"), accounts=due.accounts, amounts=Amounts(calls=1), caps=due.caps, expires_at=NOW + 9
        )
        return hasattr(ledger.reserve(hold, now=NOW), "balances")

    assert admitted(1, {"user": "x=y", "user=x": "1"})
    assert admitted(2, {"user": "2", "user=x": "y"})
    assert not admitted(3, {"user": "x=y", "user=x": "3"})


def test_status_knows_keys_with_an_equals_sign(tmp_path):
    """A limit per such a key is shown under its key, with its own accounts and no others."""
    ledger = open_ledger(tmp_path / "ledger.db")
    limits = (Limit(calls=5, per="user"), Limit(calls=5, per="user=x"))
    due = demand(limits, Caller(session=Session(id="s"), keys={"user": "x=1", "user=x": "2"}), now=1.0)
    poster = LimitPublisher(ledger, limits)
    poster.met(due, now=NOW)
    own = demand(
        (), Caller(session=Session(id="s", limits=(Limit(calls=3, per="user=x"),)), keys={"user=x": "9"}), now=1.0
    )
    poster.met(own, now=NOW)
    ledger.settle(line("c"), (*due.accounts, *own.accounts), Amounts(calls=1), now=NOW)
    ledger.close()
    reader = open_reader(tmp_path / "ledger.db")
    found = standings(reader, known_caps(reader, {}), now=1.0, limit=5)
    reader.close()
    assert sorted((str(one.cap), one.whose, one.value, one.spent) for one in found.shown) == [
        ("3 calls for user=x 9", "user=x 9", "9", 1),
        ("5 calls per user", "user x=1", "x=1", 1),
        ("5 calls per user=x", "user=x 2", "2", 1),
    ]
    assert found.more == 0


@pytest.mark.parametrize("session", ["key", "key/", "key//"])
def test_a_session_called_key_keeps_its_hands_off_the_key(box, session):
    """The note of the loops' hash key is not that of a session of such a name."""
    from agent_fuse import check_loop
    from agent_fuse import session as in_session

    rig = box(budget=1)
    with in_session("other"):
        check_loop("search", {"q": 1})
    ledger = rig.fuse.ledger
    before = ledger.update_note("loops/key", lambda note: (note, note), now=NOW)
    with in_session(session):
        check_loop("search", {"q": 1})
    assert ledger.update_note("loops/key", lambda note: (note, note), now=NOW) == before
    assert ledger.update_note(f"loops/{session}/", lambda note: (note, note), now=NOW) is not None
