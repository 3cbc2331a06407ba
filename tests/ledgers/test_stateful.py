"""Any sequence of calls: SQLite and memory give the same answers, and the books always balance."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent_fuse.account_names import current, rolling, window_of, within
from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import ZERO, Balance, Cap, Hold, LedgerError, Meter
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.testing import assert_books_balance
from ledgers.conftest import always_together
from ledgers.samples import NOW, amounts, line
from postgres_server import shared

CALLS = st.sampled_from([f"c{n}" for n in range(6)])
WINDOWED = ["user@1m=a", "user@day=a", "all@2m"]
ACCOUNTS = st.lists(st.sampled_from(["user=a", "user=b", "agent=x", *WINDOWED]), max_size=3).map(
    lambda found: ("all", *found)
)
USD = st.one_of(st.integers(0, 200), st.just(2**62), st.just(2**63 - 1))
CAPS = st.lists(
    st.builds(
        Cap,
        st.sampled_from(["all", "user=a", "user=b", "elsewhere", *WINDOWED]),
        st.sampled_from(list(Meter)),
        st.integers(0, 400),
    ),
    max_size=3,
).map(tuple)
SMALL = st.integers(0, 200)
BOOKED = st.sampled_from([Status.SETTLED, Status.ESTIMATED, Status.PRESUMED])


class SameBooks(RuleBasedStateMachine):
    """The same sequence on two ledgers."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.db"
        self.ledgers = [open_ledger("memory://"), self.open()]
        self.now = NOW
        self.pruned = False

    def open(self):
        return open_ledger(self.path)

    def teardown(self):
        for ledger in self.ledgers:
            ledger.close()
        self.folder.cleanup()

    def same(self, ask):
        """Both answer alike, or both refuse to write what is out of range."""
        answers = []
        for ledger in self.ledgers:
            try:
                answers.append(ask(ledger))
            except LedgerError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]
        return answers[0]

    def booked(self, accounts):
        """The accounts as they are booked on now."""
        windows = ((name, window_of(name)) for name in accounts)
        return tuple(within(name, window.interval(self.now)) if window else name for name, window in windows)

    @rule(call=CALLS, usd=USD, accounts=ACCOUNTS, caps=CAPS, lasts=st.integers(1, 50))
    def reserve(self, call, usd, accounts, caps, lasts):
        accounts = self.booked(accounts)
        caps = tuple(replace(cap, account=current(cap.account, self.now)) for cap in caps)
        entry = replace(line(call, usd, Status.ESTIMATED), at=self.now)
        asked = Hold(entry=entry, accounts=accounts, amounts=amounts(usd), caps=caps, expires_at=self.now + lasts)
        before = {one.entry.id: one for one in self.ledgers[0].holds()}
        booked = {one.id for one in self.ledgers[0].journal() if one.status is not Status.REFUSED}
        answer = self.same(lambda ledger: ledger.reserve(asked, now=self.now))
        if hasattr(answer, "id") and call not in booked:
            for cap in caps:
                balance = self.ledgers[0].balances([cap.account], now=self.now)[cap.account]
                assert sum(balance.used(cap.meter, self.now)) <= cap.amount
        elif not hasattr(answer, "id"):
            assert {one.entry.id: one for one in self.ledgers[0].holds()} == before

    @rule(call=CALLS, usd=USD, status=BOOKED, accounts=ACCOUNTS)
    def settle(self, call, usd, status, accounts):
        accounts = self.booked(accounts)
        self.same(lambda ledger: ledger.settle(line(call, usd, status), accounts, amounts(usd), now=self.now))

    @rule(call=CALLS)
    def release(self, call):
        self.same(lambda ledger: ledger.release(call, now=self.now))

    @rule(call=CALLS, accounts=ACCOUNTS)
    def refuse(self, call, accounts):
        accounts = self.booked(accounts)
        self.same(lambda ledger: ledger.refuse(line(call), accounts, now=self.now))

    @rule(call=CALLS, usd=SMALL, accounts=ACCOUNTS, caps=CAPS)
    def count(self, call, usd, accounts, caps):
        asked = Hold(
            entry=replace(line(call, usd), at=self.now),
            accounts=self.booked(accounts),
            amounts=amounts(usd),
            caps=tuple(replace(cap, account=current(cap.account, self.now)) for cap in caps),
            expires_at=self.now + 9,
        )
        self.same(lambda ledger: ledger.count(asked, now=self.now))

    @rule(caps=CAPS)
    def used_up(self, caps):
        caps = tuple(replace(cap, account=current(cap.account, self.now)) for cap in caps)
        self.same(lambda ledger: ledger.used_up(caps, now=self.now))

    @rule(ago=st.sampled_from([0, 30, 90_000]))
    def prune(self, ago):
        self.pruned = self.same(lambda ledger: ledger.prune(before=self.now - ago)) > 0 or self.pruned

    @rule(later=st.sampled_from([0, 1, 20, 60, 100_000]))
    def sweep(self, later):
        self.now += later
        self.same(lambda ledger: sorted(ledger.sweep(now=self.now), key=lambda entry: entry.id))
        assert all(one.expires_at > self.now for one in self.ledgers[0].holds())

    @rule(key=st.sampled_from("ab"), value=st.none() | st.binary(max_size=3))
    def note(self, key, value):
        self.same(lambda ledger: ledger.update_note(key, lambda note: (value, note), now=self.now))

    @rule(since=st.integers(0, 300), limit=st.none() | st.integers(0, 5))
    def journal(self, since, limit):
        self.same(lambda ledger: list(ledger.journal(since=NOW + since, limit=limit)))

    @rule()
    def reopen(self):
        self.ledgers[1].close()
        self.ledgers[1] = self.open()

    @invariant()
    def same_everywhere(self):
        # What has left a rolling window is taken off when it is looked for: see below.
        self.same(lambda ledger: [pair for pair in ledger.accounts() if pair[1] != Balance() and not rolling(pair[0])])
        windowed = [current(name, self.now) for name in WINDOWED]
        self.same(lambda ledger: ledger.balances(windowed, now=self.now))
        self.same(lambda ledger: ledger.holds())
        self.same(lambda ledger: list(ledger.journal()))

    @invariant()
    def books_balance(self):
        for ledger in [] if self.pruned else self.ledgers:  # the journal must be whole
            assert_books_balance(ledger)


