"""Reading a ledger, and checking that its books balance."""

import threading
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers.base import Amounts, Balance, Hold, Meter
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.ledgers.sqlite import SqliteLedger
from agent_fuse.testing import LedgerReader, assert_books_balance

CHAT = Entry(id="c1", at=1.0, status=Status.SETTLED, operation="chat", cost=700, input_tokens=10, output_tokens=5)
TOOL = Entry(id="t1", at=2.0, status=Status.SETTLED, operation="execute_tool", tool="search")
GUESS = Entry(id="c2", at=3.0, status=Status.ESTIMATED, operation="chat", cost=300)
NO = Entry(id="c3", at=4.0, status=Status.REFUSED, operation="chat", cost=900, input_tokens=1, output_tokens=1)
OPEN = Hold(
    entry=Entry(id="c4", at=5.0, status=Status.ESTIMATED, cost=50),
    accounts=("all", "session:a"),
    amounts=Amounts(usd=50, tokens=20, output_tokens=8, calls=1),
    expires_at=99.0,
)
ALL = Balance(settled=Amounts(usd=700, tokens=15, output_tokens=5, calls=1, tool_calls=1), held=OPEN.amounts, refused=1)
SESSION = Balance(settled=Amounts(usd=700, tokens=15, output_tokens=5, calls=1), held=OPEN.amounts, refused=1)


@dataclass
class Shelf:
    """Books with any figures at all, also such as no ledger would write."""

    books: dict = field(default_factory=lambda: {"all": ALL, "session:a": SESSION})
    lines: list = field(default_factory=lambda: [CHAT, TOOL, NO])
    open: list = field(default_factory=lambda: [OPEN])

    def balances(self, accounts):
        return {one: self.books[one] for one in accounts if one in self.books}

    def accounts(self):
        return iter(self.books.items())

    def holds(self):
        return list(self.open)

    def journal(self, *, since=0, limit=None):
        return iter(sorted(self.lines, key=lambda one: -one.at))

    def but(self, account, **figures):
        """The same, one account's balance changed."""
        return Shelf(self.books | {account: replace(self.books[account], **figures)}, self.lines, self.open)


def test_reader_gives_figures_by_account_and_meter():
    """Spent, held, refused, journal and holds, in integers; unknown accounts are zero; USD as Decimal on request."""
    reader = LedgerReader(Shelf())
    assert (reader.spent("all"), reader.spent("all", Meter.TOKENS), reader.spent("nobody")) == (700, 15, 0)
    assert (reader.held("session:a"), reader.held("session:a", Meter.CALLS)) == (50, 1)
    assert reader.spent_usd("all") == Decimal("0.0000007")
    assert (reader.refused("all"), reader.refused("nobody")) == (1, 0)
    assert [one.id for one in reader.entries()] == ["c1", "t1", "c3"]
    assert [one.id for one in reader.entries(Status.REFUSED)] == ["c3"]
    assert reader.open_holds() == [OPEN]
    assert set(reader.accounts()) == {"all", "session:a"}


def test_balanced_books_pass():
    """Books that tell one story are in order, and so are empty ones."""
    assert_books_balance(Shelf())
    assert_books_balance(Shelf({}, [], []))


def test_lines_without_tokens_leave_tokens_unchecked():
    """Where a line does not tell its tokens, tokens cannot be checked; money still is."""
    settled = Amounts(usd=1000, tokens=777, output_tokens=5, calls=2, tool_calls=1)
    told = Shelf(lines=[CHAT, TOOL, NO, GUESS]).but("all", settled=settled)
    assert_books_balance(told)
    with pytest.raises(AssertionError, match="all: settled usd: 999, the whole journal says 1000"):
        assert_books_balance(told.but("all", settled=replace(settled, usd=999)))


@pytest.mark.parametrize("meter", [one for one in Meter if one.value in Amounts.__dataclass_fields__])
def test_every_meter_of_every_account_is_checked(meter):
    """One unit off on any meter that adds up, settled or held, is named."""
    more = {meter.value: getattr(ALL.settled, meter.value) + 1}
    with pytest.raises(AssertionError, match=f"all: settled {meter}"):
        assert_books_balance(Shelf().but("all", settled=replace(ALL.settled, **more)))
    held = {meter.value: getattr(OPEN.amounts, meter.value) + 1}
    with pytest.raises(AssertionError, match=f"session:a: held {meter}"):
        assert_books_balance(Shelf().but("session:a", held=replace(OPEN.amounts, **held)))


def test_leaks_and_losses_are_named():
    """A leaked hold, a lost call, a double booking, a call both open and booked, an uncounted refusal: each is named."""
    with pytest.raises(AssertionError, match="held usd is 50, its open holds say 0"):
        assert_books_balance(Shelf(open=[]))
    with pytest.raises(AssertionError, match="settled calls: 0, the whole journal says 1"):
        assert_books_balance(Shelf().but("all", settled=replace(ALL.settled, calls=0)))
    with pytest.raises(AssertionError, match="call c1 is booked 2 times"):
        assert_books_balance(Shelf(lines=[CHAT, CHAT, TOOL, NO]))
    with pytest.raises(AssertionError, match="call c1 is booked and still open"):
        assert_books_balance(Shelf(open=[replace(OPEN, entry=CHAT)]))
    with pytest.raises(AssertionError, match="all: refused calls: 0, the whole journal says 1 to 3"):
        assert_books_balance(Shelf().but("all", refused=0))
    with pytest.raises(AssertionError, match="session:a: refused calls: 4, the whole journal says 0 to 3"):
        assert_books_balance(Shelf().but("session:a", refused=4))


