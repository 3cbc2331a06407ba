"""`agent-fuse run` around servers, test runs and notebook kernels as people start them: all of their processes count."""

import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from queue import Empty

import pytest
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

ASK = """
import openai

def ask():
    client = openai.OpenAI(max_retries=0)
    client.chat.completions.create(model="gpt-4o", max_tokens=500, messages=[{"role": "user", "content": "hello"}])
"""
"""A call of $0.0075."""

APP = f"""
{ASK}
import asyncio, os

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await asyncio.to_thread(ask)
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"%d" % os.getpid()}})

def wsgi(environ, start_response):
    ask()
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"%d" % os.getpid()]
"""
"""An application that knows nothing of AgentFuse."""

SERVERS = {
    "uvicorn, two workers": ("uvicorn app:asgi --port 0 --workers 2", "startup complete", 2),
    "uvicorn that reloads": ("uvicorn app:asgi --port 0 --reload", "startup complete", 1),
    "gunicorn, two workers": ("gunicorn app:wsgi -b 127.0.0.1:0 -w 2", "Booting worker", 2),
    "gunicorn, loaded before it forks": ("gunicorn app:wsgi -b 127.0.0.1:0 -w 2 --preload", "Booting worker", 2),
}
"""Commands, the words with which a worker of theirs says that it is up, and how many there are."""


@contextmanager
def started(place, *words):
    """A run under way, which does not outlive its test."""
    with place.start(*words) as one:
        try:
            yield one
        finally:
            one.kill()


class Server:
    """A server that is up, and what it says."""

    def __init__(self, process, words, workers):
        self.process = process
        self.said = []
        self._words = words
        self.port = 0
        self.wait_for(workers)

    def wait_for(self, workers):
        """Read on until so many more workers are up."""
        while workers or not self.port:
            line = self.process.stderr.readline()
            assert line, "".join(self.said)
            self.said.append(line)
            workers -= self._words in line
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            self.port = int(found[1]) if found else self.port

    def get(self):
        """Status of a request; 500 where the application raised, however the server says so."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=60) as answer:
                    return answer.status
            except urllib.error.HTTPError as refused:
                return refused.code
            except urllib.error.URLError as error:  # uvicorn says that it is up, and listens then
                if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                    raise

    def end(self):
        """Ask it to end; its exit status, and what agent-fuse said last."""
        rest = []
        reader = threading.Thread(target=lambda: rest.extend(self.process.stderr))
        reader.start()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        reader.join()
        return status, rest[-1]


SLOW = {"gunicorn, two workers"}


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.soak if one in SLOW else ()) for one in SERVERS])
def test_servers(place, name):
    """All workers draw on one budget, nothing is sent beyond it, they live on, and end as they are told to."""
    place.write("app.py", APP)
    command, words, workers = SERVERS[name]
    before = place.provider.count
    with started(place, "--budget", "0.0225", "--session", "s", "--", *command.split()) as process:
        server = Server(process, words, workers)
        assert [server.get() for _ in range(6)] == [200] * 3 + [500] * 3
        if "--reload" in command:
            place.write("app.py", f"{APP}\n# changed\n")
            server.wait_for(1)
            assert server.get() == 500
        status, last = server.end()
    refused = 4 if "--reload" in command else 3
    assert (status, last) == (0, f"agent-fuse: spent $0.0225 in 3 calls; {refused} refused\n")
    assert place.provider.count - before == 3


TESTS = f"""
import pytest
{ASK}
@pytest.mark.parametrize("number", range(4))
def test_agent(number):
    ask()
"""


def of_tests(place, *words):
    """A test run that draws on $0.015, which may be used up already."""
    place.write("tests/test_agent.py", TESTS)
    words = ("--budget", "0.015", "--session", "s", *words, "-q", "-p", "no:cacheprovider", "tests")
    return place.run(*words, environ={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})  # a great many are installed here


def test_a_test_run(place):
    """Tests beyond the budget fail with the trip's own words; a run that begins with none left sends nothing."""
    ran = of_tests(place, "--", "pytest")
    assert (ran.status, ran.requests) == (1, 2), ran.err
    assert "2 failed, 2 passed" in ran.out
    assert len(re.findall(r"\nE +agent_fuse\.errors\.SentinelBudgetExceeded: call to gpt-4o refused", ran.out)) == 2
    assert ran.lines[-1] == "spent $0.015 in 2 calls; 2 refused"
    ran = of_tests(place, "--", "pytest")
    assert (ran.status, ran.requests, "4 failed" in ran.out) == (1, 0, True)


def test_a_test_run_of_several_workers(place):
    """The workers that pytest starts draw on the same budget."""
    ran = of_tests(place, "-m", "pytest", "-p", "xdist", "-n", "2")
    assert (ran.status, ran.requests, "2 failed, 2 passed" in ran.out) == (1, 2, True), ran.err


