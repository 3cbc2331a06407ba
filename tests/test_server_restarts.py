"""A PostgreSQL server that restarts in the middle of real calls: booked once, held by nobody, and no call is stuck."""

import asyncio
import time

import openai
import pytest

import agent_fuse
from agent_fuse import SentinelSystemError
from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import LoopbackProvider, Reply, assert_books_balance
from alone import leave_nobody

pytest.importorskip("psycopg")
pytestmark = pytest.mark.postgres

SECONDS = 60
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


def plain(url):
    """One call."""
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(**ASKED)


def streamed(url):
    """One call, its answer read piece by piece."""
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))


def awaited(url):
    """One call in an event loop."""

    async def go():
        async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
            await client.chat.completions.create(**ASKED)

    asyncio.run(go())


def awaited_stream(url):
    """A streamed one there."""

    async def go():
        async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
            async for _ in await client.chat.completions.create(**ASKED, stream=True):
                pass

    asyncio.run(go())


@pytest.mark.parametrize(("fail_safe", "lease", "ways"), [
    (True, False, (plain, awaited_stream)),
    (False, False, (streamed, awaited)),
    (True, True, (streamed, awaited)),
    (False, True, (plain, awaited_stream)),
])  # fmt: skip
def test_the_server_restarts_in_the_middle_of_calls(own_server, fail_safe, lease, ways):
    """Down between hold and booking, down when a call begins, and back: every answer stands in the journal once."""
    url, then = own_server.database(), []

    def answer(_):
        while then:
            then.pop()()
        return Reply(text="yes")

    leave_nobody()
    with LoopbackProvider(answer) as provider:
        try:
            agent_fuse.init(budget=5, session_id="s", db_path=url, fail_safe=fail_safe, lease=lease, warn_at="none",
                synchronous="full", max_retries=0)  # fmt: skip
            for call in ways:
                until(call, provider)
                then.append(own_server.stop)
                call(provider.openai_base_url)  # it was held; its answer comes while the server is down
                before = provider.count
                if lease:
                    time.sleep(1.1)  # a worker that leases looks at the server once a second
                if fail_safe:
                    with pytest.raises(SentinelSystemError):
                        call(provider.openai_base_url)
                    assert provider.count == before
                else:
                    call(provider.openai_base_url)
                own_server.start()
                until(call, provider)
        finally:
            if own_server_is_down(own_server):
                own_server.start()
            leave_nobody()
        served = sorted(one.response_id for one in provider.served)
    books = open_ledger(url)
    ends = time.monotonic() + SECONDS
    while (booked := booked_in(books)) != served and time.monotonic() < ends:
        time.sleep(0.1)  # what the ledger could not take is written by a thread, once it sees the server again
    assert booked == served
    assert books.holds() == []
    assert_books_balance(books)
    books.close()


def until(call, provider):
    """Make it until it goes: a server that is back is not met by the first try of whoever had left it."""
    ends = time.monotonic() + SECONDS
    while True:
        try:
            return call(provider.openai_base_url)
        except SentinelSystemError:
            assert time.monotonic() < ends
            time.sleep(0.1)


def booked_in(books):
    """The ids of the answers in the journal, each as often as it stands there."""
    return sorted(one.response_id for one in books.journal() if one.status is not Status.REFUSED)


def own_server_is_down(server):
    """Whether nobody would answer."""
    return not (server.folder / ".s.PGSQL.5432").exists()
