"""The contract of ledgers/base.py, kept by every ledger."""

from dataclasses import replace

import pytest

from agent_fuse.calls import RING_FENCE, Entry, RefusedBy, Status
from agent_fuse.ledgers.base import (
    AMOUNTS,
    Amounts,
    Balance,
    Cap,
    Hold,
    LedgerError,
    Meter,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
    Unwritable,
)
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, PRICE, amounts, cap, hold, line, reserve, usd

LARGEST = 2**63 - 1


def test_exact_fit(ledger):
    """$0.30 admits exactly 40 calls of $0.0075: the last one fills the cap to the nano-dollar."""
    caps = (cap(300_000_000),)
    granted = [reserve(ledger, f"c{n}", caps=caps) for n in range(60)]
    assert granted == [True] * 40 + [False] * 20
    assert usd(ledger) == (0, 300_000_000)
    for n in range(40):
        ledger.settle(line(f"c{n}"), (), amounts(), now=NOW)
    assert usd(ledger) == (300_000_000, 0)
    assert not reserve(ledger, "more", 1, caps=caps)
    assert_books_balance(ledger)


def test_reservation_carries_the_accounts_after_it(ledger):
    """What a granted call is told are the accounts with its own hold in them."""
    ledger.settle(line("old", 100), ("all",), amounts(100), now=NOW)
    answer = ledger.reserve(hold("c", 40, accounts=("all", "user=ann")), now=NOW)
    assert answer == Reservation(
        "c",
        {"all": Balance(amounts(100), amounts(40)), "user=ann": Balance(held=amounts(40))},
    )
    assert answer.balances == ledger.balances(["all", "user=ann"])


def test_all_caps_or_nothing(ledger):
    """One cap of several says no: no account is charged, and the refusal names that cap and its figures."""
    ledger.settle(line("old", 70), ("user=ann",), amounts(70), now=NOW)
    reserve(ledger, "open", 20, accounts=("user=ann",))
    tight = cap(100, "user=ann")
    asked = hold("c", 11, accounts=("all", "user=ann", "team=x"), caps=(cap(1000), tight, cap(1000, "team=x")))
    before = list(ledger.accounts())
    assert ledger.reserve(asked, now=NOW) == Refusal(tight, settled=70, held=20, requested=11)
    assert list(ledger.accounts()) == before
    assert [one.entry.id for one in ledger.holds()] == ["open"]
    assert reserve(ledger, "c", 10, accounts=asked.accounts, caps=asked.caps)


@pytest.mark.parametrize("meter", AMOUNTS)
def test_every_meter_has_caps(ledger, meter):
    """A cap of three admits three, whatever it counts."""
    one = Amounts(**{meter.value: 1})
    for n in range(4):
        asked = replace(hold(f"c{n}"), amounts=one, caps=(Cap("all", meter, 3),))
        answer = ledger.reserve(asked, now=NOW)
        assert isinstance(answer, Reservation) == (n < 3)
    assert answer == Refusal(Cap("all", meter, 3), settled=0, held=3, requested=1)
    assert ledger.balances(["all"])["all"].held == Amounts(**{meter.value: 3})


def test_cap_on_an_account_that_is_not_charged(ledger):
    """A cap may look at an account that the call is not booked on: it must not be past the cap already."""
    ledger.settle(line("old", 50), ("other",), amounts(50), now=NOW)
    assert reserve(ledger, "a", 10, caps=(cap(50, "other"),))
    assert ledger.reserve(hold("b", 10, caps=(cap(49, "other"),)), now=NOW) == Refusal(cap(49, "other"), 50, 0, 0)
    assert usd(ledger, "other") == (50, 0)


def test_account_named_twice_is_charged_once(ledger):
    """Accounts are a set."""
    reserve(ledger, "c", 10, accounts=("all", "all"))
    assert usd(ledger) == (0, 10)
    ledger.settle(line("d", 5), ("all", "all"), amounts(5), now=NOW)
    ledger.refuse(line("e", 5), ("all", "all"), now=NOW)
    balance = ledger.balances(["all"])["all"]
    assert (balance.settled.usd, balance.held.usd, balance.refused) == (5, 10, 1)


