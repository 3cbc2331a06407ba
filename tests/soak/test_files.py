"""The ledger's file under real calls: a disk that is full, a file that is removed, replaced, restored in haste."""

import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress

import pytest

from agent_fuse.calls import to_nanos
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import LoopbackProvider, assert_books_balance
from soak.storm import Storm, assert_nothing_is_lost

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

SECONDS = 12
PLENTY = "1000"
FILES = ("ledger.db", "ledger.db-wal", "ledger.db-shm")
REMOVED = "was removed or replaced"


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets no test mount a file system: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path):
    """Take all the room that there is."""
    with suppress(OSError), path.open("wb", buffering=0) as filler:
        for size in (65_536, 512):
            with suppress(OSError):
                while True:
                    filler.write(b"x" * size)


def test_the_disk_is_full(small_disk):
    """In the middle of holds and bookings, again and again: calls are blocked, and what was answered is booked once."""
    filled = 0

    def full(storm):
        nonlocal filled
        fill(small_disk / "filler")
        time.sleep(storm.chance.uniform(0.1, 1.5))
        (small_disk / "filler").unlink()
        filled += 1
        time.sleep(0.3)

    path = str(small_disk / "ledger.db")
    with LoopbackProvider() as provider:
        storm = Storm(provider, path, budget=PLENTY)
        storm.rage(SECONDS, full)
        told = storm.over()
        found = assert_nothing_is_lost(provider, path, cap=to_nanos(PLENTY, "cap"), unknown=0)
    assert filled > 2
    assert "the disk is full; free some space" in told
    print(f"{filled} times full; served, booked, without an answer: {found}")


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_the_file_goes(tmp_path, what):
    """Each call is in one of the files that were the ledger, once; whoever had one open says that it went."""
    went = []

    def go(storm):
        kept = tmp_path / f"kept{len(went)}"
        kept.mkdir()
        if what == "replaced":
            open_ledger(tmp_path / "new" / "ledger.db").close()
        for name in FILES:
            with suppress(FileNotFoundError):
                (tmp_path / name).rename(kept / name)
        if what == "replaced":
            with suppress(FileNotFoundError):
                (tmp_path / "new" / "ledger.db").rename(tmp_path / "ledger.db")
        went.append(kept)
        time.sleep(storm.chance.uniform(0.2, 1))

    with LoopbackProvider() as provider:
        storm = Storm(provider, str(tmp_path / "ledger.db"), budget=PLENTY)
        storm.rage(SECONDS, go)
        told = storm.over()
        served = {one.response_id for one in provider.served}
    found = Counter(one for folder in (tmp_path, *went) for one in booked(folder / "ledger.db"))
    assert set(found) == served
    assert max(found.values()) == 1
    assert REMOVED in told
    print(f"{len(went)} times {what}; {len(served)} served, all booked")


def booked(path):
    """The answers that a ledger's journal knows, whose sums are equal."""
    ledger = open_ledger(path)
    ledger.sweep(now=time.time() + 7_200)
    assert_books_balance(ledger)
    found = [one.response_id for one in ledger.journal() if one.response_id]
    ledger.close()
    return found


def test_a_copy_takes_its_place(tmp_path):
    """As a hasty restore does, in the middle of calls: damage is told or mended, and no call is booked twice."""
    path = tmp_path / "ledger.db"

    def restore(_):
        with suppress(OSError):
            shutil.copy(path, tmp_path / "copy")
            (tmp_path / "copy").replace(path)
        time.sleep(1)

    with LoopbackProvider() as provider:
        storm = Storm(provider, str(path), budget=PLENTY)
        storm.rage(SECONDS, restore)
        told = storm.over()
        served = {one.response_id for one in provider.served}
    found = Counter(booked(path))
    assert set(found) <= served
    assert max(found.values()) == 1
    assert REMOVED in told
    print(f"{len(served)} served, {len(found)} booked")
