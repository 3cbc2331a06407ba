"""How a server is named: what a URL may hold, where the rest comes from, and that a password is shown nowhere."""

import logging
import traceback

import pytest

import agent_fuse
from agent_fuse import SentinelSystemError, cli, pre_flight
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.kinds import shown
from agent_fuse.ledgers.postgres.address import parsed
from alone import leave_nobody
from ledgers.samples import reserve

pytest.importorskip("psycopg")

PASSWORD = "hun/ter?2#3@4&5%6:7 8'9\"\\é"
ENCODED = "hun%2Fter%3F2%233%404%265%256%3A7%208%279%22%5C%C3%A9"


@pytest.mark.parametrize("url", [
    "postgresql://me:{}@host/db",
    "postgresql://me:{}@host/db?sslmode=require&nonsense=1",
    "postgresql://me:{}@[::1/db",
    "postgresql://me:{}@host:port/db",
    "postgresql://host/db?password={}&nonsense=1",
    "postgresql://host/db?password={}",
])  # fmt: skip
@pytest.mark.parametrize("mark", ["/", "?", "#", "@", "&", "%", ":", " ", '"', "'", "=", ""])
def test_a_password_that_was_not_encoded(url, mark):
    """Whatever a URL is taken for then, no part of the password is shown: by us, or by what libpq says of it."""
    bad = url.format(f"hunter{mark}twice")
    assert not {"hunter", "twice"} & set(shown(bad).replace("=", "/").replace("?", "/").split("/")), shown(bad)
    assert "hunter" not in shown(bad)
    try:
        address, said = parsed(bad, 5.0), ""
    except ConfigurationError as error:
        address, said = None, str(error)
    if address is None:
        assert "write postgresql://user@host/db" in said
    else:
        assert address.secret == f"hunter{mark}twice"
        said = repr(address) + address.where
    for part in ("hunter", "twice"):
        assert part not in said


def test_an_option_that_is_none_is_named():
    """It is no secret."""
    with pytest.raises(ConfigurationError, match='URI query parameter: "nonsense"'):
        open_ledger("postgresql://me:secret@host/db?nonsense=1")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", ""])
def test_a_time_out_that_is_none(seconds):
    """A mistake of whoever set it."""
    with pytest.raises(ConfigurationError, match=r"statement_timeout is '.*'; give seconds, more than 0"):
        open_ledger(f"postgresql://host/db?statement_timeout={seconds}")


@pytest.mark.parametrize(("url", "seen"), [
    ("postgresql://me:p@host/db?sslmode=require&password=x&a=b", "postgresql://host/db?sslmode=require&password=…&a=b"),
    ("postgresql://host/db?p%61ssword=x&a=b&sslp%41SSWORD=y", "postgresql://host/db?p%61ssword=…&a=b&sslp%41SSWORD=…"),
    ("postgresql://host/db?a=b&p%61ssword=x&y", "postgresql://host/db?a=b&p%61ssword=…"),
    ("postgresql://me@h1:1,[::1]:2/db", "postgresql://h1:1,[::1]:2/db"),
    ("postgresql:///db?host=/a@b&user=me@x", "postgresql:///db?host=/a@b&user=me@x"),
    ("/a/path@here", "/a/path@here"),
    ("sqlite:////a/path@here", "sqlite:////a/path@here"),
])  # fmt: skip
def test_what_is_shown_of_a_url(url, seen):
    """All but user and passwords."""
    assert shown(url) == seen


def test_where_a_ledger_is(monkeypatch):
    """Several hosts, a service, or what the environment says."""
    assert parsed("postgresql://me:x@h1,h2/db", 5.0).where == "postgresql://h1,h2/db"
    assert parsed("postgresql://me:x@h1:5,h2:6/db", 5.0).where == "postgresql://h1,h2:5,6/db"
    assert parsed("postgresql://?service=books", 5.0).where == "postgresql:///?service=books"
    monkeypatch.setenv("PGHOST", "there")
    assert parsed("postgresql:///db", 5.0).where == "postgresql://there/db"


@pytest.fixture
def locked(own_server):
    """The URL of a server that wants bob's password, without it."""
    url = own_server.database()
    quoted = PASSWORD.replace("'", "''")
    own_server.say("postgres", f"CREATE USER bob SUPERUSER PASSWORD '{quoted}'")
    rules = own_server.folder / "data" / "pg_hba.conf"
    rules.write_text("local all agent trust\nlocal all bob scram-sha-256\n")
    own_server.stop("fast")
    own_server.start()
    return url.replace("agent@", "bob@")


def test_where_a_password_may_be(locked, own_server, tmp_path, monkeypatch):
    """In the URL, its options, the environment, a password file, a service file; whatever is in it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    bare = locked.replace("bob@", "")
    name = bare.partition(":///")[2].partition("?")[0]

    def works(url):
        ledger = open_ledger(url)
        assert reserve(ledger, "c", 1)
        ledger.close()

    with pytest.raises(LedgerError, match="no password supplied"):
        open_ledger(locked)
    works(locked.replace("bob@", f"bob:{ENCODED}@"))
    works(f"{bare}&user=bob&password={ENCODED}")
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        works(locked)
        patch.setenv("PGUSER", "bob")
        patch.setenv("PGHOST", str(own_server.folder))
        patch.setenv("PGDATABASE", name)
        works("postgresql://")
    kept = tmp_path / "passwords"
    kept.write_text("*:*:*:bob:" + PASSWORD.replace("\\", "\\\\").replace(":", "\\:") + "\n", encoding="utf-8")
    kept.chmod(0o600)
    works(f"{locked}&passfile={kept}")
    services = tmp_path / "services"
    services.write_text(
        f"[books]\nhost={own_server.folder}\ndbname={name}\nuser=bob\npassword={PASSWORD}\n", encoding="utf-8"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    works("postgresql://?service=books")
    monkeypatch.setenv("PGSERVICE", "books")
    works("postgresql://")


@pytest.mark.parametrize("fail_safe", [True, False])
def test_a_wrong_password_is_shown_nowhere(locked, fail_safe, caplog, capfd):
    """Not in errors and what raised them, log lines, `repr`, spans' status, nor what commands and the doctor say."""
    wrong = locked.replace("bob@", "bob:canary-5711@")
    told = []
    leave_nobody()
    with caplog.at_level(logging.DEBUG):
        try:
            with pytest.raises(
                LedgerError, match='the server refuses: password authentication failed for user "bob"'
            ) as caught:
                open_ledger(wrong)
            told += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
            try:
                agent_fuse.init(budget=1, session_id="s", db_path=wrong, fail_safe=fail_safe)
                pre_flight("gpt-4o", 10, 10).release()
            except SentinelSystemError as error:
                assert fail_safe
                told += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
            else:
                assert not fail_safe
            for command in (["status", "--json"], ["doctor"])[
                : 1 + fail_safe
            ]:  # the doctor's own process takes seconds
                with pytest.raises(SystemExit):
                    cli.main([*command, "--db", wrong])
        finally:
            leave_nobody()
    told += [caplog.text, *capfd.readouterr()]
    assert any("authentication failed" in one for one in told)
    for one in told:
        assert "canary-5711" not in one
