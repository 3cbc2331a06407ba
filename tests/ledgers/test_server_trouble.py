"""A server that restarts, hangs, is full, or was made otherwise than the books need: it works, or is told in one line."""

import os
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_fuse.ledgers import keeping, open_ledger
from agent_fuse.ledgers.base import LedgerError, Settling
from agent_fuse.ledgers.postgres import connections
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, cap, line, reserve, usd

pytest.importorskip("psycopg")

MANY = 8


def name_of(url):
    """The database's name."""
    return url.partition("@/")[2].partition("?")[0]


def busy_threads(ledger, calls):
    """As many threads as calls, all at once, each on an account of its own; what failed."""
    barrier, failed = threading.Barrier(len(calls)), []

    def work(call):
        barrier.wait()
        try:
            for n in range(5):
                reserve(ledger, f"{call}.{n}", 1, accounts=(f"of={call}",), caps=(cap(100, f"of={call}"),))
                ledger.balances(["all"])
        except LedgerError as error:
            failed.append(str(error))

    threads = [threading.Thread(target=work, args=(one,)) for one in calls]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return failed


def several_links(ledger):
    """Have a ledger keep several connections: steps that wait for each other."""
    server, barrier = ledger._server, threading.Barrier(MANY)
    wait = lambda: server.do("test", lambda _: barrier.wait(60))  # noqa: E731
    threads = [threading.Thread(target=wait) for _ in range(MANY)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(server._idle) == MANY


def test_connections_that_the_server_ended_cost_no_call(postgres, database):
    """Neither after it threw out all that were idle, nor where it does that to whoever is idle for long."""
    ledger = open_ledger(database)
    several_links(ledger)
    ended = f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name_of(database)}'"
    postgres.say("postgres", ended)
    for n in range(MANY):
        assert reserve(ledger, f"c{n}", 1)
        assert ledger.settle(line(f"c{n}", 1), (), amounts(1), now=NOW) is Settling.BOOKED
    assert usd(ledger) == (MANY, 0)
    assert ledger._server._prepares


def test_a_restart_between_calls_costs_none(own_server):
    """However many connections were idle meanwhile."""
    ledger = open_ledger(own_server.database())
    several_links(ledger)
    own_server.stop()
    own_server.start()
    assert [bool(reserve(ledger, f"c{n}", 1)) for n in range(MANY)] == [True] * MANY
    assert usd(ledger) == (0, MANY)


def test_a_connection_lost_under_way_costs_no_call(postgres, database):
    """What may be done twice is asked again on a new one; what may not is an error, and what may have been done says so."""
    ledger = open_ledger(database)
    server, lost = ledger._server, []

    def lose(cursor):
        """Done, and lost before the answer."""
        answer = cursor.execute("SELECT 1").fetchall()
        if not lost:
            lost.append(cursor.connection.info.backend_pid)
            postgres.say("postgres", f"SELECT pg_terminate_backend({lost[0]}, 60000)")
            cursor.execute("SELECT 1")
        return answer

    assert server.do("reserve", lose) == [(1,)]
    lost.clear()
    with pytest.raises(LedgerError) as caught:
        server.do("update_note", lose)
    assert caught.value.unsure


STEPS = {
    "reserve": (lambda ledger: reserve(ledger, "c", 7), (0, 7)),
    "settle": (lambda ledger: ledger.settle(line("c", 5), ("all",), amounts(5), now=NOW), (5, 0)),
    "release": (lambda ledger: ledger.release("c", now=NOW), (0, 0)),
    "refuse": (lambda ledger: ledger.refuse(line("r", 7), ("all",), now=NOW), (0, 7)),
}