def test_requote_takes_the_first_holds_place(ledger):
    """A second reserve under one id replaces the first; caps see the difference only."""
    caps = (cap(100),)
    assert reserve(ledger, "c", 60, caps=caps)
    assert reserve(ledger, "c", 100, caps=caps)
    assert usd(ledger) == (0, 100)
    assert reserve(ledger, "c", 30, caps=caps)
    assert usd(ledger) == (0, 30)
    assert ledger.holds() == [replace(hold("c", 30), caps=())]


def test_refused_requote_leaves_the_first_hold(ledger):
    """A re-quote that does not fit changes nothing; its refusal counts other calls' holds as held."""
    reserve(ledger, "other", 30)
    reserve(ledger, "c", 60)
    assert ledger.reserve(hold("c", 71, caps=(cap(100),)), now=NOW) == Refusal(cap(100), 0, 30, 71)
    assert usd(ledger) == (0, 90)
    assert [one.amounts for one in ledger.holds() if one.entry.id == "c"] == [amounts(60)]


def test_requote_on_other_accounts(ledger):
    """A re-quote may learn that the call belongs elsewhere: accounts left are freed, accounts new are charged."""
    reserve(ledger, "c", 60, accounts=("all", "agent=?"))
    answer = ledger.reserve(hold("c", 50, accounts=("all", "agent=bob"), caps=(cap(50, "agent=bob"),)), now=NOW)
    assert answer == Reservation("c", {"all": Balance(held=amounts(50)), "agent=bob": Balance(held=amounts(50))})
    assert ledger.balances(["agent=?"])["agent=?"] == Balance()
    ledger.release("c", now=NOW)
    assert {balance for _, balance in ledger.accounts()} == {Balance()}


def test_settle_frees_the_hold_and_books_once(ledger):
    """Actual replaces held; a second settle of the call changes nothing."""
    reserve(ledger, "c", 60, accounts=("all", "user=ann"))
    assert ledger.settle(line("c", 45, session="s"), (), amounts(45), now=NOW) is Settling.BOOKED
    assert usd(ledger) == usd(ledger, "user=ann") == (45, 0)
    assert ledger.settle(line("c", 99), ("all",), amounts(99), now=NOW) is Settling.UNCHANGED
    assert usd(ledger) == (45, 0)
    assert list(ledger.journal()) == [line("c", 45, session="s")]
    assert ledger.holds() == []


def test_settle_may_pass_the_cap(ledger):
    """What was spent was spent: a call dearer than its quote is booked in full, and then nothing more is admitted."""
    reserve(ledger, "c", 60, caps=(cap(100),))
    ledger.settle(line("c", 150), (), amounts(150), now=NOW)
    assert usd(ledger) == (150, 0)
    assert not reserve(ledger, "d", 0, caps=(cap(100),))


def test_settle_without_a_hold_books_on_the_accounts_given(ledger):
    """A call that nobody reserved is booked all the same."""
    assert ledger.settle(line("c", 5), ("all", "user=ann"), amounts(5), now=NOW) is Settling.BOOKED
    assert usd(ledger) == usd(ledger, "user=ann") == (5, 0)


@pytest.mark.parametrize("first", [Status.ESTIMATED, Status.PRESUMED])
@pytest.mark.parametrize("real", [0, 40, 900])
def test_real_figure_corrects(ledger, first, real):
    """A call booked by estimate is corrected by the difference, on the accounts where it was booked, once."""
    reserve(ledger, "c", 60, accounts=("all", "user=ann"))
    assert ledger.settle(line("c", 70, first), (), amounts(70), now=NOW) is Settling.BOOKED
    assert ledger.settle(line("c", 80, first), (), amounts(80), now=NOW) is Settling.UNCHANGED
    assert ledger.settle(line("c", real), ("elsewhere",), amounts(real), now=NOW) is Settling.CORRECTED
    assert usd(ledger) == usd(ledger, "user=ann") == (real, 0)
    assert usd(ledger, "elsewhere") == (0, 0)
    assert list(ledger.journal()) == [line("c", real)]
    assert ledger.settle(line("c", 7), (), amounts(7), now=NOW) is Settling.UNCHANGED
    assert_books_balance(ledger)


def test_booked_call_holds_nothing_more(ledger):
    """A late re-quote of a call that is booked charges nothing: no hold would ever free it."""
    ledger.settle(line("c", 50), ("all",), amounts(50), now=NOW)
    assert ledger.reserve(hold("c", 70, caps=(cap(10),)), now=NOW) == Reservation("c", {"all": Balance(amounts(50))})
    assert usd(ledger) == (50, 0)
    assert ledger.holds() == []


