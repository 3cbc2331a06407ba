"""Files: a ledger that was damaged or cut short says so in one line; so does a file of limits or prices."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError, Meter
from agent_fuse.ledgers.reading import ANY, open_reader
from agent_fuse.limits import Limit
from agent_fuse.settings import settings as options
from fuzzing.garbage import DEEP, sizes
from ledgers.samples import NOW, amounts, cap, line, reserve

PAGE, CALLS = 4096, 400
SPENT = sum(range(CALLS))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a ledger with a history, closed."""
    file = tmp_path_factory.mktemp("whole") / "ledger.db"
    ledger = open_ledger(file)
    for n in range(CALLS):
        ledger.settle(line(f"c{n}", n, session=f"s{n % 7}"), ("all", f"session=s{n % 7}"), amounts(n), now=NOW + n)
    ledger.update_note("pauses", lambda _: (b"{}", None), now=NOW)
    ledger.close()
    return file.read_bytes()


def looked_at(file):
    """What each way to look at a ledger finds, or says; what is no LedgerError passes."""
    found = {}
    try:
        with open_reader(file) as books:
            for name, read in READS.items():
                try:
                    found[name] = read(books)
                except LedgerError as error:
                    found[name] = error
    except LedgerError as error:
        found["open_reader"] = error
    try:
        ledger = open_ledger(file)
    except LedgerError as error:
        found["open"] = error
        return found
    for name, act in ACTS.items():
        try:
            found[name] = act(ledger)
        except LedgerError as error:
            found[name] = error
    ledger.close()
    return found


READS = {
    "sums": lambda books: books.sums(ANY, "model"),
    "accounts": lambda books: books.accounts("session", Meter.USD, 10),
    "names": lambda books: books.account_names(10),
    "entries": lambda books: list(books.entries(ANY)),
    "facts": lambda books: list(books.facts()),
    "holds, read": lambda books: books.holds(10),
    "notes": lambda books: books.notes("pause"),
    "controls": lambda books: books.controls(),
    "times": lambda books: books.times(),
    "refused": lambda books: books.refused(ANY),
}
ACTS = {
    "balance": lambda ledger: ledger.balances(["all"])["all"].settled.usd,
    "journal": lambda ledger: sum(one.cost for one in ledger.journal()),
    "holds": lambda ledger: list(ledger.holds()),
    "note": lambda ledger: ledger.update_note("pauses", lambda note: (note, note), now=NOW),
    "reserve": lambda ledger: reserve(ledger, "new", 1, caps=(cap(SPENT),)),
}


def assert_said(found):
    """Every error is one line that says what failed and what is wrong with the file."""
    for name, error in found.items():
        if isinstance(error, LedgerError):
            assert "\n" not in str(error), name
            assert re.search(r"failed: \S", str(error)), (name, error)


def test_an_account_that_lost_its_name(whole, tmp_path, monkeypatch):
    """SQLite gives none where a page is damaged, whatever the table says; the others are told."""
    file = tmp_path / "ledger.db"
    file.write_bytes(whole)
    with open_reader(file) as books:
        monkeypatch.setattr(books, "_all", lambda *_: [(None,), ("all",)])
        assert books.account_names(10) == ["all"]


VERSION = 60
"""Where SQLite keeps `user_version`, four bytes."""


@pytest.mark.parametrize("version", [-1, -(2**31)])
def test_a_version_that_cannot_be(whole, tmp_path, version):
    """Whoever reads and whoever writes says that the file is damaged."""
    file = tmp_path / "ledger.db"
    file.write_bytes(whole[:VERSION] + version.to_bytes(4, "big", signed=True) + whole[VERSION + 4 :])
    said = {name: str(error) for name, error in looked_at(file).items()}
    assert said.keys() == {"open_reader", "open"}
    assert all(f"the file is damaged: its version is {version}; restore a copy" in one for one in said.values())


