"""What only a ledger on a server meets: many processes, lost connections, users with too few rights."""

import os
import signal
import threading
from dataclasses import replace

import pytest

from agent_fuse.ledgers import codec, open_ledger
from agent_fuse.ledgers.base import Amounts, LedgerError, Settling
from agent_fuse.ledgers.reading import Selection, open_reader
from agent_fuse.ledgers.sql_reading import SAVED, USER
from agent_fuse.testing import assert_books_balance
from ledgers.conftest import always_together
from ledgers.samples import NOW, amounts, cap, disk_waits, hold, line, reserve, usd
from ledgers.workers import SPAWN, hold_and_wait, kill, race, together
from postgres_server import PostgresServer

pytest.importorskip("psycopg")

ROOM = 100


@pytest.fixture
def own_server(postgres):
    """A server of its own, to be stopped and started."""
    server = PostgresServer()
    yield server
    server.remove()


def test_processes_get_exactly_what_there_is(database):
    """4 processes of 16 threads ask for 256 calls with room for 100: exactly 100 are granted."""
    granted = together(race, [(f"p{n}", 16, 4, ROOM) for n in range(4)], database)
    assert sum(granted) == ROOM
    ledger = open_ledger(database)
    assert usd(ledger) == (0, ROOM)
    assert_books_balance(ledger)


def test_cap_spent_here_stops_there(database):
    """What one process has spent, another is refused for."""
    ledger = open_ledger(database)
    ledger.settle(line("a", ROOM), ("all",), amounts(ROOM), now=NOW)
    assert together(race, [("there", 1, 1, ROOM)], database) == [0]


def test_killed_workers_holds_become_presumed_spend(database):
    """A worker that was killed is presumed to have spent what it held; once."""
    ready = SPAWN.Event()
    worker = SPAWN.Process(target=hold_and_wait, args=(database, ["a", "b"], ready))
    worker.start()
    assert ready.wait(60)
    ledger = open_ledger(database)
    assert ledger.sweep(now=NOW) == []
    kill(worker)
    assert sorted(one.id for one in ledger.sweep(now=NOW)) == ["a", "b"]
    assert ledger.sweep(now=NOW) == []
    assert usd(ledger) == (20, 0)


def test_server_restarted_in_the_middle_of_a_call(own_server):
    """Between reserve and settle the server crashes: both are errors meanwhile, and afterwards it is booked once."""
    url = own_server.database()
    ledger = open_ledger(url)
    assert reserve(ledger, "c", 10)
    own_server.stop()
    with pytest.raises(LedgerError, match="settle failed: "):
        ledger.settle(line("c", 9), (), amounts(9), now=NOW)
    with pytest.raises(LedgerError, match=r"the server cannot be reached: .*failed"):
        ledger.settle(line("c", 9), (), amounts(9), now=NOW)
    own_server.start()
    assert ledger.settle(line("c", 9), (), amounts(9), now=NOW) is Settling.BOOKED
    assert ledger.settle(line("c", 9), (), amounts(9), now=NOW) is Settling.UNCHANGED
    assert usd(ledger) == (9, 0)


def test_server_crashes_after_a_booking(own_server):
    """A booking that was not on the disk yet leaves the hold: nothing is lost, and asked again it is booked once."""
    url = own_server.database()
    ledger = open_ledger(url)
    assert reserve(ledger, "c", 10)
    ledger.settle(line("c", 9), (), amounts(9), now=NOW)
    own_server.stop()
    own_server.start()
    ledger = open_ledger(url)
    assert usd(ledger) in ((9, 0), (0, 10))
    ledger.settle(line("c", 9), (), amounts(9), now=NOW)
    assert usd(ledger) == (9, 0)


def test_what_waits_for_the_disk(database, monkeypatch):
    """A booking whose hold is on the disk does not wait for it; a hold, a booking without one and a tool action do."""
    ledger = open_ledger(database)
    waits = disk_waits(ledger, monkeypatch)
    for way in (lambda same: same, always_together):
        road = way(ledger)
        reserve(road, "c", 1)
        road.settle(line("c", 1), (), amounts(1), now=NOW)
        road.settle(line("d", 1), ("all",), amounts(1), now=NOW)
        assert waits == ["on", "off", "on"]
        waits.clear()
        road.prune(before=NOW + 1)
        waits.clear()
    ledger.count(hold("t", 1), now=NOW)
    assert "off" not in waits


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_connects_by_itself(database):
    """Parent and child go on with the same ledger; neither takes the other's connection."""
    ledger = open_ledger(database)
    reserve(ledger, "a", 10)
    child = os.fork()
    if not child:
        try:
            reserve(ledger, "b", 10)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert reserve(ledger, "c", 10)
    assert usd(ledger) == (0, 30)