def test_release_gives_back_in_full(ledger):
    """A released hold leaves no trace, and can be released once."""
    reserve(ledger, "c", 60, accounts=("all", "user=ann"))
    assert ledger.release("c", now=NOW) is True
    assert ledger.release("c", now=NOW) is False
    assert {balance for _, balance in ledger.accounts()} <= {Balance()}
    assert list(ledger.journal()) == []


def test_refused_call_is_written_and_counted_once(ledger):
    """A refused call costs nothing, is in the journal as refused whatever its entry says, and counts once."""
    ledger.refuse(line("c", 60, reason="budget"), ("all", "user=ann"), now=NOW)
    ledger.refuse(line("c", 60, reason="budget"), ("all", "user=ann"), now=NOW)
    assert ledger.balances(["all", "user=ann"]) == {"all": Balance(refused=1), "user=ann": Balance(refused=1)}
    assert list(ledger.journal()) == [line("c", 60, Status.REFUSED, reason="budget")]


def test_refused_call_that_is_asked_for_again_is_judged_again(ledger):
    """A refusal in the journal is no leave to go: the caps are asked, and where it is admitted it is held."""
    ledger.refuse(line("c", 60), ("all",), now=NOW)
    assert not reserve(ledger, "c", 60, caps=(cap(59),))
    assert usd(ledger) == (0, 0)
    assert reserve(ledger, "c", 60, caps=(cap(60),))
    assert usd(ledger) == (0, 60)
    assert not reserve(ledger, "other", 1, caps=(cap(60),))


def test_refused_call_with_a_hold_frees_it_when_it_is_booked(ledger):
    """It was held, refused by a later gate, and made all the same: nothing of it stays held."""
    reserve(ledger, "c", 60)
    ledger.refuse(line("c", 60), ("all",), now=NOW)
    assert ledger.settle(line("c", 40), ("all",), amounts(40), now=NOW) is Settling.BOOKED
    assert (usd(ledger), ledger.holds()) == ((40, 0), [])
    assert_books_balance(ledger)


def test_counting_on_other_accounts_than_it_is_held_on(ledger):
    """As a re-quote: what it was held on is free again, and what it is counted on has it."""
    reserve(ledger, "c", 60, accounts=("all", "agent=?"))
    assert ledger.count(hold("c", 50, accounts=("all", "agent=bob")), now=NOW)
    assert [usd(ledger, one) for one in ("all", "agent=?", "agent=bob")] == [(50, 0), (0, 0), (50, 0)]
    assert ledger.holds() == []
    assert_books_balance(ledger)


@pytest.mark.parametrize(("key", "lasts"), [("caps/session=s", True), ("loops/key", True), ("loops/s", False)])
def test_notes_that_are_no_history_are_not_pruned(ledger, key, lasts):
    """What is posted for others, and what makes digests of before still known, stands however old it is."""
    ledger.update_note(key, lambda _: (b"kept", None), now=NOW)
    ledger.prune(before=NOW + 1e6)
    assert ledger.update_note(key, lambda note: (note, note), now=NOW + 1e6) == (b"kept" if lasts else None)


def test_a_call_that_would_have_been_refused_stands_beside_it(ledger):
    """The line of observe mode keeps its status and what would have refused, and no account counts it."""
    by = RefusedBy(limit="$0.02 per session", per="session", meter="usd", cap=2, spent=1, requested=7)
    ledger.refuse(line("would", 60, Status.WOULD_REFUSE, reason="budget", refused_by=by), (), now=NOW)
    reserve(ledger, "c", 60)
    ledger.settle(line("c", 40), ("all",), amounts(40), now=NOW)
    assert ledger.balances(["all"]) == {"all": Balance(amounts(40))}
    assert {one.id: (one.status, one.refused_by) for one in ledger.journal()} == {
        "would": (Status.WOULD_REFUSE, by),
        "c": (Status.SETTLED, None),
    }
    assert_books_balance(ledger)
    with pytest.raises(LedgerError, match="that is for refuse"):
        ledger.settle(line("d", 1, Status.WOULD_REFUSE), ("all",), amounts(1), now=NOW)


