"""Failures: a ledger that cannot be written says why in one line, harms nothing, and works again when it can."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from agent_fuse.ledgers import migrations, open_ledger
from agent_fuse.ledgers.base import LedgerError, Unwritable
from agent_fuse.ledgers.sqlite import SqliteLedger
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, line, reserve, usd
from ledgers.workers import SPAWN, keep_lock, running


def test_files_are_private(file):
    """The database, its log, its shared memory and the lock file are for this user only, and so are folders made."""
    old = os.umask(0)
    try:
        ledger = open_ledger(file.parent / "deeper" / file.name)
        reserve(ledger, "c")
    finally:
        os.umask(old)
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [file.parent, *file.parent.rglob("*")]}
    files = dict.fromkeys(["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"], 0o600)
    assert made == files | {"books": 0o700, "deeper": 0o700}


def test_what_exists_keeps_its_mode(file):
    """Folders and files that were there before stay as their owner made them."""
    file.parent.mkdir(mode=0o755)
    file.parent.chmod(0o755)
    file.touch(mode=0o640)
    file.chmod(0o640)
    open_ledger(file)
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o755, 0o640)


@pytest.mark.parametrize("content", [b"not a database, but somebody's letters\n" * 100, b"xy", bytes(range(256)) * 32])
def test_file_that_is_no_database(file, content):
    """Somebody's file of another kind is refused, and not a byte of it is changed."""
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(LedgerError, match=r"ledger\.db: open failed: the file is no database; it was left as it is"):
        open_ledger(file)
    assert file.read_bytes() == content


def test_damaged_database(file):
    """A database with broken pages is named as damaged, and is left as it is."""
    ledger = open_ledger(file)
    for n in range(300):
        ledger.settle(line(f"c{n}"), ("all",), amounts(), now=NOW)
    ledger.close()
    whole = file.read_bytes()
    broken = whole[:4096] + b"\x5a" * (len(whole) - 4096)
    file.write_bytes(broken)
    with pytest.raises(LedgerError, match="reserve failed: the file is damaged; it was left as it is"):
        reserve(ledger, "c", 1)
    with pytest.raises(LedgerError, match="journal failed: the file is damaged"):
        list(ledger.journal())
    ledger.close()
    assert file.read_bytes() == broken
    file.write_bytes(whole)
    assert reserve(ledger, "c", 1)


def test_database_from_the_future(file):
    """A newer version's database is refused with what to do, and is not altered."""
    ledger = open_ledger(file)
    ledger.settle(line("c"), ("all",), amounts(), now=NOW)
    ledger.close()
    db = apsw.Connection(str(file))
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    future = len(migrations.MIGRATIONS) + 7
    db.pragma("user_version", future)
    db.close()
    log = Path(f"{file}-wal")
    before = file.read_bytes(), log.read_bytes()
    assert before[1], "its last writer was killed"
    with pytest.raises(
        LedgerError, match=rf"it is of version {future}, made by a newer AgentFuse .*; upgrade agent-fuse"
    ):
        open_ledger(file)
    assert (file.read_bytes(), log.read_bytes()) == before


@pytest.mark.parametrize("version", [0, 1])
def test_database_of_another_program(file, version):
    """A database that is not a ledger is refused, and is not altered."""
    file.parent.mkdir()
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE accounts (mine TEXT)")
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()
    before = file.read_bytes()
    with pytest.raises(LedgerError, match="it is a database of another program; name another file"):
        open_ledger(file)
    assert file.read_bytes() == before


def test_migration_and_its_number_are_one(file, monkeypatch):
    """A migration that fails leaves the database as it was; the next start takes it up again."""

    def fails(db):
        db.execute("CREATE TABLE half (x)")
        raise OSError("the plug is pulled")

    def works(db):
        db.execute("CREATE TABLE whole (x)")

    ledger = open_ledger(file)
    reserve(ledger, "c", 10)
    ledger.close()
    steps = list(migrations.MIGRATIONS)
    monkeypatch.setattr(migrations, "MIGRATIONS", [*steps, fails])
    with pytest.raises(LedgerError, match="open failed: the plug is pulled"):
        open_ledger(file)
    db = apsw.Connection(str(file))
    assert db.pragma("user_version") == len(steps)
    assert not db.table_exists("main", "half")
    monkeypatch.setattr(migrations, "MIGRATIONS", [*steps, works])
    assert usd(open_ledger(file)) == (0, 10)
    assert db.pragma("user_version") == len(steps) + 1
    assert db.execute("SELECT count(*) FROM whole").fetchall() == [(0,)]