@pytest.mark.parametrize("done", [False, True], ids=["before it is asked", "before its answer is read"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_whose_connection_dies_is_done_once(postgres, database, monkeypatch, step, done):
    """The server's process that serves it is ended: the step is asked again by itself, and counts once."""
    ledger, lost, real = open_ledger(database), [], connections._all
    if step != "reserve":
        assert reserve(ledger, "c", 7)

    def dies(cursor, query, values, **more):
        if not lost:
            lost.append(real(cursor, query, values, **more) if done else None)
            postgres.say("postgres", f"SELECT pg_terminate_backend({cursor.connection.info.backend_pid}, 60000)")
        return real(cursor, query, values, **more)

    work, after = STEPS[step]
    monkeypatch.setattr(connections, "_all", dies)
    work(ledger)
    assert lost
    assert usd(ledger) == after
    assert ledger.balances(["all"])["all"].refused == (step == "refuse")
    assert_books_balance(ledger)
    ledger.close()


def test_a_snapshot_is_not_read_on_elsewhere(postgres, database):
    """Who reads all as it stood at one moment is told that it is over, and is not given another moment's."""
    ledger = open_ledger(database)
    reserve(ledger, "c", 1)
    with keeping.keeper(database) as books, books.whole() as whole:
        assert whole.ask("SELECT count(*) FROM holds") == [(1,)]
        ended = f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name_of(database)}'"
        postgres.say("postgres", ended)
        with pytest.raises(LedgerError, match="lost in the middle of a transaction"):
            whole.ask("SELECT count(*) FROM holds")


@contextmanager
def standing_still(server):
    """No process of a server goes on, and no connection of it breaks."""
    main = int(Path(server.data, "postmaster.pid").read_text().split()[0])
    pids = [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc here")
def test_a_server_that_hangs_holds_no_call_up_for_ever(own_server):
    """It breaks no connection and answers nothing: after its time the call is told so, and later ones go on."""
    url = own_server.database()
    ledger = open_ledger(f"{url}&connect_timeout=2", lock_timeout=0.2)
    reserve(ledger, "a", 1)
    with standing_still(own_server):
        with pytest.raises(LedgerError, match=r"the server cannot be reached: it did not answer in 1\.2 s") as caught:
            ledger.settle(line("a", 1), (), amounts(1), now=NOW)
        assert caught.value.unsure
        with pytest.raises(LedgerError, match="the server cannot be reached: connection timeout expired"):
            reserve(ledger, "b", 1)
    assert ledger.settle(line("a", 1), (), amounts(1), now=NOW) in (Settling.BOOKED, Settling.UNCHANGED)
    assert usd(ledger) == (1, 0)
    assert_books_balance(ledger)


def test_a_server_without_a_connection_to_spare(postgres, database):
    """A process that has some waits for its own; one that gets none is told why."""
    open_ledger(database)
    name, role = name_of(database), "few"
    grants = ("GRANT USAGE ON SCHEMA agent_fuse TO few", "GRANT ALL ON ALL TABLES IN SCHEMA agent_fuse TO few")
    postgres.say(name, "DROP ROLE IF EXISTS few", "CREATE ROLE few LOGIN CONNECTION LIMIT 2", *grants)
    try:
        theirs = open_ledger(postgres.url(name, role))
        assert busy_threads(theirs, [f"c{n}" for n in range(12)]) == []
        barrier, done = threading.Barrier(3), threading.Event()

        def sit(_):
            barrier.wait(60)
            done.wait(60)

        sitting = [threading.Thread(target=theirs._server.do, args=("test", sit)) for _ in range(2)]
        for one in sitting:
            one.start()
        barrier.wait(60)
        with pytest.raises(LedgerError, match='the server refuses: too many connections for role "few"'):
            open_ledger(postgres.url(name, role), lock_timeout=0.2)
        done.set()
        for one in sitting:
            one.join()
        theirs.close()
    finally:
        postgres.say(name, "DROP OWNED BY few", "DROP ROLE few")


@pytest.mark.parametrize(
    "setting",
    [
        "search_path = ''",
        "search_path = public, pg_catalog",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_isolation = 'repeatable read'",
        "idle_in_transaction_session_timeout = 1000",
        "statement_timeout = 1000",
        "lock_timeout = 1000",
        "extra_float_digits = -15",
        "standard_conforming_strings = off",
        "bytea_output = 'escape'",
        "DateStyle = 'German'",
        "row_security = off",
        "client_encoding = 'LATIN1'",
    ],
)
def test_settings_of_a_database(postgres, database, setting):
    """Threads race for a cap under each: exact. Names of any script, notes of any byte, and times are as they were."""
    postgres.say("postgres", f"ALTER DATABASE {name_of(database)} SET {setting}")
    ledger, barrier, granted = open_ledger(database), threading.Barrier(4), []
    name, at = "user=größe 模型🙂\0\\'", NOW + 0.123456

    def work(thread):
        barrier.wait()
        granted.extend(bool(reserve(ledger, f"{thread}.{n}", 1, caps=(cap(10),))) for n in range(5))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(granted) == 10
    assert reserve(ledger, "named", 7, accounts=("all", name))
    ledger.settle(line("named", 7, at=at), (), amounts(7), now=NOW)
    assert ledger.balances([name])[name].settled.usd == 7
    assert [one.at for one in ledger.journal() if one.id == "named"] == [at]
    ledger.update_note("n", lambda _: (bytes(range(256)), None), now=NOW)
    assert ledger.update_note("n", lambda was: (was, was), now=NOW) == bytes(range(256))
    assert_books_balance(ledger)
    ledger.close()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_lacks_letters(postgres, encoding):
    """It could not keep every name: told before anything is made."""
    name = f"in_{encoding.lower()}"
    like = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    postgres.say("postgres", f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} ENCODING '{encoding}' {like}")
    with pytest.raises(
        LedgerError, match=f"open failed: its encoding is {encoding}, which lacks letters; CREATE DATAB"
    ):
        open_ledger(postgres.url(name))


def test_an_environment_that_speaks_another_encoding(database, monkeypatch):
    """Names of any script are written all the same."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    ledger = open_ledger(database)
    assert reserve(ledger, "c", 7, accounts=("user=模型",))
    assert ledger.balances(["user=模型"])["user=模型"].held.usd == 7


@pytest.mark.parametrize(("user", "name", "why"), [
    ("agent", "no_such", 'database "no_such" does not exist'),
    ("nobody_here", "postgres", 'role "nobody_here" does not exist'),
])  # fmt: skip
def test_a_database_or_user_that_is_not_there(postgres, user, name, why):
    """In the server's own words; it was reached."""
    with pytest.raises(LedgerError, match=f"open failed: the server refuses: {why}$"):
        open_ledger(postgres.url(name, user))


def test_tables_that_went_away(postgres, database):
    """Somebody dropped them while we work: told so, and gone on with once they are made again."""
    ledger = open_ledger(database)
    reserve(ledger, "a", 1)
    postgres.say(name_of(database), "DROP SCHEMA agent_fuse CASCADE")
    with pytest.raises(LedgerError, match="its tables are not there"):
        reserve(ledger, "b", 1)
    open_ledger(database).close()
    assert reserve(ledger, "b", 1)
    assert usd(ledger) == (0, 1)


@pytest.fixture
def tls_answer():
    """The port of a server that says one byte to whoever asks for TLS, and what it said to whom."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = []

        def serve():
            while True:
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                with near:
                    near.recv(64)
                    near.sendall(said[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], said
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(30)


@pytest.mark.parametrize(("mode", "says", "why"), [
    ("require", b"N", "server does not support SSL, but SSL was required"),
    ("verify-full", b"S", r"root certificate file \".*root.crt\" does not exist"),
])  # fmt: skip
def test_tls_that_is_not_to_be_had(tls_answer, tmp_path, monkeypatch, mode, says, why):
    """A server without it, and no root certificate here: one line each, and nothing goes unprotected."""
    monkeypatch.setenv("HOME", str(tmp_path))
    port, said = tls_answer
    said.append(says)
    with pytest.raises(LedgerError, match=why) as caught:
        open_ledger(f"postgresql://me:hunter2@127.0.0.1:{port}/books?sslmode={mode}&sslrootcert={tmp_path}/root.crt")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
