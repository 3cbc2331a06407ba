"""Two copies of SQLite in one process: whoever looks into the books with `sqlite3` makes no booking go astray."""

import gc
import os
import shutil
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from agent_fuse import read_ledger
from agent_fuse.calls import Status
from agent_fuse.ledgers import ofd, open_ledger
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.reading import Selection
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, line, reserve, usd
from ledgers.workers import SPAWN, kill, pairs_until, running

ANCHORED = pytest.param(True, marks=pytest.mark.skipif(not ofd.POSSIBLE, reason="needs locks of open files"))
FILES = Path("/proc/self/fd")
OUTSIDE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(*[row[0] for row in db.execute("SELECT id FROM journal ORDER BY id")])
"""


@pytest.fixture(params=[ANCHORED, False], ids=["prevented", "noticed"])
def books(request, monkeypatch, file, run_python):
    """The books of one file, written here and checked from another process; with and without locks of open files."""
    monkeypatch.setattr(ofd, "POSSIBLE", request.param)
    one = Books(file, run_python)
    yield one
    one.check()
    one.ledger.close()


class Books:
    def __init__(self, file, run_python):
        self.file, self._run = file, run_python
        self.calls = []
        self.open()

    def open(self):
        self.ledger = open_ledger(self.file)

    def book(self, count=3):
        for _ in range(count):
            call = f"c{len(self.calls):05}"
            reserve(self.ledger, call, 10)
            self.ledger.settle(line(call, 9), ("all",), amounts(9), now=NOW)
            self.calls.append(call)

    def check(self):
        """Another process sees every call once, and so does this one; the books balance."""
        assert self._run(OUTSIDE, str(self.file)).stdout.split() == sorted(self.calls)
        assert sorted(one.id for one in self.ledger.journal()) == sorted(self.calls)
        assert usd(self.ledger) == (9 * len(self.calls), 0)
        assert_books_balance(self.ledger)

    def connect(self, **options):
        db = sqlite3.connect(self.file, **options)
        db.execute("SELECT count(*) FROM journal").fetchall()
        return db

    def look(self):
        self.connect().close()


def test_a_look_between_calls(books):
    """Open, select, close, several times: all that is booked before and after is seen by other processes."""
    books.book()
    for _ in range(3):
        books.look()
        books.book()


def test_a_look_before_the_first_call(books):
    """The log that is there before anything is booked is not taken away either."""
    books.look()
    books.book()


def test_a_look_that_is_read_only(books):
    """A look that promises to write nothing keeps that promise."""
    books.book()
    db = sqlite3.connect(f"file:{books.file}?mode=ro", uri=True)
    assert db.execute("SELECT count(*) FROM journal").fetchall() == [(3,)]
    db.close()
    books.book()


def test_a_look_that_began_before_the_fuse(books):
    """A connection from before the ledger was opened, used and closed while calls are made."""
    books.book()
    books.ledger.close()
    db = books.connect()
    books.open()
    books.book()
    assert db.execute("SELECT count(*) FROM journal").fetchall() == [(6,)]
    books.book()
    db.close()
    books.book()


def test_a_look_that_stays_open(books):
    """A connection kept open while calls are made, and closed after."""
    db = books.connect()
    books.book()
    assert db.execute("SELECT count(*) FROM journal").fetchall() == [(3,)]
    books.book()
    db.close()
    books.book()


def test_a_look_from_another_thread(books):
    """Looked into, and closed, by another thread."""
    db = books.connect(check_same_thread=False)
    books.book()
    for work in (books.look, db.close):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        books.book()


@pytest.mark.skipif(not ofd.POSSIBLE, reason="needs locks of open files")
def test_looks_at_the_same_time_as_calls(file, run_python):
    """Two threads that look without a pause, another process that books and closes, and no booking is lost."""
    books, done, found = Books(file, run_python), SPAWN.Event(), SPAWN.Queue()
    stop = threading.Event()

    def looking():
        while not stop.is_set():
            books.look()

    threads = [threading.Thread(target=looking) for _ in range(2)]
    with running(pairs_until, file, "other", done, found) as process:
        for one in threads:
            one.start()
        books.book(300)
        done.set()
        count = found.get(timeout=60)
        process.join(30)
        stop.set()
        for one in threads:
            one.join()
    books.calls += [f"other.{number}" for number in range(count)]
    books.check()


def test_another_process_that_closes(books):
    """A look drops this process's locks; another process that closes then still sees that it is not the last one."""
    books.book()
    books.look()
    done, found = SPAWN.Event(), SPAWN.Queue()
    done.set()
    with running(pairs_until, books.file, "other", done, found) as process:
        count = found.get(timeout=60)
        process.join(30)
    books.calls += [f"other.{number}" for number in range(count)]
    books.book()