def test_lock_held_for_long(file):
    """Another process hangs in the middle of a write: the wait ends, names the lock file, and later all is well."""
    ready, done = SPAWN.Event(), SPAWN.Event()
    ledger = open_ledger(file, lock_timeout=0.2)
    with running(keep_lock, file, ready, done) as process:
        assert ready.wait(120)
        with pytest.raises(LedgerError, match=r"another process holds .*\.lock; gave up after 0\.2 s; is one stopped"):
            reserve(ledger, "c", 1)
        assert usd(ledger) == (0, 0)
        done.set()
        process.join(120)
        assert reserve(ledger, "c", 1)


def test_locked_by_another_program(file):
    """A program that knows nothing of our lock file (a shell, a backup) is waited for, and named when it stays."""
    ledger = open_ledger(file, lock_timeout=0.2)
    script = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "db.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(LedgerError, match="reserve failed: another program keeps the database locked"):
            reserve(ledger, "c", 1)
        other.stdin.close()
    assert reserve(ledger, "c", 1)


def test_called_from_inside_itself(file):
    """A write inside a write on the same thread (a finaliser, a signal handler) fails at once instead of hanging."""
    ledger = open_ledger(file)
    said = []

    def nested(_):
        with pytest.raises(LedgerError, match="it was called from inside itself, on the same thread") as caught:
            reserve(ledger, "c", 1)
        said.append(caught.value)
        return b"outer", None

    ledger.update_note("k", nested, now=NOW)
    assert said
    assert ledger.update_note("k", lambda note: (note, note), now=NOW) == b"outer"
    assert reserve(ledger, "c", 1)


def test_text_that_cannot_be_written(file):
    """Half a surrogate pair cannot be stored: the call is refused as unwritable, and nothing of it is kept."""
    ledger = open_ledger(file)
    with pytest.raises(Unwritable, match="settle failed: a figure or a text is out of range"):
        ledger.settle(line("c", 5, model="\ud800"), ("all",), amounts(5), now=NOW)
    with pytest.raises(Unwritable, match="reserve failed: "):
        reserve(ledger, "c", 2**63)
    assert usd(ledger) == (0, 0)
    assert list(ledger.journal()) == []
    assert reserve(ledger, "c", 1)


def test_path_that_cannot_be(file):
    """A folder in the file's place, or a file in the folder's, is said in one line."""
    file.mkdir(parents=True)
    with pytest.raises(LedgerError, match=r"ledger .*ledger\.db: open failed: it is a folder"):
        open_ledger(file)
    (file.parent / "letter").touch()
    with pytest.raises(LedgerError, match="open failed: Not a directory"):
        open_ledger(file.parent / "letter" / "ledger.db")


def test_file_removed_while_in_use(file, log):
    """Somebody removes the folder: books start anew at the same place, for every process alike, are whole, and it is told."""
    ledger = open_ledger(file)
    reserve(ledger, "c", 10)
    shutil.rmtree(file.parent)
    other = open_ledger(file)
    assert reserve(other, "d", 1)
    kept = Path(f"{file}-wal")
    before = kept.stat().st_ino
    assert reserve(ledger, "e", 2)
    assert kept.stat().st_ino == before, "the old connection took the new file's log with it"
    told = [one.getMessage() for one in log.records if one.levelname == "WARNING"]
    assert [one.partition(":")[0] for one in told] == [f"{file} was removed or replaced"]
    assert usd(ledger) == usd(other) == usd(open_ledger(file)) == (0, 3)
    assert_books_balance(ledger)


