"""When the ledger fails: fail_safe=True blocks and says what and where; fail_safe=False lets go and books later."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import apsw
import openai
import pytest

from agent_fuse import AgentFuseSpanProcessor, SentinelError, SentinelSystemError
from agent_fuse.calls import Usage
from agent_fuse.ledgers import open_ledger
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.testing import LedgerReader, LoopbackProvider, Reply

Wreck = Callable[[Path], Callable[[], None]]
"""Breaks the ledger in a folder; what it returns mends it."""


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as one:
        yield one


def mounted(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets no test mount a file system: {done.stderr.strip()}")


def read_only_folder(folder: Path) -> Callable[[], None]:
    mounted(folder, "-t", "tmpfs", "-o", "ro", "tmpfs")
    return lambda: subprocess.run(["umount", "-l", str(folder)], check=True) and None


def full_disk(folder: Path) -> Callable[[], None]:
    mounted(folder, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    (folder / "filler").write_bytes(b"x" * 60_000)

    def mend() -> None:
        (folder / "filler").unlink()
        mounted(folder, "-o", "remount,size=8m")

    return mend


def corrupt_file(folder: Path) -> Callable[[], None]:
    path = folder / "ledger.db"
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8000))
    return path.unlink


def schema_from_the_future(folder: Path) -> Callable[[], None]:
    path = folder / "ledger.db"
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 9999")
    db.execute("CREATE TABLE tomorrow (x)")
    db.close()
    return path.unlink


LOCKER = """
import apsw, sys
db = apsw.Connection(sys.argv[1])
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def file_locked(folder: Path) -> Callable[[], None]:
    path = folder / "ledger.db"
    open_ledger(path).close()
    locker = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert locker.stdout is not None
    assert locker.stdout.readline() == "locked\n"

    def mend() -> None:
        locker.communicate("")

    return mend


WRECKS: list[Wreck] = [read_only_folder, full_disk, corrupt_file, schema_from_the_future, file_locked]


@pytest.fixture(params=WRECKS, ids=lambda wreck: wreck.__name__)
def wreck(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None], str]]:
    folder = tmp_path / "books"
    folder.mkdir()
    mend = request.param(folder)
    mended: list[bool] = []

    def mend_once() -> None:
        if not mended:
            mended.append(True)
            mend()

    yield folder, mend_once, request.param.__name__
    mend_once()
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


def ask(provider: LoopbackProvider) -> None:
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500)


def snapshot(folder: Path) -> bytes:
    path = folder / "ledger.db"
    return path.read_bytes() if path.exists() else b""


def test_fail_safe_blocks_and_names_cause_and_file(wreck, provider: LoopbackProvider) -> None:
    """fail_safe=True: no request leaves, the trip names the file, and no file is deleted or overwritten."""
    folder, _, name = wreck
    before = snapshot(folder)

    def run() -> None:
        AgentFuseSpanProcessor(budget=1, db_path=str(folder / "ledger.db"), max_retries=0, lock_timeout=1)
        ask(provider)

    with pytest.raises(SentinelSystemError) as caught:
        run()
    assert provider.count == 0
    assert str(folder / "ledger.db") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.operation
    assert caught.value.original_error is not None
    if name != "full_disk":
        assert snapshot(folder) == before


def test_availability_lets_calls_go_and_books_them_later(
    wreck, provider: LoopbackProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """fail_safe=False: calls go, one warning, spend is counted meanwhile and written once the ledger is back."""
    folder, mend, name = wreck
    clock = [1000.0]
    options = settings(
        {}, budget=1, db_path=str(folder / "ledger.db"), fail_safe=False, session_id="s", max_retries=0, lock_timeout=1
    )
    with caplog.at_level(logging.WARNING, logger="agent_fuse"):
        processor = AgentFuseSpanProcessor(fuse=open_fuse(options, clock=lambda: clock[0]))
        for _ in range(3):
            ask(provider)
    assert provider.count == 3
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1, caplog.text
    assert LedgerReader(processor.fuse.ledger).spent_usd("session=s") == Decimal("0.0225")
    before = snapshot(folder)
    if name in {"corrupt_file", "schema_from_the_future"}:
        assert before
    mend()
    clock[0] += 10
    ask(provider)
    processor.fuse.ledger.close()
    processor.shutdown()
    ledger = open_ledger(folder / "ledger.db")
    assert LedgerReader(ledger).spent_usd("session=s") == Decimal("0.03")
    assert len(LedgerReader(ledger).entries()) == 4
    ledger.close()


def test_a_settle_that_fails_is_written_later(provider: LoopbackProvider, tmp_path: Path) -> None:
    """fail_safe=True, and the ledger goes between hold and settle: the paid response arrives, and is booked later."""
    path = tmp_path / "ledger.db"
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(path), session_id="s", max_retries=0, lock_timeout=1)
    locks: list[Callable[[], None]] = []

    def script(_: object):
        if not locks:
            locks.append(file_locked(tmp_path))
        return Reply()

    provider.default = script
    try:
        ask(provider)  # the response is not lost
    except SentinelError as trip:  # pragma: no cover
        pytest.fail(f"a paid response was lost: {trip}")
    finally:
        locks[0]()
    deadline = time.monotonic() + 60
    books = LedgerReader(processor.fuse.ledger)
    while books.open_holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [str(entry.status) for entry in books.entries()] == ["settled"]
    processor.shutdown()


def test_a_settle_that_fails_to_the_end_is_written_after_it(provider: LoopbackProvider, tmp_path: Path, caplog) -> None:
    """The guard is shut down while its ledger fails: no fault of ours, and booked as soon as the ledger is back."""
    path = tmp_path / "ledger.db"
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(path), session_id="s", max_retries=0, lock_timeout=1)
    locks: list[Callable[[], None]] = []

    def script(_: object):
        if not locks:
            locks.append(file_locked(tmp_path))
        return Reply()

    provider.default = script
    ask(provider)
    processor.shutdown()
    assert "please report it" not in caplog.text
    locks[0]()
    reader = open_ledger(path)
    deadline = time.monotonic() + 60
    while reader.holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [str(entry.status) for entry in reader.journal()] == ["settled"]
    reader.close()
