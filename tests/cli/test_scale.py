"""Cost does not grow with history: a hundred journal lines or a million, the same questions stay quick."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent_fuse.ledgers.reading import Selection, open_reader
from agent_fuse.report import gather, page
from agent_fuse.views.limit_status import known_caps, standings
from cli import many


def best(work, times=5):
    """The quickest of some runs, seconds of this thread's CPU: another program's work does not count."""
    found = []
    for _ in range(times):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return min(found)


def cost(path):
    """What status, the last hour's calls and the report cost on a ledger."""
    reader = open_reader(path)
    try:
        return (
            best(lambda: standings(reader, known_caps(reader, {}), now=1.0, limit=10)),
            best(lambda: list(reader.entries(Selection(since=many.NOW - 86_400), limit=10))),
            best(lambda: page(gather(reader, {}, now=many.NOW)), times=2),
        )
    finally:
        reader.close()


def test_thirty_times_the_lines(crowds):
    """With thirty times the lines and sessions, status costs far less than thirty times as much, calls about the same.

    The report, which reads every line, costs no more than in proportion.
    """
    few, much = cost(crowds[2_000]), cost(crowds[60_000])
    assert much[0] < 15 * few[0]
    assert much[1] < 5 * few[1]
    assert much[2] < 45 * few[2]


def test_every_account_is_counted(crowds):
    """Of hundreds of sessions the most used are shown, and the rest are counted."""
    reader = open_reader(crowds[60_000])
    found = standings(reader, known_caps(reader, {}), now=1.0, limit=10)
    assert len(found.shown) == 20
    assert found.more == 2 * (reader.count_accounts("session") - 10)
    dollars = [one.spent for one in found.shown if one.cap.meter == "usd"]
    assert dollars == sorted(dollars, reverse=True)
    reader.close()


def test_report_tells_how_much_it_leaves_out(crowds):
    """A table stops after 200 rows and says how many sessions are not in it, and what they spent."""
    reader = open_reader(crowds[60_000])
    found = gather(reader, {}, now=many.NOW)
    text = page(found)
    reader.close()
    assert f"and {len(found.tally.sessions) - 200:,} more, " in text
    assert f"and {len(found.tally.loops) - 200:,} more; agent-fuse report --json" in text
    assert len(text) < 500_000


@pytest.mark.soak
def test_a_million_lines(tmp_path):
    """On a million lines: status and `calls --since 1h` under 300 ms, the report under 10 s and 300 MB, as processes.

    The figures are seconds of CPU, the best of three, so that a busy machine does not fail the test; and they are
    printed with the time on the clock.
    """
    path = tmp_path / "ledger.db"
    spent = many.fill(path, 1_000_000)
    program = Path(sys.executable).with_name("agent-fuse")
    since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(many.NOW - 3_600))
    bounds = {
        ("status",): (0.3, 100),
        ("calls", "--since", since): (0.3, 100),
        ("sessions",): (10, 300),
        ("report", "-o", str(tmp_path / "report.html")): (10, 300),
        ("report", "--json"): (10, 300),
    }
    for command, (seconds, megabytes) in bounds.items():
        runs = [measure([str(program), *command, "--db", str(path)]) for _ in range(3)]
        cpu, wall, memory = (min(one) for one in zip(*runs, strict=True))
        print(f"{' '.join(command):60} {cpu:.3f} s CPU, {wall:.3f} s, {memory:.0f} MB")
        assert cpu < seconds
        assert memory < megabytes
    reader = open_reader(path)
    assert gather(reader, {}, now=many.NOW).tally.total.cost == spent
    reader.close()


MEASURE = """
import resource, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False)
wall, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(done.returncode, used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)
"""


def measure(command):
    """Seconds of CPU, seconds on the clock and peak megabytes of a command, started by a small process.

    The peak that Linux tells of a child includes what it shared with its parent before it became the command.
    """
    told = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=True)
    status, *figures = told.stdout.split()
    assert int(status) in {0, 1}, told.stderr
    return tuple(float(one) for one in figures)
