"""The loopback provider under many clients at once, from one process and from several."""

import asyncio
import os
import socket
import subprocess
import sys
import threading

import openai
import pytest

from agent_fuse.testing import LoopbackProvider, Reply

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}

CLIENT = """
import sys, openai
with openai.OpenAI(base_url=sys.argv[1], api_key="test", max_retries=0) as client:
    for _ in range(int(sys.argv[2])):
        client.chat.completions.create(model=sys.argv[3], messages=[{"role": "user", "content": "hi"}])
"""


def test_200_calls_in_flight_at_once(provider):
    """200 async calls are all held open at the same time, and all are answered, each with an id of its own."""
    arrived, open_now = threading.Event(), []

    def script(request):
        open_now.append(request)
        if len(open_now) == 200:
            arrived.set()
        return Reply(text="ok", delay_s=0.3)

    provider.default = script

    async def run():
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0) as client:
            return await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(200)))

    done = asyncio.run(run())
    assert arrived.is_set()
    assert len({one.id for one in done}) == 200
    assert provider.count == len(provider.served) == 200


def test_four_processes_at_once(provider):
    """Requests of four processes are all counted, each under its own model name."""
    commands = [[sys.executable, "-c", CLIENT, provider.openai_base_url, "25", f"model-{at}"] for at in range(4)]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert provider.count == 100
    for at in range(4):
        assert sum(one.model == f"model-{at}" for one in provider.served) == 25


def test_a_killed_client_still_counts(provider):
    """A process killed with SIGKILL while it waits leaves its request counted, and the provider working."""
    provider.reply(Reply.never())
    process = subprocess.Popen([sys.executable, "-c", CLIENT, provider.openai_base_url, "1", "doomed"])
    assert provider.wait_for(1, timeout_s=30)
    process.kill()
    process.wait(10)
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="test") as client:
        client.chat.completions.create(**ASK)
    assert [one.model for one in provider.requests] == ["doomed", "gpt-4o"]


def test_hundreds_of_connections_opened_at_once(provider):
    """300 connections opened before any speaks are all accepted and answered."""
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
    ask = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
    port = int(provider.url.rpartition(":")[2])
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    for one in sockets:
        one.sendall(ask)
    for one in sockets:
        with one, one.makefile("rb") as stream:
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            assert b"chat.completion" in stream.read()
    assert provider.count == 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_a_stopped_provider_alive():
    """With a forked child still running, a stopped provider refuses connections, and dropped clients notice."""
    with LoopbackProvider() as provider:
        port = int(provider.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as kept:
            kept.sendall(b"GET /_loopback HTTP/1.1\r\n\r\n")
            assert kept.recv(65536).startswith(b"HTTP/1.1 200")
            release, hold = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(hold)
                os.read(release, 1)
                os._exit(0)
            os.close(release)
            try:
                provider.stop()
                kept.settimeout(10)
                assert kept.recv(1) == b""
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                provider.start()
                socket.create_connection(("127.0.0.1", port)).close()
            finally:
                os.close(hold)
                os.waitpid(child, 0)