def test_what_refused_a_call_is_kept(ledger):
    """The journal keeps the limit that refused, as it stood then; a call booked after all keeps nothing of it."""
    by = RefusedBy(
        limit="$0.02 per user.id",
        per="user.id",
        value="é=x",
        meter="usd",
        advice="raise it",
        cap=2**53,
        spent=15,
        held=0,
        requested=7,
    )
    ledger.refuse(line("c", 60, Status.REFUSED, reason="budget", refused_by=by), ("all",), now=NOW)
    ledger.refuse(line("d", 60, Status.REFUSED, reason="loop", refused_by=RefusedBy()), ("all",), now=NOW)
    assert {one.id: one.refused_by for one in ledger.journal()} == {"c": by, "d": RefusedBy()}
    ledger.settle(line("c", 40), ("all",), amounts(40), now=NOW)
    assert {one.id: one.refused_by for one in ledger.journal()} == {"c": None, "d": RefusedBy()}


@pytest.mark.parametrize("status", [Status.SETTLED, Status.ESTIMATED])
def test_refused_call_that_was_made_after_all_is_booked(ledger, status):
    """A refusal in the journal does not swallow money: the call that went after all is booked in its place."""
    ledger.refuse(line("c", 60), ("all",), now=NOW)
    assert ledger.settle(line("c", 40, status), ("all",), amounts(40), now=NOW) is Settling.BOOKED
    assert ledger.balances(["all"]) == {"all": Balance(amounts(40), refused=1)}
    assert list(ledger.journal()) == [line("c", 40, status)]
    ledger.refuse(line("c", 60), ("all",), now=NOW)
    assert list(ledger.journal()) == [line("c", 40, status)]
    again = ledger.settle(line("c", 30), ("all",), amounts(30), now=NOW)
    assert again is (Settling.CORRECTED if status is Status.ESTIMATED else Settling.UNCHANGED)


def test_sweep_presumes_expired_holds(ledger):
    """A hold past its time becomes presumed spend at its quote, once, and a real figure still corrects it."""
    reserve(ledger, "old", 60, accounts=("all", "user=ann"), expires_at=NOW + 10, session="s")
    reserve(ledger, "new", 5, expires_at=NOW + 20)
    assert ledger.sweep(now=NOW + 9.9) == []
    presumed = line("old", 60, Status.PRESUMED, session="s", reason="expired")
    assert ledger.sweep(now=NOW + 10) == [presumed]
    assert ledger.sweep(now=NOW + 10) == []
    assert usd(ledger) == (60, 5)
    assert usd(ledger, "user=ann") == (60, 0)
    assert list(ledger.journal()) == [presumed]
    assert ledger.settle(line("old", 50), (), amounts(50), now=NOW + 11) is Settling.CORRECTED
    assert usd(ledger) == (50, 5)
    assert_books_balance(ledger)


def test_what_only_kept_a_place_is_given_back_by_a_sweep(ledger):
    """The hold behind which a ring-fence is put up is nobody's spending, whatever became of who asked for it."""
    reserve(ledger, "fence", 60, expires_at=NOW + 10, operation=RING_FENCE)
    assert ledger.sweep(now=NOW + 10) == []
    assert usd(ledger) == (0, 0)
    assert ledger.holds() == []
    assert list(ledger.journal()) == []
    assert_books_balance(ledger)


def test_sweep_of_many(ledger):
    """A sweep takes all that expired, however many they are."""
    for n in range(450):
        reserve(ledger, f"c{n:03}", 1, expires_at=NOW + 1)
    assert sorted(one.id for one in ledger.sweep(now=NOW + 2)) == [f"c{n:03}" for n in range(450)]
    assert usd(ledger) == (450, 0)


def test_prune_drops_lines_and_notes_but_no_figures(ledger):
    """Old journal lines go; accounts and open holds keep what they have."""
    for n in range(450):
        ledger.settle(line(f"c{n}", 1, at=NOW + n), ("all",), amounts(1), now=NOW)
    reserve(ledger, "open", 5)
    ledger.update_note("old", lambda _: (b"x", None), now=NOW)
    ledger.update_note("new", lambda _: (b"y", None), now=NOW + 1000)
    assert ledger.prune(before=NOW + 420) == 420
    assert [one.at for one in ledger.journal()] == [NOW + n for n in reversed(range(420, 450))]
    assert usd(ledger) == (450, 5)
    assert ledger.update_note("old", lambda note: (note, note), now=NOW) is None
    assert ledger.update_note("new", lambda note: (note, note), now=NOW) == b"y"
    assert ledger.prune(before=NOW) == 0