def test_no_server(tmp_path):
    """One line, that says where, and nothing of the password."""
    with pytest.raises(LedgerError) as caught:
        open_ledger(f"postgresql://me:secret@/books?host={tmp_path}")
    assert "the server cannot be reached" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_user_without_rights(postgres, database):
    """A user that may not write is told so; with the rights of docs/postgres.md it keeps the books."""
    open_ledger(database)
    name = database.partition("@/")[2].partition("?")[0]
    postgres.say("postgres", "DROP USER IF EXISTS worker", "CREATE USER worker")
    theirs = database.replace("agent@", "worker@")
    with pytest.raises(LedgerError, match="lacks rights"):
        open_ledger(theirs)
    postgres.say(name, *RIGHTS)
    ledger = open_ledger(theirs)
    assert reserve(ledger, "c", 10)
    ledger.settle(line("c", 9), (), amounts(9), now=NOW)
    assert usd(ledger) == (9, 0)
    postgres.say(name, "DROP OWNED BY worker", "DROP USER worker")


RIGHTS = (
    "GRANT USAGE ON SCHEMA agent_fuse TO worker",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA agent_fuse TO worker",
)


def test_read_only(postgres, database):
    """A replica is read, and says what it is to whoever would write."""
    ledger = open_ledger(database)
    ledger.settle(line("c", 9), ("all",), amounts(9), now=NOW)
    only = f"{database}&options=-c default_transaction_read_only=on"
    assert usd(open_ledger(only)) == (9, 0)
    with pytest.raises(LedgerError, match="it is read-only"):
        reserve(open_ledger(only), "d", 1)


def test_newer_tables(postgres, database):
    """Tables of a later version are neither written nor read."""
    open_ledger(database)
    postgres.say(database.partition("@/")[2].partition("?")[0], "UPDATE agent_fuse.version SET number = 99")
    for ask in (open_ledger, open_reader):
        with pytest.raises(LedgerError, match="version 99, made by a newer AgentFuse"):
            ask(database)


@pytest.fixture
def older(database, monkeypatch):
    """Tables of an older version, a line in the journal and one open call in them."""
    from agent_fuse.ledgers.postgres import tables
    from agent_fuse.ledgers.postgres.connections import ServerConnections

    def make(version, lacking):
        with monkeypatch.context() as patch:
            patch.setattr(tables, "MIGRATIONS", tables.MIGRATIONS[:version])
            server = ServerConnections(database, 10.0)
            tables.bring_up(server)
        booked = dict(zip(codec.ENTRY, codec.entry_row(line("old", 5, session="s")), strict=True))
        for table in ("journal", "holds"):
            cells = {**{name: value for name, value in booked.items() if name not in lacking}, "id": f"of {table}"}
            if table == "holds":
                cells |= {"accounts": '["all"]', "on_accounts": ["all"], "buckets": [""], "windows": [0]}
                cells |= {f"hold_{one}": 0 for one in codec.METERS} | {"expires_at": NOW + 9, "host": "h"}
                cells |= {"pid": 1, "started": 1}
            values = list(cells.values())
            names, marks = ", ".join(cells), ", ".join(["%s"] * len(cells))
            server.do(
                "put",
                lambda cursor, q=(f"INSERT INTO agent_fuse.{table} ({names}) VALUES ({marks})", values): cursor.execute(
                    *q
                ),
            )
        server.close()
        return database

    return make


def test_tables_of_the_version_before_savings(older):
    """They are read as they are; brought up no line changes, and calls from then on tell what they saved."""
    database = older(2, (*SAVED, USER))
    with open_reader(database) as books:
        assert [(one.id, one.saved, one.saved_by) for one in books.entries()] == [("of journal", None, "")]
        assert books.saved(Selection()) == []
    ledger = open_ledger(database)
    for call in ("of holds", "new"):
        ledger.reserve(hold("new", 7), now=NOW)
        ledger.settle(replace(line(call, 5), saved=3, saved_by="clamp"), ("all",), amounts(5), now=NOW)
    with open_reader(database) as books:
        assert {one.id: one.saved for one in books.entries()} == {"of journal": None, "of holds": 3, "new": 3}
        assert [(one.by, one.count, one.saved) for one in books.saved(Selection())] == [("clamp", 2, 6)]
    ledger.close()