FORKED = """
import os, sqlite3, sys
from agent_fuse.ledgers import open_ledger
from ledgers.samples import NOW, amounts, line, reserve

def book(name):
    reserve(ledger, name, 10)
    ledger.settle(line(name, 9), ("all",), amounts(9), now=NOW)

def look():
    db = sqlite3.connect(sys.argv[1])
    db.execute("SELECT count(*) FROM journal").fetchall()
    return db

ledger = open_ledger(sys.argv[1])
book("a")
kept = look()
child = os.fork()
if child == 0:
    look().close()
    book("child1")
    look().close()
    book("child2")
    os._exit(0)
book("b")
look().close()
assert os.waitpid(child, 0)[1] == 0
book("c")
kept.close()
book("d")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_looks_around_a_fork(file, run_python):
    """Looks before and after a fork, on both sides."""
    run_python(f"import sys; sys.path[:0] = {sys.path!r}\n{FORKED}", str(file))
    books = Books(file, run_python)
    books.calls = ["a", "b", "c", "child1", "child2", "d"]
    books.check()


def test_the_log_removed_by_hand(books):
    """Somebody removes the log and its index: the bookings that were only there are written to the file."""
    books.book()
    for suffix in ("-wal", "-shm"):
        Path(f"{books.file}{suffix}").unlink()
    books.ledger._database._look_at = 0.0
    books.book()


@pytest.mark.skipif(not ofd.POSSIBLE, reason="needs locks of open files")
def test_the_log_stays_where_it_is(file):
    """With the standard library's copy closing as the last one, the log is neither folded in nor deleted."""
    ledger = open_ledger(file)
    reserve(ledger, "c", 10)
    log, index = Path(f"{file}-wal"), Path(f"{file}-shm")
    before = log.stat().st_ino, log.stat().st_size, index.stat().st_ino, index.stat().st_size
    sqlite3.connect(file).execute("SELECT count(*) FROM holds").connection.close()
    assert before == (log.stat().st_ino, log.stat().st_size, index.stat().st_ino, index.stat().st_size)


@pytest.mark.skipif(not ofd.POSSIBLE, reason="needs locks of open files")
def test_the_last_to_close_folds_the_log_in(file):
    """Several ledgers and readers of one process: what keeps the log in place goes with the last of them."""
    first, second = open_ledger(file), open_ledger(file)
    reserve(first, "c", 10)
    with read_ledger(file) as reader:
        first.close()
        second.close()
        assert reader.open_calls() == (1, 10)
    third = open_ledger(file)
    assert usd(third) == (0, 10)
    third.close()
    names = {path.name for path in file.parent.iterdir()}
    assert names == {"ledger.db", "ledger.db.lock"}


def test_a_dropped_ledger_leaves_no_file_open(file):
    """A ledger or reader that is dropped without being closed gives all its files back."""
    if not FILES.is_dir():
        pytest.skip("needs /proc")
    first = open_ledger(file)
    reserve(first, "c", 10)
    counts = set()
    for _ in range(5):
        reserve(open_ledger(file), "d", 10)
        list(read_ledger(file).entries())
        gc.collect()
        counts.add(len([one for one in FILES.iterdir() if _leads_to(one, file)]))
    # SQLite keeps one file of each kind for the next to open, since closing it would drop its locks.
    assert len(counts) == 1
    first.close()
    gc.collect()
    assert not [one for one in FILES.iterdir() if _leads_to(one, file)]


def _leads_to(link, file):
    try:
        return str(link.readlink()).startswith(str(file))
    except OSError:
        return False


def test_a_process_that_dies_while_looked_at(file):
    """A writer killed under the eyes of this process leaves books that this process can go on with."""
    ledger = open_ledger(file)
    for turn in range(3):
        db = sqlite3.connect(file)
        with running(pairs_until, file, f"p{turn}", SPAWN.Event(), SPAWN.Queue()) as process:
            while db.execute("SELECT count(*) FROM journal WHERE id GLOB ?", (f"p{turn}.*",)).fetchone() < (30,):
                pass
            kill(process)
        db.close()
        reserve(ledger, f"mine{turn}", 10)
        ledger.settle(line(f"mine{turn}", 9), ("all",), amounts(9), now=NOW)
    ledger.sweep(now=NOW)
    assert ledger.holds() == []
    assert_books_balance(ledger)


def test_the_reader_reads_while_calls_are_made(file):
    """`read_ledger` in the process that writes: it sees what was booked, and takes nothing away."""
    ledger = open_ledger(file)
    for number in range(3):
        with read_ledger(file) as reader:
            assert len(list(reader.entries())) == number
        ledger.settle(line(f"c{number}", 9), ("all",), amounts(9), now=NOW)
    reader = read_ledger(f"sqlite:///{file}")
    assert [one.id for one in reader.entries(Selection(statuses=frozenset({Status.SETTLED})), limit=1)] == ["c2"]
    assert reader.balances(["all"])["all"].settled.usd == 27
    reader.close()
    reader.close()


def test_the_reader_opens_the_ledger_at_work(tmp_path, monkeypatch):
    """Without a path it is the ledger of this process's fuse, else the one that the environment names."""
    import agent_fuse
    from agent_fuse.otel import active

    other = tmp_path / "other.db"
    monkeypatch.setenv("AGENTFUSE_DB_PATH", str(other))
    with pytest.raises(LedgerError, match=r"other\.db: open failed: there is no such file"):
        read_ledger()
    processor = agent_fuse.AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "mine.db"), request_gate=False)
    try:
        with read_ledger() as reader:
            assert reader.path == tmp_path / "mine.db"
    finally:
        active.remove(processor)


def test_a_copy_of_the_file_is_another_ledger(file, tmp_path):
    """Anchors go by the file itself, not by its name: a copy opened meanwhile has its own."""
    ledger = open_ledger(file)
    reserve(ledger, "c", 10)
    ledger.close()
    copy = shutil.copy(file, tmp_path / "copy.db")
    both = [open_ledger(file), open_ledger(copy)]
    for one in both:
        one.settle(line("c", 9), ("all",), amounts(9), now=NOW)
        sqlite3.connect(file).close()
        sqlite3.connect(copy).close()
        one.close()
    assert [usd(one) for one in both] == [(9, 0), (9, 0)]