class Outages(RuleBasedStateMachine):
    """A ledger in memory that is always there, and one in a file that comes and goes under an FallbackLedger."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.db"
        self.whole = open_ledger("memory://")
        self.flaky = Flaky(open_ledger(self.path))
        self.now = NOW
        self.arrears = FallbackLedger(lambda: self.flaky, retry_every=0)

    def teardown(self):
        try:
            self.comes_back()
        finally:
            self.arrears.close()
            self.folder.cleanup()

    def both(self, act):
        self.now += 60
        act(self.whole)
        act(self.arrears)

    @rule(call=CALLS, usd=SMALL, accounts=ACCOUNTS)
    def reserve(self, call, usd, accounts):
        asked = Hold(
            entry=line(call, usd, Status.ESTIMATED), accounts=accounts, amounts=amounts(usd), expires_at=NOW + 1e9
        )
        self.both(lambda ledger: ledger.reserve(asked, now=self.now))

    @rule(call=CALLS, usd=SMALL, status=BOOKED, accounts=ACCOUNTS)
    def settle(self, call, usd, status, accounts):
        self.both(lambda ledger: ledger.settle(line(call, usd, status), accounts, amounts(usd), now=self.now))

    @rule(call=CALLS)
    def release(self, call):
        self.both(lambda ledger: ledger.release(call, now=self.now))

    @rule(call=CALLS, accounts=ACCOUNTS)
    def refuse(self, call, accounts):
        self.both(lambda ledger: ledger.refuse(line(call), accounts, now=self.now))

    @rule(after=st.integers(0, 6))
    def goes_away(self, after):
        self.flaky.goes_after = after

    @rule()
    def comes_back(self):
        self.flaky.goes_after = None
        self.now += 60
        self.arrears.sweep(now=self.now)
        figures = [
            {
                name: (one.settled, one.held)
                for name, one in ledger.accounts()
                if (one.settled, one.held) != (ZERO, ZERO)
            }
            for ledger in (self.whole, self.flaky)
        ]
        assert figures[0] == figures[1]
        assert self.whole.holds() == self.flaky.holds()
        assert list(self.whole.journal()) == list(self.flaky.journal())
        assert_books_balance(self.flaky)


class Flaky:
    """A real ledger that fails from its nth call on; every other failure comes after the work was done."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.goes_after = None

    def __getattr__(self, name):
        method = getattr(self.ledger, name)

        def call(*args, **named):
            if self.goes_after is None or name == "close":
                return method(*args, **named)
            self.goes_after -= 1
            if self.goes_after == -1:
                method(*args, **named)
            if self.goes_after < 0:
                raise LedgerError(name, "flaky", "away")
            return method(*args, **named)

        return call


class SameBooksInPostgres(SameBooks):
    """The same with a PostgreSQL ledger."""

    def open(self):
        if not hasattr(self, "url"):
            self.url = shared().database()
        return open_ledger(self.url)

    def teardown(self):
        super().teardown()
        shared().say("postgres", f"DROP DATABASE {self.url.partition('@/')[2].partition('?')[0]} WITH (FORCE)")


class SameBooksTogether(SameBooksInPostgres):
    """The same where every call goes the way of several at once."""

    def open(self):
        return always_together(super().open())


TestSameBooks = SameBooks.TestCase
TestSameBooks.settings = settings(max_examples=40, stateful_step_count=25)
TestSameBooksInPostgres = pytest.mark.usefixtures("postgres")(SameBooksInPostgres.TestCase)
TestSameBooksInPostgres.settings = settings(max_examples=10, stateful_step_count=25)
TestSameBooksTogether = pytest.mark.usefixtures("postgres")(SameBooksTogether.TestCase)
TestSameBooksTogether.settings = settings(max_examples=10, stateful_step_count=25)
TestOutages = Outages.TestCase
TestOutages.settings = settings(max_examples=40, stateful_step_count=25)