def test_tables_of_the_version_before_users(older):
    """They are read as they are; brought up no line changes, and calls from then on tell whose they are, leased or not."""
    database = older(4, (USER,))
    with open_reader(database) as books:
        assert [(one.id, one.user_id) for one in books.entries()] == [("of journal", "")]
        assert [one.entry.user_id for one in books.holds(9)] == [""]
        assert list(books.entries(Selection(user="a*"))) == []
        assert [sums.calls for _, sums in books.sums(Selection(user="*"), "session")] == [1]
    for lease in (False, True):
        ledger = open_ledger(database, lease=lease)
        for call in ("of holds", f"new {lease}"):
            ledger.reserve(replace(hold("x", 7), entry=replace(line(call, 7), user_id="ann")), now=NOW)
            ledger.settle(replace(line(call, 5), user_id="ann"), ("all",), amounts(5), now=NOW)
        ledger.close()
    with open_reader(database) as books:
        assert {one.id for one in books.entries(Selection(user="a?n"))} == {"of holds", "new False", "new True"}
        assert {one.id for one in books.entries(Selection(user="*"))} == {
            *("of holds", "new False", "new True", "of journal")
        }


def test_nothing_to_read_yet(database):
    """A reader makes no tables."""
    with pytest.raises(LedgerError, match="its tables are not there"):
        open_reader(database)


def test_many_open_at_once(database):
    """Processes that start together on an empty database make the tables once."""
    assert sum(together(race, [(f"p{n}", 1, 1, ROOM) for n in range(4)], database)) == 4


def test_statement_is_given_up(database):
    """A row that somebody holds locked costs the time that was set, and no more."""
    ledger = open_ledger(database, lock_timeout=0.2)
    reserve(ledger, "c", 1, accounts=("user=a",))
    server = open_ledger(database)._server

    def while_locked(cursor):
        with cursor.connection.transaction():
            cursor.execute("SELECT 1 FROM agent_fuse.account_rows WHERE name = 'user=a' FOR UPDATE")
            with pytest.raises(LedgerError, match=r"others kept it busy for 0\.2 s"):
                reserve(ledger, "d", 1, accounts=("user=a",))

    server.do("test", while_locked)
    assert reserve(ledger, "d", 1, accounts=("user=a",))


def test_uncapped_calls_do_not_wait_for_the_account_of_everything(database):
    """With a call on `all` in the middle of its transaction, others that no limit of `all` judges go through."""
    ledger = open_ledger(database, lock_timeout=0.5)
    reserve(ledger, "first", 1, caps=(cap(100),))
    server = open_ledger(database)._server

    def while_locked(cursor):
        with cursor.connection.transaction():
            cursor.execute("SELECT 1 FROM agent_fuse.account_rows WHERE name = 'all' FOR UPDATE")
            assert reserve(ledger, "c", 1, accounts=("all", "session=s"), caps=(cap(5, "session=s"),))
            ledger.settle(line("c", 1), (), Amounts(usd=1), now=NOW)

    server.do("test", while_locked)
    assert usd(ledger) == (1, 1)


class Trips:
    """Counts what a ledger asks the server."""

    def __init__(self, ledger, monkeypatch):
        self.count = 0
        server, was = ledger._server, ledger._server._once

        def once(work):
            self.count += 1
            return was(work)

        monkeypatch.setattr(server, "_once", once)

    def of(self, work):
        """How many trips it took, and its answer."""
        before = self.count
        answer = work()
        return self.count - before, answer


TOP_UP = (
    '{"stopped": false, "top_ups": [{"meter": "usd", "amount": 5, "until": null}], "who": "", "why": "", "at": 1.0}'
)