def test_journal_newest_first(ledger):
    """The journal reads backwards from the newest line, to `since` or for `limit` lines, over many pages."""
    for n in range(700):
        ledger.settle(line(f"c{n}", n, at=NOW + n % 350), ("all",), amounts(n), now=NOW)
    lines = list(ledger.journal())
    assert len({one.id for one in lines}) == 700
    assert [one.at for one in lines] == sorted((one.at for one in lines), reverse=True)
    assert list(ledger.journal(limit=450)) == lines[:450]
    assert list(ledger.journal(since=NOW + 300)) == lines[:100]
    assert list(ledger.journal(since=NOW + 300, limit=3)) == lines[:3]
    assert list(ledger.journal(limit=0)) == list(ledger.journal(since=NOW + 350)) == []


def test_entries_come_back_whole(ledger):
    """Every field of a call, unknown figures and odd text too, is read as it was written, from holds and journal."""
    odd = "naïve ✓ 漢字 \"quoted\" 'x' \n\t, [1] \x00 end"
    full = Entry(
        id=odd,
        at=NOW + 0.123456,
        status=Status.ESTIMATED,
        session=odd,
        agent="a",
        provider="p",
        model="m",
        operation="execute_tool",
        tool="t",
        cost=2**62,
        input_tokens=0,
        output_tokens=None,
        cache_read_tokens=1,
        cache_write_tokens=None,
        reasoning_tokens=3,
        reason="r",
        response_id="i",
        trace_id="x",
        span_id="y",
    )
    asked = Hold(entry=full, accounts=(odd, "b,c", ""), amounts=Amounts(tool_calls=1), expires_at=NOW + 0.5)
    ledger.reserve(asked, now=NOW)
    assert ledger.holds() == [asked]
    ledger.settle(full, (), Amounts(tool_calls=1), now=NOW)
    assert list(ledger.journal()) == [full]
    assert dict(ledger.accounts()) == {name: Balance(Amounts(tool_calls=1)) for name in (odd, "b,c", "")}


def test_holds_oldest_first(ledger):
    """Open holds are listed by the start of their calls."""
    for n in (3, 1, 2):
        reserve(ledger, f"c{n}", n, at=NOW + n)
    assert [one.entry.id for one in ledger.holds()] == ["c1", "c2", "c3"]


def test_balances_of_unknown_accounts_are_zero(ledger):
    """An account that nobody charged stands at nothing."""
    assert ledger.balances(["nobody", "none"]) == {"nobody": Balance(), "none": Balance()}
    assert ledger.balances([]) == {}
    assert list(ledger.accounts()) == []


def test_many_accounts(ledger):
    """All accounts are read, over many pages, by name."""
    for n in range(450):
        ledger.settle(line(f"c{n}", n), (f"user={n:03}",), amounts(n), now=NOW)
    assert [(name, one.settled.usd) for name, one in ledger.accounts()] == [(f"user={n:03}", n) for n in range(450)]


def test_notes(ledger):
    """A note is read, changed and written in one step; None deletes it."""

    def count(note):
        found = int(note or b"0") + 1
        return (None if found == 3 else str(found).encode()), found

    assert [ledger.update_note("k", count, now=NOW) for _ in range(4)] == [1, 2, 3, 1]
    assert ledger.update_note("empty", lambda _: (b"", "answer"), now=NOW) == "answer"
    assert ledger.update_note("empty", lambda note: (note, note), now=NOW) == b""


@pytest.mark.parametrize("error", [ValueError, OSError, OverflowError, UnicodeError, KeyboardInterrupt])
def test_what_a_change_raises_passes(ledger, error):
    """An exception of the caller's own is not taken for the ledger's; the note stays, and the ledger goes on."""
    ledger.update_note("k", lambda _: (b"1", None), now=NOW)
    own = error("own") if error is not UnicodeError else UnicodeError("own")

    def fail(note):
        raise own

    with pytest.raises(error) as caught:
        ledger.update_note("k", fail, now=NOW)
    assert caught.value is own
    assert ledger.update_note("k", lambda note: (note, note), now=NOW) == b"1"


@pytest.mark.parametrize("figure", [-1, LARGEST + 1])
def test_amounts_out_of_range(ledger, figure):
    """Negative figures and those past 64 bits are refused by name, and never wrap."""
    bad = Amounts(usd=figure)
    with pytest.raises(Unwritable, match=r"reserve failed: amounts are whole numbers from 0 to 2\^63 - 1"):
        ledger.reserve(replace(hold("c"), amounts=bad), now=NOW)
    with pytest.raises(LedgerError, match="settle failed: amounts"):
        ledger.settle(line("c"), ("all",), bad, now=NOW)
    assert list(ledger.accounts()) == []