def test_other_accounts_may_see_less_but_never_more():
    """An account that sees some calls may stand below the journal, not above it, nor below zero."""
    assert_books_balance(Shelf().but("session:a", settled=Amounts(), refused=0))
    with pytest.raises(AssertionError, match="session:a: settled usd: 701"):
        assert_books_balance(Shelf().but("session:a", settled=replace(SESSION.settled, usd=701)))
    with pytest.raises(AssertionError, match="session:a: settled usd: -1"):
        assert_books_balance(Shelf().but("session:a", settled=Amounts(usd=-1)))


def test_which_accounts_see_everything_can_be_said():
    """`everything` names the accounts that must equal the journal."""
    with pytest.raises(AssertionError, match="session:a: settled tool_calls: 0"):
        assert_books_balance(Shelf(), everything=("all", "session:a"))


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    """Real ledgers."""
    made = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "guard.db")
    yield made
    made.close()


def test_real_books_balance_at_every_step(ledger):
    """Through holds, re-quotes, releases, bookings, corrections and refusals a real ledger's books balance."""
    accounts = ("all", "session:a")
    assert_books_balance(ledger)
    for amount in (50, 70):  # the second is a re-quote
        ledger.reserve(replace(OPEN, amounts=replace(OPEN.amounts, usd=amount)), now=1.0)
        assert_books_balance(ledger)
    assert LedgerReader(ledger).held("session:a") == 70
    guess = replace(OPEN.entry, cost=60, input_tokens=2, output_tokens=1)
    real = replace(guess, status=Status.SETTLED, cost=40)
    for entry in (guess, real, real):
        figures = Amounts(usd=entry.cost, tokens=3, output_tokens=1, calls=1)
        ledger.settle(entry, accounts, figures, now=2.0)
        assert_books_balance(ledger)
    ledger.reserve(replace(OPEN, entry=replace(OPEN.entry, id="c5")), now=3.0)
    ledger.release("c5", now=3.0)
    ledger.settle(TOOL, accounts, Amounts(tool_calls=1), now=4.0)
    ledger.refuse(NO, accounts, now=5.0)
    assert_books_balance(ledger)
    ledger.settle(
        replace(NO, status=Status.SETTLED), accounts, Amounts(usd=900, tokens=2, output_tokens=1, calls=1), now=6.0
    )
    assert_books_balance(ledger)
    reader = LedgerReader(ledger)
    assert (reader.spent("all"), reader.held("all"), reader.spent("all", Meter.TOOL_CALLS)) == (940, 0, 1)
    assert [one.id for one in reader.entries()] == ["t1", "c3", "c4"]


def test_real_books_that_do_not_balance_are_found(ledger):
    """A call booked past the account that sees everything, and one booked at another figure than its line, are found."""
    ledger.settle(CHAT, ("all",), Amounts(usd=700, tokens=15, output_tokens=5, calls=1), now=1.0)
    ledger.settle(
        replace(CHAT, id="c9"), ("session:a",), Amounts(usd=700, tokens=15, output_tokens=5, calls=1), now=1.0
    )
    with pytest.raises(AssertionError, match="all: settled usd: 700, the whole journal says 1400"):
        assert_books_balance(ledger)
    ledger.settle(replace(CHAT, id="c8"), ("all",), Amounts(usd=1401, tokens=30, output_tokens=10, calls=2), now=1.0)
    with pytest.raises(AssertionError, match="all: settled usd: 2101, the whole journal says 2100"):
        assert_books_balance(ledger)


def test_books_balance_after_a_race(ledger):
    """Eight threads that reserve, settle, release and refuse at once leave books that balance."""

    def work(name):
        for at in range(25):
            entry = replace(CHAT, id=f"{name}-{at}", cost=at)
            accounts, asked = ("all", f"session:{name}"), Amounts(usd=at + 1, tokens=20, output_tokens=8, calls=1)
            ledger.reserve(Hold(entry=entry, accounts=accounts, amounts=asked, expires_at=99.0), now=1.0)
            if at % 5 == 0:
                ledger.release(entry.id, now=1.0)
            elif at % 5 < 4:
                ledger.settle(entry, accounts, Amounts(usd=at, tokens=15, output_tokens=5, calls=1), now=1.0)
            ledger.refuse(replace(NO, id=f"{name}-{at}-no"), accounts, now=1.0)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_books_balance(ledger)
    reader = LedgerReader(ledger)
    assert (reader.refused("all"), len(reader.open_holds())) == (200, 40)
    assert reader.spent("all", Meter.CALLS) == 8 * 15
