"""`agent-fuse ledger`: made, checked and carried over, in a file and on a real PostgreSQL server."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import apsw
import pytest

from agent_fuse.account_names import within
from agent_fuse.calls import RefusedBy, Status
from agent_fuse.cli.app import GROUPS
from agent_fuse.ledgers import copying, keeping, open_ledger
from agent_fuse.ledgers.base import Cap, Meter, Reservation, Settling
from agent_fuse.ledgers.migrations import MIGRATIONS
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.testing import assert_books_balance
from agent_fuse.windows import read as window
from cli.test_output import DOCS
from ledgers.samples import NOW, PRICE, amounts, hold, line

HOUR = "user.id@1h=a\0b"
EMPTY = ("sqlite", "postgresql")


@pytest.fixture
def new(tmp_path, request):
    """A function: the URL of an empty place of a kind."""
    made = []

    def new(kind):
        made.append(kind)
        if kind == "sqlite":
            return str(tmp_path / f"books{len(made)}" / "ledger.db")
        return request.getfixturevalue("postgres").database()

    return new


@pytest.fixture(params=EMPTY)
def url(request, new):
    """An empty place of each kind in turn."""
    return new(request.param)


def name_of(url):
    return url.partition("@/")[2].partition("?")[0]


def fill(url, many=0):
    """Books in which every column of every table has something."""
    ledger = open_ledger(url)
    at = window("1h").interval(NOW)
    names = ("all", "session=é", within(HOUR, at), within("a@day", "2027-01-15"))
    for n in range(3):
        more = {"session": "é", "agent": f"a{n}", "model": "m", "fee": n, "source": "provider", "computed": 7}
        ledger.settle(line(f"c{n}", PRICE + n, at=NOW - n, **more), names, amounts(PRICE + n), now=NOW)
    ledger.settle(line("late", 5, Status.PRESUMED, reason="expired", response_id="r"), names, amounts(5), now=NOW)
    ledger.reserve(replace(hold("open", 11, accounts=names, expires_at=NOW + 60), outlives=True), now=NOW)
    by = RefusedBy(limit="$1 per x", per="x", value="v", meter="usd", cap=1, spent=2, held=3, requested=4, advice="no")
    ledger.refuse(line("no", 9, reason="budget", refused_by=by), ("all", "x=v"), now=NOW)
    stopped = '{"stopped": true, "top_ups": [], "who": "me", "why": "so", "at": 1.0}'
    ledger.control("session=stopped", None, stopped, ("control/1", b"{}"), now=NOW)
    ledger.update_note("loops/key", lambda _: (b"\x00\xff", None), now=NOW)
    for n in range(many):
        ledger.settle(line(f"m{n}", 1, at=NOW + n), ("all", f"session=m{n}"), amounts(1), now=NOW)
    ledger.close()


def rows(url):
    """All rows of all tables."""
    with keeping.keeper(url) as books, books.whole() as whole:
        return {table.name: [one for page in copying.pages(whole, table) for one in page] for table in keeping.TABLES}


def copied(source, target, told=lambda *_: None):
    """Copy, as the command does."""
    with keeping.keeper(source) as old, keeping.keeper(target) as new:
        return copying.copy(old, new, told, now=NOW)


@pytest.mark.parametrize("into", EMPTY)
def test_copy(run, url, new, into):
    """Every row of every table is the same in the copy, and the copy goes on as the old one would have."""
    fill(url)
    target = new(into)
    done = run("ledger", "copy", url, target)
    assert (done.code, done.err) == (0, "")
    assert "5 lines of $0.0225" in done.out
    found = rows(target)
    assert found == rows(url)
    assert all(found.values())
    ledger = open_ledger(target)
    assert ledger.settle(line("late", 4), (), amounts(4), now=NOW) is Settling.CORRECTED
    assert ledger.settle(line("open", 10), (), amounts(10), now=NOW) is Settling.BOOKED
    assert ledger.settle(line("c1"), (), amounts(), now=NOW) is Settling.UNCHANGED
    stopped = ledger.reserve(hold("s", 1, accounts=("all", "session=stopped")), now=NOW)
    assert stopped.stop.who == "me"
    later = NOW + 2 * 3600
    cap = Cap(HOUR, Meter.USD, PRICE)
    again = hold("l", PRICE, accounts=("all", within(HOUR, window("1h").interval(later))), caps=(cap,))
    refused = ledger.reserve(replace(again, entry=line("l0")), now=NOW)
    assert refused.settled == 3 * PRICE + 3 + 4 + 10
    assert isinstance(
        ledger.reserve(again, now=later), Reservation
    )  # the buckets came along: what left the window is gone
    ledger.release("l", now=later)
    assert_books_balance(ledger)
    ledger.close()
    assert run("ledger", "check", target).code == 0


def test_more_than_a_page(run, new, monkeypatch):
    """Tables of many pages are copied whole, there and back, with the account of everything that is spread there."""
    monkeypatch.setattr(copying, "PAGE", 7)
    first, there, back = new("sqlite"), new("postgresql"), new("sqlite")
    fill(first, many=40)
    assert run("ledger", "copy", first, there).code == 0
    ledger = open_ledger(there)
    for n in range(20):
        ledger.settle(line(f"p{n}", 1, at=NOW), ("all", f"session=p{n}"), amounts(1), now=NOW)
    ledger.close()
    done = run("ledger", "copy", there, back, "--json")
    told = json.loads(done.out)
    assert told["rows"]["journal"] == 65
    assert rows(back) == rows(there)
    assert "all" in [row[0] for row in rows(back)["accounts"]]
    assert run("ledger", "check", back).code == 0


def test_copy_is_of_one_moment(url, new):
    """What is booked while it is copied is not in the copy, and the sums are right."""
    fill(url)
    target = new("sqlite")
    writer = open_ledger(url)

    def told(table, done, in_all):
        writer.settle(line(f"{table}{done}", 1), ("all",), amounts(1), now=NOW)

    before = rows(url)
    copied(url, target, told)
    writer.close()
    assert rows(target) == before
    assert rows(url) != before


@pytest.mark.parametrize("into", EMPTY)
def test_copy_that_fails_leaves_nothing(run, new, into, monkeypatch):
    """A copy that ends in the middle, or whose figures are not those that were read, leaves the target empty."""
    source, target = new("sqlite"), new(into)
    fill(source)

    def interrupted(table, done, in_all):
        if table == "notes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(source, target, interrupted)
    assert not any(rows(target).values())
    monkeypatch.setattr(copying, "_sums", lambda books: (id(books), 0))
    failed = run("ledger", "copy", source, target)
    assert (failed.code, failed.err.count("\n")) == (3, 1)
    assert "nothing was kept" in failed.err
    assert not any(rows(target).values())
    monkeypatch.undo()
    copied(source, target)
    assert rows(target) == rows(source)


def test_copy_of_a_wrong_account_is_seen(new, monkeypatch):
    """A figure of a single account that comes out different is found."""
    source, target = new("sqlite"), new("sqlite")
    fill(source)
    pages = copying.pages

    times = []

    def spoilt(whole, table):
        for page in pages(whole, table):
            if table is keeping.ACCOUNTS:
                times.append(page)
            yield [(row[0], row[1] + 1, *row[2:]) if row[0] == "session=é" and len(times) == 1 else row for row in page]

    monkeypatch.setattr(copying, "pages", spoilt)
    with pytest.raises(Exception, match="the figures of session=é should be"):
        copied(source, target)


def test_copy_into_books_with_something_in_them(run, url, new):
    """One line, and nothing is changed."""
    source = new("sqlite")
    fill(source)
    ledger = open_ledger(url)
    ledger.update_note("a", lambda _: (b"1", None), now=NOW)
    ledger.close()
    before = rows(url)
    done = run("ledger", "copy", source, url)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "is not empty; copy into a new one" in done.err
    assert rows(url) == before


def test_copy_of_books_in_use(run, url, new):
    """Open calls of a living process: refused with the way out; with --anyway they are open in both; of a dead one: copied."""
    target = new("sqlite")
    held = f"""