class Notebook:
    """What a notebook sees of its kernel."""

    def __init__(self, connection):
        self._client = BlockingKernelClient(connection_file=connection)
        self._client.load_connection_file()
        self._client.start_channels()

    def __enter__(self):
        """Wait until the kernel answers, and until what it publishes is heard."""
        for _ in range(60):
            self._client.kernel_info(reply=True, timeout=60)
            try:
                self._client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            return self
        raise AssertionError("the kernel publishes nothing")

    def __exit__(self, *_):
        self._client.stop_channels()

    def cell(self, code, *, once=None):
        """How a cell ends: "ok", or the name of what it raised. `once`: called when the cell prints something."""

        def told(message):
            if once is not None and message["msg_type"] == "stream":
                once()

        answer = self._client.execute_interactive(code, timeout=60, output_hook=told)["content"]
        return answer.get("ename", answer["status"])

    def end(self):
        """Shut the kernel down."""
        self._client.shutdown()


def test_a_notebooks_kernel(place):
    """A refused cell ends like any that raises, the stop button reaches it, and the kernel lives until it is shut down."""
    connection, _ = write_connection_file(str(place.folder / "kernel.json"))
    command = (sys.executable, "-m", "ipykernel_launcher", "-f", connection)
    before = place.provider.count
    with started(place, "--budget", "0.015", "--", *command) as process:
        with Notebook(connection) as notebook:
            assert notebook.cell(ASK) == "ok"
            assert [notebook.cell("ask()") for _ in range(3)] == ["ok", "ok", "SentinelBudgetExceeded"]
            stop = lambda: process.send_signal(signal.SIGINT)  # noqa: E731
            waits = "import time\nprint('here', flush=True)\ntime.sleep(60)"
            assert notebook.cell(waits, once=stop) == "KeyboardInterrupt"
            assert notebook.cell("ask()") == "SentinelBudgetExceeded"
            notebook.end()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.splitlines()[-1] == "agent-fuse: spent $0.015 in 2 calls; 2 refused"
    assert place.provider.count - before == 2


def test_kernels_that_a_notebook_server_starts(place):
    """`agent-fuse run -- jupyter lab`: the server starts the kernels, and each is guarded, on the budget of the run."""
    place.write(
        "lab.py",
        f"""
from jupyter_client.manager import start_new_kernel

for _ in range(2):
    manager, client = start_new_kernel(kernel_name="python3")
    for cell in ({ASK!r}, "ask()"):
        answer = client.execute_interactive(cell, timeout=60, output_hook=lambda _: None)["content"]
        print(answer.get("ename", answer["status"]))
    client.stop_channels()
    manager.shutdown_kernel()
""",
    )
    ran = place.run("--budget", "0.0075", "lab.py")
    assert ran.out.split() == ["ok", "ok", "ok", "SentinelBudgetExceeded"], ran.err
    assert (ran.status, ran.requests) == (0, 1)
    assert ran.lines[-1] == "spent $0.0075 in 1 call; 1 refused"


JOBS = f"""
from pathlib import Path
from celery import Celery
from agent_fuse import session_from
{ASK}
here = str(Path(__file__).parent / "queue")
app = Celery("jobs", broker="filesystem://", backend=f"file://{{here}}")
folders = {{"data_folder_in": here, "data_folder_out": here, "control_folder": f"{{here}}/control"}}
app.conf.broker_transport_options = {{**folders, "polling_interval": 0.1}}

@app.task(bind=True)
def job(task):
    with session_from(task.request.headers):
        ask()
"""

SENDS = """
import agent_fuse
from jobs import job
with agent_fuse.session("report-17", budget="0.0075"):
    headers = agent_fuse.session_headers()
for sent in [job.apply_async(headers=headers) for _ in range(2)] + [job.apply_async()]:
    try:
        sent.get(timeout=60)
    except agent_fuse.SentinelBudgetExceeded as trip:
        print("refused")
    else:
        print("done")
"""


@pytest.mark.soak
def test_a_celery_worker(place):
    """The session that a task's header carries binds it in the worker's processes; the worker goes on with other tasks."""
    (place.folder / "queue/control").mkdir(parents=True)
    place.write("jobs.py", JOBS)
    place.write("sends.py", SENDS)
    before = place.provider.count
    words = ("celery", "-A", "jobs", "worker", "--concurrency", "1", "--loglevel", "ERROR")
    with started(place, "--quiet", "--budget", "5", "--", *words) as worker:
        sent = place.run("sends.py", command=(sys.executable,))
        assert sent.out.split() == ["done", "refused", "done"], sent.err
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert place.provider.count - before == 2