def test_file_replaced_while_in_use(file, tmp_path):
    """A restored copy takes the file's place: the next write goes to it, and the copy is not harmed by the old log."""
    ledger = open_ledger(file)
    ledger.settle(line("c", 10), ("all",), amounts(10), now=NOW)
    ledger.close()
    copy = shutil.copy(file, tmp_path / "copy.db")
    reserve(ledger, "d", 5)
    Path(copy).replace(file)
    for suffix in ("-wal", "-shm"):
        Path(f"{file}{suffix}").unlink()
    reserve(ledger, "e", 1)
    assert usd(ledger) == usd(open_ledger(file)) == (10, 1)
    ledger.close()
    assert apsw.Connection(str(file)).pragma("integrity_check") == "ok"


def test_close_folds_the_log_in(file):
    """Once the last one has closed, one file holds everything; the ledger opens again by itself."""
    ledger = open_ledger(file)
    reserve(ledger, "c", 10)
    ledger.close()
    ledger.close()
    assert sorted(path.name for path in file.parent.iterdir()) == ["ledger.db", "ledger.db.lock"]
    assert usd(ledger) == (0, 10)


@pytest.mark.parametrize(("option", "level"), [("normal", 1), ("full", 2)])
def test_synchronous(file, option, level):
    """`full` asks the disk at every call; `normal` does not."""
    ledger = SqliteLedger(file, synchronous=option)
    assert ledger._database.read("look", lambda db: db.pragma("synchronous")) == level
    assert reserve(ledger, "c", 1)


def in_own_mounts(script, *args):
    """Run a script with mounts of its own, that vanish with it. Skips where that is not allowed."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    start = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run(
        [unshare, "-m", sys.executable, "-c", start + script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READ_ONLY = """
import subprocess, sys
from pathlib import Path
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from ledgers.samples import *
file = Path(sys.argv[1])
ledger = open_ledger(file)
reserve(ledger, "c", 10)
ledger.close()
subprocess.run(["mount", "--bind", file.parent, file.parent], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", file.parent], check=True)
for attempt in (lambda: reserve(ledger, "d", 1), lambda: open_ledger(file), lambda: open_ledger(file.parent / "new.db")):
    try:
        attempt()
    except LedgerError as error:
        print(error)
subprocess.run(["umount", file.parent], check=True)
print(reserve(ledger, "d", 1), usd(ledger))
"""


def test_read_only_folder(file):
    """A read-only file system is named as the cause, and the same ledger works when it can be written again."""
    *errors, last = in_own_mounts(READ_ONLY, file).splitlines()
    assert len(errors) == 3
    for error, operation in zip(errors, ["reserve", "open", "open"], strict=True):
        assert f".db: {operation} failed: " in error
        assert "ead-only" in error or "cannot be opened; it and its folder must be writable" in error
    assert last == "True (0, 11)"


FULL_DISK = """
import logging, subprocess, sys
from pathlib import Path
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.testing import assert_books_balance
from ledgers.samples import *
logging.basicConfig(level=logging.CRITICAL)
folder = Path(sys.argv[1])
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
ledger = open_ledger(folder / "ledger.db")
booked = 0

def fill():
    global booked
    try:
        while True:
            ledger.settle(line(f"c{booked}", 1), ("all",), amounts(1), now=NOW)
            booked += 1
    except LedgerError as error:
        return str(error)

for size in ("6m", "24m"):
    print(fill().partition("failed: ")[2])
    print(fill() == fill())
    assert usd(ledger) == (booked, 0), (usd(ledger), booked)
    assert_books_balance(ledger)
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
    ledger.settle(line(f"c{booked}", 1), ("all",), amounts(1), now=NOW)
    booked += 1
    assert usd(ledger) == (booked, 0)
ledger.close()
print(booked > 100, usd(ledger) == (booked, 0))
"""


def test_full_disk(tmp_path):
    """A full disk is named as the cause; what was told as booked is booked, what failed is not, and space heals it."""
    first, again, second, still, *last = in_own_mounts(FULL_DISK, tmp_path / "small").splitlines()
    assert first.startswith(("the disk is full; free some space", "the disk reported an error"))
    assert second.startswith(("the disk is full; free some space", "the disk reported an error"))
    assert (again, still, last) == ("True", "True", ["True True"])