from agent_fuse.ledgers import open_ledger
from ledgers.samples import hold
ledger = open_ledger({url!r})
ledger.reserve(hold("mine", 3, expires_at=4e9), now=1.0)
print("held", flush=True)
input()
"""
    other = subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="tests")
    assert other.stdout.readline() == b"held\n"
    done = run("ledger", "copy", url, target)
    assert done.code == 2
    assert "open calls of a process that may be at work" in done.err
    assert run("ledger", "copy", url, target, "--anyway").code == 0
    with open_reader(target) as books:
        assert books.balances(["all"])["all"].held.usd == 3
    other.kill()
    other.communicate()
    assert run("ledger", "copy", url, new("sqlite")).code == 0


def test_init(run, url):
    """It makes the tables, says so, and done again changes nothing."""
    first, second = run("ledger", "init", url), run("ledger", "init", url)
    assert (first.code, second.code) == (0, 0)
    assert re.search(r": made, of version \d+\.", first.out)
    assert "is there already" in second.out
    assert ("GRANT" in first.out) == url.startswith("postgresql")
    open_reader(url).close()
    done = run("ledger", "init", url, "--json")
    assert json.loads(done.out)["version_before"] == json.loads(done.out)["version"]


def test_init_brings_an_old_file_up(run, own):
    """A file of an older version: check names the version, a copy is refused, init brings it up and says from where."""
    db = apsw.Connection(str(own))
    for table in ("holds", "journal"):
        for column in ("saved", "saved_by", "user_id"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    db.execute("DROP TABLE controls; ALTER TABLE accounts DROP COLUMN controls; PRAGMA user_version = 4")
    db.close()
    checked = run("ledger", "check", own)
    assert checked.code == 1
    assert "its tables are of version 4" in checked.out
    assert run("ledger", "copy", own, f"{own}.copy").code == 3
    assert f"brought from version 4 to {len(MIGRATIONS)}" in run("ledger", "init", own).out
    assert "version" not in run("ledger", "check", own).out


def test_init_gives_a_role_its_rights(run, postgres):
    """With what --grant gives, and no more, a role passes the check and keeps the books; without, each lack is a line."""
    url = postgres.database()
    name = name_of(url)
    postgres.say("postgres", "DROP ROLE IF EXISTS hand", "CREATE ROLE hand LOGIN")
    theirs = url.replace("agent@", "hand@")
    assert run("ledger", "check", theirs).out.endswith("its tables are not there: agent-fuse ledger init makes them\n")
    denied = run("ledger", "init", theirs)
    assert (denied.code, denied.err.count("\n")) == (3, 1)
    assert "lacks rights" in denied.err
    run("ledger", "init", url)
    assert "role hand lacks USAGE of the schema" in run("ledger", "check", theirs).out
    postgres.say(name, "GRANT USAGE ON SCHEMA agent_fuse TO hand")
    done = run("ledger", "check", theirs)
    assert done.code == 1
    assert "role hand lacks SELECT, INSERT, UPDATE, DELETE on agent_fuse.journal" in done.out
    assert "role hand lacks SELECT on agent_fuse.version" in done.out
    postgres.say(name, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA agent_fuse FROM PUBLIC")
    assert "lacks EXECUTE on" in run("ledger", "check", theirs).out
    assert "hand has the rights" in run("ledger", "init", url, "--grant", "hand").out
    assert run("ledger", "check", theirs).code == 0
    ledger = open_ledger(theirs)
    ledger.reserve(hold("a", 3), now=NOW)
    ledger.settle(line("a", 3), (), amounts(3), now=NOW)
    ledger.settle(line("b", 3, Status.ESTIMATED), ("all",), amounts(3), now=NOW)
    ledger.settle(line("b", 2), (), amounts(2), now=NOW)
    ledger.refuse(line("c", 3), ("all",), now=NOW)
    ledger.count(hold("t", 3), now=NOW)
    ledger.control("all", None, "{}", now=NOW)
    ledger.update_note("a", lambda _: (b"1", None), now=NOW)
    ledger.sweep(now=NOW)
    ledger.prune(before=NOW)
    ledger.close()
    postgres.say(name, "DROP OWNED BY hand", "DROP ROLE hand")


def test_printed_grants_are_those_given(run, postgres):
    """What is printed for a role of any name can be run as it is."""
    url = postgres.database()
    run("ledger", "init", url)
    role = 'odd "role"; --'
    quoted = role.replace('"', '""')
    postgres.say("postgres", f'DROP ROLE IF EXISTS "{quoted}"', f'CREATE ROLE "{quoted}"')
    told = json.loads(run("ledger", "init", url, "--grant", role, "--json").out)
    assert told["granted"] == [role]
    postgres.say(name_of(url), *told["statements"], f'DROP OWNED BY "{quoted}"')
    postgres.say("postgres", f'DROP ROLE "{quoted}"')


def test_replica(run, postgres):
    """Where nothing may be written, the check says so, and looks at the figures all the same."""
    url = postgres.database()
    fill(url)
    done = run("ledger", "check", f"{url}&options=-c default_transaction_read_only=on")
    assert done.code == 1
    assert "transactions are read-only here" in done.out
    assert done.out.count("\n") == 1


def test_check_of_sound_books(run, story, url):
    """Books in use, a story, and pruned ones: nothing is wrong with them."""
    fill(url)
    assert run("ledger", "check", url).code == 0
    ledger = open_ledger(url)
    assert ledger.prune(before=NOW) == 2
    ledger.close()
    done = run("ledger", "check", url)
    assert (done.code, done.out.count("\n")) == (0, 1)


SPOILT = {
    "session=é holds $0.000000999, its open calls hold $0.000000011": (
        "UPDATE {accounts} SET held_usd = 999 WHERE name = 'session=é'"
    ),
    "session=é holds 3 calls, its open calls hold 1 calls": "UPDATE {accounts} SET held_calls = 3 WHERE name = 'session=é'",
    "all has settled $0.01, and the journal says $0.022500008": (
        "UPDATE {accounts} SET settled_usd = settled_usd + 10000000 - (SELECT sum(x.settled_usd) FROM {accounts} x "
        "WHERE x.name >= 'all' AND x.name < 'all{end}') WHERE name = (SELECT min(x.name) FROM {accounts} x "
        "WHERE x.name >= 'all' AND x.name < 'all{end}')"
    ),
    "user.id@1h=a": "UPDATE {accounts} SET settled_usd = 5 WHERE name BETWEEN 'user.id@1h=a' AND 'user.id@1h=b' AND since > 0",
    "call c1 is booked, and open still": "UPDATE {holds} SET id = 'c1'",
    "1 call is open past the time, by 100 s at most": f"UPDATE {{holds}} SET expires_at = {NOW - 100}",
    "open calls hold something on session=é, and there is no such account": (
        "DELETE FROM {accounts} WHERE name = 'session=é'"
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_check_finds(run, url, fault, postgres):
    """Each way in which the books can disagree is a line, and exit code 1."""
    fill(url)
    prefix = "agent_fuse." if url.startswith("postgresql") else ""
    accounts = "agent_fuse.account_rows" if prefix else "accounts"
    query = SPOILT[fault].format(accounts=accounts, holds=f"{prefix}holds", end="\x1f")
    if prefix:
        postgres.say(name_of(url), query)
    else:
        db = apsw.Connection(url)
        db.execute(query)
        db.close()
    done = run("ledger", "check", url)
    assert done.code == 1
    assert fault in done.out
    told = json.loads(run("ledger", "check", url, "--json").out)
    assert (told["sound"], told["figures"]) == (False, True)
    assert all("\n" not in one for one in told["faults"])


def test_check_of_a_damaged_file(run, own):
    """A page that is no page any more is a fault, in words."""
    db = apsw.Connection(str(own))
    db.pragma("wal_checkpoint", "truncate")
    db.close()
    with own.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    done = run("ledger", "check", own)
    assert done.code == 1
    assert done.out.strip()


@pytest.mark.parametrize("command", [("init",), ("check",), ("copy", "x.db")], ids=lambda one: one[0])
def test_wrong_places(run, tmp_path, command):
    """What is no ledger that can be kept is one line, without a password."""
    told = {
        "memory://": (2, "it has no tables that could be made, checked or copied"),
        "redis://me:secret@x/": (2, "redis:// is none of a path"),
        "postgresql://me:secret@/books?nonsense=1": (2, "write postgresql://user@host/db"),
        f"postgresql://me:secret@/books?host={tmp_path}": (3, "the server cannot be reached"),
    }
    for place, (code, why) in told.items():
        done = run("ledger", command[0], *[str(tmp_path / one) for one in command[1:]], place)
        assert (done.code, done.err.count("\n")) == (code if command[0] != "copy" or code == 2 else 3, 1)
        assert why in done.err or "there is no such file" in done.err
        assert "secret" not in done.err + done.out


def test_check_of_nothing(run, tmp_path):
    """A file that is not there is exit code 3, and is not made."""
    path = tmp_path / "none.db"
    done = run("ledger", "check", path)
    assert done.code == 3
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("init", "x.db", "--grant", "me"), "a file knows no roles"),
        (("init", "x.db", "--grant", " "), "--grant is empty"),
    ],
)
def test_wrong_grants(run, tmp_path, monkeypatch, arguments, told):
    """A role where there are none, and one of no name: one line."""
    monkeypatch.chdir(tmp_path)
    done = run("ledger", *arguments)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert told in done.err


def test_no_such_role(run, postgres):
    """One line that says what to do."""
    done = run("ledger", "init", postgres.database(), "--grant", "nobody-knows")
    assert done.code == 2
    assert "there is no such role" in done.err
    assert "CREATE ROLE it first" in done.err


def test_copy_on_a_terminal(run, own, tmp_path):
    """There is a bar on a terminal; nothing of it in a pipe."""
    done = run("ledger", "copy", own, tmp_path / "a.db", "--anyway", tty=True)
    assert "\x1b[" in done.out
    piped = run("ledger", "copy", own, tmp_path / "b.db", "--anyway")
    assert piped.out.count("\n") == 2
    assert "\x1b" not in piped.out


@pytest.mark.parametrize("name", ["", "init", "check", "copy"])
def test_help_of_the_group(run, snapshot, name):
    """The help of each of its commands is as recorded, and each option is named in the chapter."""
    done = run("ledger", *([name] if name else []), "--help", tty=True)
    snapshot(f"help-ledger{name and '-' + name}", done.plain)
    assert max(map(len, done.plain.splitlines())) <= 80
    text = DOCS.read_text("utf-8")
    chapter = re.search(r"^## ledger\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    options = set(re.findall(r"(--[a-z][a-z-]*)", done.plain)) - {"--help", "--json"}
    assert [one for one in options if one not in chapter] == []
    assert "ledger" in GROUPS


def test_json_fields_are_documented(run, new):
    """Every field of the JSON stands in the chapter."""
    url, target = new("sqlite"), new("sqlite")
    fill(url)
    text = DOCS.read_text("utf-8")
    chapter = re.search(r"^## ledger\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    for command in (("init", url), ("check", url), ("copy", url, target)):
        found = json.loads(run("ledger", *command, "--json").out)
        assert found["schema"] == f"agent-fuse/ledger-{command[0]}/1"
        assert [one for one in found if one != "schema" and f"`{one}`" not in chapter] == []


def test_the_ledger_is_named_as_everywhere_else(run, new):
    """By `--db` too, by one of both, and by an empty one never: a variable that is not set means no other ledger."""
    path = new("sqlite")
    assert run("ledger", "init", "--db", path).code == 0
    assert run("ledger", "check", "--db", path).out == run("ledger", "check", path).out != ""
    twice = run("ledger", "check", path, "--db", path)
    assert (twice.code, "named twice" in twice.err) == (2, True)
    for words in (("ledger", "check"), ("status",), ("stop", "run-1")):
        empty = run(*words, "--db", "")
        assert (empty.code, empty.err) == (
            2,
            "agent-fuse: --db is empty; name a ledger, or leave --db out for the default\n",
        )
