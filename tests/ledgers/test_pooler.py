"""PgBouncer between workers and the server, giving each transaction another's connection, as it is set up at first."""

import shutil
import signal
import socket
import subprocess
import time

import pytest

from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, line, reserve, usd
from ledgers.test_server_trouble import busy_threads, name_of
from ledgers.workers import race, together

psycopg = pytest.importorskip("psycopg")
from agent_fuse.ledgers.postgres.address import parsed  # noqa: E402
from agent_fuse.ledgers.postgres.link import connect  # noqa: E402

ROOM = 100
SECONDS = 60


@pytest.fixture
def pooled(postgres, database, tmp_path_factory):
    """The URL of an empty database through a pooler with two connections for all."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer is installed (apt-get install pgbouncer)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    name = name_of(database)
    settings = postgres.folder / f"{name}.ini"
    users = postgres.folder / f"{name}.users"
    users.write_text('"agent" ""\n')
    settings.write_text(
        f"[databases]\n* = host={postgres.folder} user=agent\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
        "default_pool_size = 2\nmax_client_conn = 500\n"
    )
    with (tmp_path_factory.mktemp("pooler") / "log").open("w") as log:
        pooler = subprocess.Popen([program, str(settings)], stdout=log, stderr=log, cwd="/", **postgres._as)
    try:
        _wait_for(port, pooler)
        yield f"postgresql://agent@127.0.0.1:{port}/{name}"
    finally:
        pooler.send_signal(signal.SIGKILL)
        pooler.wait()


def _wait_for(port, pooler):
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends and pooler.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.skip("PgBouncer did not start")


def test_processes_get_exactly_what_there_is(pooled):
    """4 processes of 8 threads share its two connections: exactly 100 are granted, and the books are right."""
    granted = together(race, [(f"p{n}", 8, 4, ROOM) for n in range(4)], pooled)
    assert sum(granted) == ROOM
    ledger = open_ledger(pooled)
    assert usd(ledger) == (0, ROOM)
    assert_books_balance(ledger)
    ledger.close()


def test_it_is_found_out_at_the_start(pooled, database):
    """By the number that it gives a connection; the server itself gives that of the process that answers."""
    for url, direct in ((pooled, False), (database, True)):
        with connect(parsed(url, SECONDS), full=False) as db:
            assert db.direct is direct


def test_nothing_of_ours_is_left_on_what_others_use(pooled):
    """No statement is prepared under a name that may be another's, and nothing is set for whoever comes next."""
    ledger = open_ledger(pooled)
    assert busy_threads(ledger, [f"c{n}" for n in range(8)]) == []
    assert not ledger._server._prepares
    for _ in range(8):
        with psycopg.connect(pooled, prepare_threshold=None, autocommit=True) as other:
            assert other.execute("SELECT name FROM pg_prepared_statements").fetchall() == []
            assert other.execute("SHOW statement_timeout").fetchall() == [("0",)]
    ledger.close()


def test_who_prepares_there_is_not_met(pooled):
    """Another's statements of the same names on those connections are neither run by us nor in our way."""
    others = [psycopg.connect(pooled, autocommit=True)]
    ledger = open_ledger(pooled)
    try:
        others[0].execute("SELECT %s::text, %s::float8", ("x", 1.0), prepare=True)
        for n in range(6):
            assert reserve(ledger, f"c{n}", 2)
            ledger.settle(line(f"c{n}", 1), (), amounts(1), now=NOW)
        assert usd(ledger) == (6, 0)
    finally:
        for one in (*others, ledger):
            one.close()


def test_who_reads_and_who_waits_for_the_disk(pooled, postgres):
    """A reader works; `synchronous="full"` is told how it is to be had there, and works then."""
    open_ledger(pooled).close()
    with open_reader(pooled) as books:
        assert list(books.entries()) == []
    with pytest.raises(
        LedgerError, match=r"a pooler lets nobody set synchronous='full'; ALTER ROLE … SET agent_fuse\.syn"
    ):
        open_ledger(pooled, synchronous="full")
    name = pooled.rpartition("/")[2]
    postgres.say("postgres", f"ALTER DATABASE {name} SET agent_fuse.synchronous = 'full'")
    postgres.say("postgres", f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'")
    ledger = open_ledger(pooled, synchronous="full")
    assert reserve(ledger, "c", 1)
    ledger.close()


def test_the_database_behind_it_goes_away(pooled, postgres):
    """Its connections are ended under it: no call is lost or counted twice."""
    ledger = open_ledger(pooled)
    name = pooled.rpartition("/")[2]
    for n in range(4):
        assert reserve(ledger, f"c{n}", 2)
        postgres.say(
            "postgres", f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        ledger.settle(line(f"c{n}", 1), (), amounts(1), now=NOW)
    assert usd(ledger) == (4, 0)
    assert_books_balance(ledger)
    ledger.close()