@pytest.mark.parametrize("in_force", [None, TOP_UP], ids=["", "topped up"])
@pytest.mark.parametrize("account", ["all", "session=s", "user.id@1h=a"])
def test_how_many_trips_to_the_server(database, monkeypatch, account, in_force):
    """A hold and a booking are one trip each, also of a new account; a refusal is one, two while anything is in force."""
    ledger = open_ledger(database)
    if in_force:
        ledger.control(account.replace("@1h", ""), None, in_force, now=NOW)
    trips = Trips(ledger, monkeypatch)
    name = f"{account}\x1f000000000001" if "@" in account else account
    more = 1 if in_force else 0

    def ask(call, usd):
        return ledger.reserve(hold(call, usd, accounts=("all", name), caps=(cap(10, account),)), now=NOW)

    assert trips.of(lambda: ask("a", 9))[0] == 1 + more
    taken, refused = trips.of(lambda: ask("b", 9))
    assert taken == 1 + more
    assert (refused.settled, refused.held, refused.requested, refused.extra) == (0, 9, 9, 5 * more)
    assert trips.of(lambda: ledger.settle(line("a", 9), (), amounts(9), now=NOW)) == (1, Settling.BOOKED)


def test_threads_go_together(database, monkeypatch):
    """16 threads that hold and book 160 calls under a cap need far fewer trips than calls, and the books are right."""
    ledger = open_ledger(database)
    reserve(ledger, "x", 1, caps=(cap(1000),))
    ledger.settle(line("x", 1), (), amounts(1), now=NOW)
    trips, barrier = Trips(ledger, monkeypatch), threading.Barrier(16)

    def work(thread):
        barrier.wait()
        for n in range(10):
            call = f"{thread}.{n}"
            assert reserve(ledger, call, 2, caps=(cap(1000),))
            assert ledger.settle(line(call, 1), (), amounts(1), now=NOW) is Settling.BOOKED

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert trips.count < 200  # 320 one by one
    assert usd(ledger) == (161, 0)
    assert_books_balance(ledger)


def test_a_pooler_that_mixes_connections_up(database):
    """Where a statement that was prepared is not there any more, as behind some poolers, none is prepared from then on."""
    ledger = open_ledger(database)
    assert reserve(ledger, "a", 1)
    ledger._server.do("test", lambda it: it.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"))
    assert reserve(ledger, "b", 1)
    assert not ledger._server._prepares
    assert usd(ledger) == (0, 2)


def test_same_answers_to_whoever_reads(database, file):
    """Every question of a reader is answered alike by both ledgers."""
    answers = []
    for url in (database, str(file)):
        ledger = open_ledger(url)
        for n in range(30):
            names = ("all", f"session=s{n % 3}", "user.id@1h=a\x1f000000000001", "a.b@day=x*y\x1f2027-01-15")
            entry = line(f"c{n}", n, at=NOW + n, session=f"s{n % 3}", agent=f"a{n % 2}", model="m[1]", tool="t")
            entry = replace(entry, saved=n, saved_by=("clamp", "would clamp")[n % 2]) if n > 20 else entry
            ledger.settle(entry, names, amounts(n), now=NOW)
            ledger.refuse(line(f"r{n}", n, at=NOW + n, reason="budget", session="s1"), ("all",), now=NOW)
        ledger.reserve(hold("open", 7), now=NOW)
        ledger.control("session=s1", None, '{"stopped": true, "who": "me", "why": "so", "at": 1.0}', now=NOW)
        ledger.update_note("caps/x", lambda _: (b"1", None), now=NOW)
        with open_reader(url) as books:
            every = Selection()
            answers.append(
                {
                    "balances": books.balances(["all", "user.id@1h=a", "none"], now=NOW),
                    "accounts": books.accounts("session", cap(1).meter, 10, now=NOW),
                    "day": (books.count_accounts("a.b@day", now=NOW), books.count_accounts("user.id@1h", now=NOW)),
                    "controls": books.controls(),
                    "knows": [books.knows(one) for one in ("session=s1", "a.b=x*y", "a.b=xzy", "tool=t", "tool=u")],
                    "names": books.account_names(3),
                    "open": books.open_calls(),
                    "notes": books.notes("caps/"),
                    "entries": list(books.entries(Selection(model="m[[]?]", session="s*"))),
                    "facts": list(books.facts(NOW + 3)),
                    "times": books.times(),
                    "refused": books.refused(every),
                    "saved": books.saved(every),
                    "lines": (books.count_lines(NOW + 5), list(books.steps(NOW + 9, 4))),
                    "sums": [books.sums(every, by) for by in ("session", "agent", "model", "tool")],
                    "unwritable": books.unwritable(),
                }
            )
        ledger.close()
    assert answers[0] == answers[1]
    assert [(one.by, one.count, one.saved) for one in answers[0]["saved"]] == [
        ("would clamp", 5, 125),
        ("clamp", 4, 100),
    ]
