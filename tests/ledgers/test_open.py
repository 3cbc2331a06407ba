"""Which ledger a path or URL names, and what is said when it names none."""

from pathlib import Path

import pytest

from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import kinds, open_ledger
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.ledgers.reading import open_reader
from ledgers.samples import reserve, usd


@pytest.mark.parametrize("name", ["path", "text", "url", "other case"])
def test_path_and_url_name_the_same_file(file, name):
    """A path, its text and `sqlite:////absolute/path` are one ledger."""
    url = {"path": file, "text": str(file), "url": f"sqlite:///{file}", "other case": f"SQLite:///{file}"}[name]
    reserve(open_ledger(url), "c", 5)
    assert usd(open_ledger(file)) == (0, 5)


def test_relative_url(tmp_path, monkeypatch):
    """Three slashes and a relative path are relative to the folder one is in when it is opened."""
    monkeypatch.chdir(tmp_path)
    ledger = open_ledger("sqlite:///here/ledger.db")
    monkeypatch.chdir("/")
    reserve(ledger, "c", 5)
    assert usd(open_ledger(tmp_path / "here" / "ledger.db")) == (0, 5)


@pytest.mark.parametrize("url", ["~/.agent_fuse/guard_v1.db", "sqlite:///~/.agent_fuse/guard_v1.db"])
def test_home(home, url):
    """`~` is the user's home, and the folder there is made."""
    open_ledger(url)
    assert (home / ".agent_fuse" / "guard_v1.db").is_file()
    assert (home / ".agent_fuse").stat().st_mode & 0o777 == 0o700


def test_memory():
    """`memory://` is a ledger of one's own; one with a name is shared by name within the process."""
    assert isinstance(open_ledger("memory://"), MemoryLedger)
    assert open_ledger("memory://") is not open_ledger("memory://")
    assert open_ledger("memory://shared") is open_ledger("memory://shared")
    assert open_ledger("memory://shared") is not open_ledger("memory://other")


@pytest.mark.parametrize("url", ["oracle://me:secret@host/db", "oracle://host/db?password=secret&x=1"])
@pytest.mark.parametrize("ask", [open_ledger, open_reader])
def test_password_of_an_unknown_kind_is_not_told(url, ask):
    """A URL of no kind that there is fails at once, and without its password."""
    with pytest.raises(ConfigurationError, match="none of a path") as caught:
        ask(url)
    assert "secret" not in str(caught.value)


def test_what_is_in_memory_is_read_by_nobody_else():
    """`memory://` cannot be opened for reading, and says why."""
    with pytest.raises(ConfigurationError, match="in memory cannot be read"):
        open_reader("memory://shared")


@pytest.fixture
def another_package(tmp_path, monkeypatch):
    """A package that brings a kind of ledger; its entry point's value is given to the fixture's function."""

    def install(value):
        folder = tmp_path / "shelf-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[agent_fuse.ledgers]\nshelf = {value}\nsqlite = shelf:KIND\n")
        (tmp_path / "shelf.py").write_text("from agent_fuse.ledgers.memory_kind import KIND\n")
        monkeypatch.syspath_prepend(tmp_path)
        kinds._registered.cache_clear()

    yield install
    monkeypatch.undo()
    kinds._registered.cache_clear()


def test_other_packages_bring_kinds(another_package, file):
    """A kind comes by an entry point, under its scheme; none takes the place of one that is here."""
    assert "shelf" not in kinds.schemes()
    another_package("shelf:KIND")
    assert "shelf" in kinds.schemes()
    assert isinstance(open_ledger("shelf://x"), MemoryLedger)
    assert not isinstance(open_ledger(f"sqlite:///{file}"), MemoryLedger)


def test_kind_that_cannot_be_loaded(another_package):
    """A broken package is named with what is wrong."""
    another_package("shelf:NONE")
    with pytest.raises(ConfigurationError, match=r"ledgers of shelf:// cannot be loaded from shelf:NONE"):
        open_ledger("shelf://x")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "ledger is ''; it must be a path"),
        ("  ", "ledger is '  '; it must be a path"),
        (":memory:", "ledger is ':memory:'; it must be a path, sqlite:///path, or memory://"),
        ("sqlite:///:memory:", "it must be a path"),
        ("sqlite:///", "it must be a path"),
        ("sqlite://ledger.db", "write sqlite:///path, three slashes"),
        ("sqlite:///ledger.db?mode=ro", "and no options"),
        ("mysql://host/db", "mysql:// is none of a path, memory://, postgres"),
        ("a\0b", "it must be a path"),
        ("~nobody-of-that-name/x.db", "~nobody-of-that-name"),
    ],
)
def test_urls_that_name_no_ledger(url, message):
    """A bad URL is named with what is allowed, before anything is made."""
    with pytest.raises(ConfigurationError) as caught:
        open_ledger(url)
    assert message in str(caught.value)


@pytest.mark.parametrize("options", [{"synchronous": "off"}, {"lock_timeout": 0}, {"lock_timeout": float("nan")}])
def test_bad_options(file, options):
    """Options are checked before the file is made."""
    with pytest.raises(ConfigurationError, match="it must be"):
        open_ledger(file, **options)
    assert not Path(file).exists()
