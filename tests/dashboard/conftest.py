"""The dashboard as it is run: a process of its own that serves a ledger on loopback, and people who look at it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from agent_fuse.ledgers import open_ledger, waiting
from ledgers.samples import amounts, line


@pytest.fixture(scope="module", autouse=True)
def _patient():
    """Playwright runs an event loop in the thread of the tests, which may wait for a ledger as long as anybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "LOOP_SECONDS", 20.0)
        yield


PROGRAM = str(Path(sys.executable).with_name("agent-fuse"))


class Served:
    """A dashboard that runs."""

    def __init__(self, ledger, *options, environ=None):
        self.process = subprocess.Popen(
            [PROGRAM, "dashboard", "--db", str(ledger), *options],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environ or {}),
        )
        self.address = self.process.stdout.readline().strip()
        self.base = self.address.partition("/?")[0].rstrip("/")

    def client(self, **options):
        """Somebody who is not let in yet."""
        return httpx.Client(base_url=self.base, trust_env=False, timeout=30, **options)

    @contextmanager
    def let_in(self, address=None):
        """Somebody who came by a link."""
        with self.client() as one:
            answer = one.get(address or self.address)
            assert answer.status_code == 200, answer.text
            yield one

    def end(self):
        """End it as a person does; how it ended."""
        self.process.send_signal(signal.SIGINT)
        with self.process:
            return self.process.wait(20)


@pytest.fixture
def served():
    """Starts dashboards, and ends them."""
    made = []

    def start(ledger, *options, **more):
        made.append(Served(ledger, *options, **more))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.end()
        one.process.stdout.close()


def until(work, seconds=20):
    """The first true value that `work` gives."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = work()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come about")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Where an empty ledger is that another process can read, of each kind in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return request.getfixturevalue("postgres").database()


@pytest.fixture
def look(browser):
    """Opens a dashboard's page as a person does, and hears everything that it asks for or complains of."""
    made = []

    def go(house, path=None, **options):
        context = browser.new_context(**options)
        page = context.new_page()
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("dialog", lambda dialog: page.heard.append(f"dialog {dialog.message}") or dialog.dismiss())
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((house.base, "data:")) else page.heard.append(asked.url),
        )
        page.goto(path or house.address)
        made.append(context)
        return page

    yield go
    for one in made:
        one.close()


@pytest.fixture
def quiet(tmp_path):
    """A ledger with one session that spends, one limit, and a refusal."""
    path = tmp_path / "ledger.db"
    ledger = open_ledger(path)
    ledger.update_note("caps/per/usd/session", lambda _: (b'{"amount": 10000000}', None), now=1)
    now = time.time()
    ledger.settle(
        line("a", at=now, session="run-1", agent="writer", model="gpt-4o"), ["all", "session=run-1"], amounts(), now=now
    )
    yield path, ledger
    ledger.close()