def test_account_would_overflow(ledger):
    """Sums are kept within 64 bits too: nothing is held that could not be settled, nothing wraps."""
    ledger.settle(line("a", 0), ("all",), Amounts(usd=LARGEST - 10), now=NOW)
    with pytest.raises(Unwritable, match=r"reserve failed: a figure .* out of range"):
        ledger.reserve(replace(hold("b"), amounts=Amounts(usd=11)), now=NOW)
    assert isinstance(ledger.reserve(replace(hold("b"), amounts=Amounts(usd=10)), now=NOW), Reservation)
    with pytest.raises(Unwritable, match=r"settle failed: a figure .* out of range"):
        ledger.settle(line("c", 0), ("all",), Amounts(usd=1), now=NOW)
    assert usd(ledger) == (LARGEST - 10, 10)
    assert ledger.settle(line("b", 0), (), Amounts(usd=10), now=NOW) is Settling.BOOKED
    assert usd(ledger) == (LARGEST, 0)
    assert {one.id for one in ledger.journal()} == {"a", "b"}


def test_a_refused_entry_is_not_settled(ledger):
    """Settling with status refused is a mistake, and is named as one."""
    with pytest.raises(Unwritable, match=r"call 'c' is refused; that is for refuse\(\)"):
        ledger.settle(line("c", 1, Status.REFUSED), ("all",), amounts(1), now=NOW)


def test_price_is_the_seeds():
    """The figures above mean what they say: forty times the price is thirty cents."""
    assert PRICE * 40 == 300_000_000


def counted(ledger, call, *, note=None, **more):
    """What counting the call at once says."""
    return ledger.count(replace(hold(call, 10, **more), entry=line(call, 10)), note, now=NOW)


def test_counting_is_reserving_and_settling_at_once(ledger):
    """A cap that is full refuses and books nothing; a call counted twice is booked once; a hold is replaced."""
    caps = (cap(20),)
    answer = counted(ledger, "a", caps=caps)
    assert answer == Reservation("a", ledger.balances(["all"]))
    assert counted(ledger, "a", caps=caps) == answer
    assert reserve(ledger, "b", 10, caps=caps)
    assert counted(ledger, "b", caps=caps) == Reservation("b", ledger.balances(["all"]))
    assert counted(ledger, "c", caps=caps) == Refusal(cap(20), 20, 0, 10)
    assert usd(ledger) == (20, 0)
    assert {one.id for one in ledger.journal()} == {"a", "b"}
    assert ledger.holds() == []


def test_counting_changes_a_note_in_the_same_step(ledger):
    """The note is changed whatever the caps say, and decides whether the call is counted; what it raises stops all."""

    def fail(note):
        raise ValueError(note)

    assert counted(ledger, "a", note=NoteChange("k", lambda _: (b"1", True))) == Reservation(
        "a", ledger.balances(["all"])
    )
    assert counted(ledger, "b", note=NoteChange("k", lambda note: (note + b"2", False))) is None
    assert isinstance(counted(ledger, "c", caps=(cap(5),), note=NoteChange("k", lambda n: (n + b"3", True))), Refusal)
    with pytest.raises(ValueError, match="123"):
        counted(ledger, "d", note=NoteChange("k", fail))
    assert ledger.update_note("k", lambda note: (note, note), now=NOW) == b"123"
    assert usd(ledger) == (10, 0)


def test_what_a_cap_keeps_is_for_other_calls(ledger):
    """The same cap, with and without what is kept."""
    open_cap, kept = Cap("all", Meter.USD, 100), Cap("all", Meter.USD, 100, 30)
    assert isinstance(ledger.reserve(hold("a", 70, accounts=("all",), caps=(kept,)), now=NOW), Reservation)
    refused = ledger.reserve(hold("b", 1, accounts=("all",), caps=(kept,)), now=NOW)
    assert isinstance(refused, Refusal)
    assert refused.amount == 70
    assert ledger.used_up((kept,), now=NOW) is not None
    assert ledger.used_up((open_cap,), now=NOW) is None
    assert isinstance(ledger.reserve(hold("c", 30, accounts=("all",), caps=(open_cap,)), now=NOW), Reservation)
