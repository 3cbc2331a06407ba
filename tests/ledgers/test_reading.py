"""Looking into the books from outside: what is open, the last lines, many accounts at once, in every kind of ledger."""

import pytest

from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.reading import open_reader
from ledgers.samples import NOW, PRICE, amounts, hold, line


@pytest.fixture
def books(url):
    """A ledger with three lines and two open calls, which is written from elsewhere, and a reader of it."""
    if url.startswith("memory"):
        pytest.skip("no other process can read it")
    ledger = open_ledger(url)
    for number in range(3):
        ledger.settle(line(f"call{number}", at=NOW + number), ["all", f"session=s{number}"], amounts(), now=NOW)
    for name, at in (("later", NOW + 9), ("earlier", NOW + 8)):
        ledger.reserve(hold(name, 2 * PRICE, at=at, session="s1", accounts=("all", "session=s1")), now=NOW)
    with open_reader(url) as reader:
        yield reader
    ledger.close()


def test_open_calls_are_told_the_longest_open_first(books):
    """Each with what it holds and the accounts it is on."""
    found = books.holds(10)
    assert [(one.entry.id, one.entry.session, one.amounts.usd) for one in found] == [
        ("earlier", "s1", 2 * PRICE),
        ("later", "s1", 2 * PRICE),
    ]
    assert found[0].accounts == ("all", "session=s1")
    assert [one.entry.id for one in books.holds(1)] == ["earlier"]


@pytest.mark.parametrize(("lines", "since"), [(1, NOW + 2), (3, NOW), (4, 0.0)])
def test_the_time_of_the_last_lines(books, lines, since):
    """From then on there are so many lines; where there are fewer at all, from the beginning."""
    assert books.since_last(lines) == since


def test_many_accounts_at_once(books):
    """More accounts than are asked for in one statement: each is its own, and an unknown one is zero."""
    names = [f"session=s{number}" for number in range(450)]
    found = books.balances(names)
    assert list(found) == names
    assert [found[name].settled.usd for name in names[:4]] == [PRICE, PRICE, PRICE, 0]
    assert found["session=s1"].held.usd == 4 * PRICE


def test_a_file_that_was_replaced_is_told_of(file):
    """Whoever looks for long would else see what was, for ever."""
    open_ledger(file).close()
    with open_reader(file) as reader:
        assert not reader.gone()
        for one in file.parent.iterdir():
            one.unlink()
        assert reader.gone()
        open_ledger(file).close()
        assert reader.gone()
