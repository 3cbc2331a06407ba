"""Posted caps: what a fuse enforces can be read from its ledger by others."""

import pytest

from agent_fuse.accounting.booking import Clock
from agent_fuse.accounting.published_limits import LimitPublisher, PublishedLimit, read_published
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError, Meter
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.limits import Caller, Limit, Session, demand
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.views.limit_status import known_caps, standings

CLOCK: Clock = lambda: 1_800_000_000.0  # noqa: E731


@pytest.fixture
def path(tmp_path):
    """Where the ledger lies."""
    return tmp_path / "ledger.db"


def posted(path):
    """The caps that can be read, in words."""
    reader = open_reader(path)
    try:
        return {str(cap) for cap in known_caps(reader, {})}
    finally:
        reader.close()


def test_fuse_posts_its_limits_when_it_opens(path):
    """Before the first call, the budget and the further limits can be read from outside; the last fuse's word holds."""
    limits = (Limit(calls=7, per="all"), Limit(tokens=1_000, per="user.id"))
    open_fuse(settings({}, budget=2, limits=limits, db_path=str(path)), clock=CLOCK).ledger.close()
    assert posted(path) == {"$2.00 per session", "7 calls in all", "1,000 tokens per user.id"}
    open_fuse(settings({}, budget=3, limits=limits, db_path=str(path)), clock=CLOCK).ledger.close()
    assert posted(path) == {"$3.00 per session", "7 calls in all", "1,000 tokens per user.id"}


class Counting:
    """A ledger that counts its writes, and can be broken."""

    def __init__(self, ledger):
        self.ledger, self.writes, self.broken = ledger, 0, False

    def update_note(self, key, change, *, now):
        if self.broken:
            raise LedgerError("update_note", "here", "broken")
        self.writes += 1
        return self.ledger.update_note(key, change, now=now)


def due(*own, session="run-1"):
    """What a call in a session with limits of its own meets."""
    return demand((Limit(usd=1),), Caller(session=Session(id=session, limits=own)), now=1.0)


def test_each_cap_is_written_once(path):
    """A limit of the fuse is written at the start, a session's when it is first met or changes, and no more."""
    ledger = Counting(open_ledger(path))
    poster = LimitPublisher(ledger, (Limit(usd=1),))
    poster.post(now=0.0)
    assert ledger.writes == 1
    for _ in range(100):
        poster.met(due(), now=1.0)
        poster.met(due(Limit(usd=5), session="rich"), now=1.0)
    assert ledger.writes == 2
    poster.met(due(Limit(usd=6), session="rich"), now=2.0)
    assert ledger.writes == 3
    ledger.ledger.close()
    assert posted(path) == {"$1.00 per session", "$6.00 for session rich"}


def test_broken_ledger_is_asked_again(path):
    """What cannot be written now raises nothing, and is written at a later call."""
    ledger = Counting(open_ledger(path))
    poster = LimitPublisher(ledger, (Limit(usd=1),))
    ledger.broken = True
    poster.post(now=0.0)
    poster.met(due(Limit(calls=9)), now=0.0)
    ledger.broken = False
    poster.met(due(), now=0.0)
    ledger.ledger.close()
    assert posted(path) == {"$1.00 per session", "9 calls for session run-1"}


def test_own_cap_stands_in_for_the_general_one(path):
    """A session with a budget of its own is shown against that one only; the others against the fuse's."""
    fuse = open_fuse(settings({}, budget=1, db_path=str(path)), clock=CLOCK)
    poster = LimitPublisher(fuse.ledger, fuse.limits)
    for session, own in (("plain", ()), ("rich", (Limit(usd=9),))):
        met = demand(fuse.limits, Caller(session=Session(id=session, limits=own)), now=1.0)
        poster.met(met, now=1.0)
        from agent_fuse.calls import Entry, Status
        from agent_fuse.ledgers.base import Amounts

        entry = Entry(id=session, at=1.0, status=Status.SETTLED, session=session, cost=500_000_000)
        fuse.ledger.settle(entry, met.accounts, Amounts(usd=500_000_000, calls=1), now=1.0)
    fuse.ledger.close()
    reader = open_reader(path)
    found = standings(reader, known_caps(reader, {}), now=1.0, limit=10)
    assert {(one.account, one.cap.amount, one.left) for one in found.shown} == {
        ("session=plain", 10**9, 5 * 10**8),
        ("session=rich", 9 * 10**9, 85 * 10**8),
    }
    assert found.more == 0
    reader.close()


def test_pruning_keeps_them(path):
    """Caps, and the key of the loop rule's hashes, outlive the journal's old lines; other old notes go."""
    ledger = open_ledger(path)
    LimitPublisher(ledger, (Limit(usd=1),)).post(now=1.0)
    for key in ("loops/key", "loops/old-session"):
        ledger.update_note(key, lambda _: (b"x", None), now=1.0)
    ledger.prune(before=1_000.0)
    kept = {
        key: ledger.update_note(key, lambda note: (note, note), now=2.0) for key in ("loops/key", "loops/old-session")
    }
    assert kept == {"loops/key": b"x", "loops/old-session": None}
    ledger.close()
    assert posted(path) == {"$1.00 per session"}


def test_notes_of_a_later_version_are_left_out():
    """What this version cannot read is no cap, and no error."""
    notes = {
        "caps/per/usd/session": b'{"amount": 5, "window": "1m"}',
        "caps/per/sighs/session": b'{"amount": 5}',
        "caps/per/usd/agent": b"not json",
        "caps/new/kind": b"[]",
        "caps/own/calls/session=a/b": b'{"amount": 2}',
    }
    assert read_published(notes) == [
        PublishedLimit(per="session", meter=Meter.CALLS, amount=2, account="session=a/b"),
        PublishedLimit(per="session", meter=Meter.USD, amount=5),
    ]