@sizes
def test_a_ledger_that_lost_its_end(whole, tmp_path, examples):
    """Cut anywhere: an error in words, or the right figures; never fewer, and no call more than the cap admits.

    A file of no byte is a new one: nothing in it says that it ever held books.
    """
    file = tmp_path / "ledger.db"

    @settings(max_examples=examples)
    @given(
        st.integers(2, len(whole) - 1)
        | st.integers(1, 100).map(lambda lost: len(whole) - lost)
        | st.integers(1, len(whole) // PAGE - 1).map(lambda pages: pages * PAGE)
    )
    def holds(size):
        for one in tmp_path.iterdir():
            one.unlink()
        file.write_bytes(whole[:size])
        found = looked_at(file)
        assert_said(found)
        for name, right in (("balance", SPENT), ("journal", SPENT), ("reserve", False)):
            assert isinstance(found.get(name, LedgerError("x", "x", "x")), LedgerError) or found[name] == right, name

    holds()


@sizes
def test_a_ledger_with_damaged_pages(whole, tmp_path, examples):
    """Pages that a disk lost, all zeros or noise: an error in words, or the right figures."""
    file = tmp_path / "ledger.db"

    @settings(max_examples=examples)
    @given(st.sets(st.integers(0, len(whole) // PAGE - 1), min_size=1, max_size=4), st.none() | st.integers(0, 2**32))
    def holds(pages, seed):
        body = bytearray(whole)
        for page in pages:
            noise = bytes(PAGE) if seed is None else random.Random(seed + page).randbytes(PAGE)
            body[page * PAGE : (page + 1) * PAGE] = noise
        for one in tmp_path.iterdir():
            one.unlink()
        file.write_bytes(body)
        found = looked_at(file)
        assert_said(found)
        for name, right in (("balance", SPENT), ("reserve", False)):
            assert isinstance(found.get(name, LedgerError("x", "x", "x")), LedgerError) or found[name] == right, name

    holds()


@sizes
def test_a_ledger_with_wrong_bytes(whole, tmp_path, examples):
    """Bytes changed anywhere: nothing but a LedgerError, on one line."""
    file = tmp_path / "ledger.db"

    @settings(max_examples=examples)
    @given(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=200)
    )
    def holds(changes):
        body = bytearray(whole)
        for at, data in changes:
            body[at : at + len(data)] = data
        for one in tmp_path.iterdir():
            one.unlink()
        file.write_bytes(body[: len(whole)])
        assert_said(looked_at(file))

    holds()


KEYS = ["usd", "tokens", "calls", "tool_calls", "per", "window", "timezone", "warn_at", "nonsense", '"a\\nb"', "name"]
VALUES = ["5", "-1", "1e999999999", "1e-999999999", "nan", "inf", "9" * 5_000, "true", '"5"', "'session'", '"1m"', "[]"]
VALUES += [
    '["user.id", "model"]',
    "{}",
    "{a = 1}",
    "2026-01-01",
    "12:00:00",
    '"""a\nb"""',
    "'\u202e'",
    "'Europe/Berlin'",
]
lines = st.builds("{} = {}".format, st.sampled_from(KEYS), st.sampled_from(VALUES))
texts = st.lists(
    lines
    | st.sampled_from(["[[limit]]", "[limit]", "[[limits]]", "", "limit = [5]", "\x00", "]"])
    | st.text(max_size=12),
    max_size=12,
)


@sizes
def test_any_file_of_limits(tmp_path, examples):
    """Limits, or one line that begins with the file's name."""
    path = tmp_path / "limits.toml"

    @settings(max_examples=examples)
    @given(texts.map("\n".join) | st.text(max_size=60))
    def holds(text):
        path.write_text(text, "utf-8", "surrogatepass")
        began = time.monotonic()
        said = str(path)
        try:
            assert all(isinstance(one, Limit) for one in options({}, limits=path).limits)
        except ConfigurationError as error:
            said = str(error)
        assert said.startswith(str(path))
        assert len(said.splitlines()) == 1, said
        assert time.monotonic() - began < 5

    holds()


@pytest.mark.parametrize(
    ("option", "name"), [("limits", "limits.toml"), ("prices", "prices.toml"), ("prices", "prices.json")]
)
def test_a_file_that_is_nested_too_deep(tmp_path, option, name):
    """Deeper than its parser goes, which is deepest in Python 3.14: one line."""
    path = tmp_path / name
    path.write_text(("" if name.endswith("json") else "a = ") + "[" * (10 * DEEP))
    with pytest.raises(ConfigurationError, match="nested too deep") as caught:
        options({}, **{option: path})
    assert str(caught.value).startswith(str(path))
