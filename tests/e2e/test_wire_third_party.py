"""Another package's protocol is judged and booked on the wire: a table and an entry point are all that it takes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOY = """
from agent_fuse.calls import Usage
from agent_fuse.wire_formats import WireFormat


def words(body):
    return {"messages": [{"role": "user", "content": body["question"]}], "max_tokens": body["most"]}


def whole(body, reading):
    reading.usage = Usage(input_tokens=body["spent"]["in"], output_tokens=body["spent"]["out"])
    reading.complete = reading.final = True
    return True


TOY = WireFormat(
    name="toy", source="nowhere", ends={"/toy/ask": "chat"}, asks=("question",), words=words, whole=whole
)
"""

PROGRAM = """
import json, sys
import httpx
import agent_fuse
url, budget = sys.argv[1:]
ledger = agent_fuse.init(budget=budget, db_path="memory://").fuse.ledger
try:
    httpx.post(url + "/toy/ask", json={"model": "gpt-4o", "question": "Hi", "most": 50})
    raised = ""
except agent_fuse.SentinelBudgetExceeded as trip:
    raised = trip.reason
print(json.dumps({"raised": raised, "booked": [[one.status, one.model, one.cost] for one in ledger.journal()]}))
"""


class Toy(BaseHTTPRequestHandler):
    """A provider of a protocol of its own."""

    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"answer": "Hello.", "spent": {"in": 1000, "out": 500}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Be silent."""


@pytest.fixture
def url() -> Iterator[str]:
    Toy.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Toy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(site: Path, url: str, budget: str) -> tuple[dict[str, object], str]:
    """The program, in a process that has the package on its path; what it says, and what is warned of."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, budget],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found, done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which the package is installed; two of its entries are wrong."""
    info = tmp_path / "toy-1.dist-info"
    info.mkdir()
    (tmp_path / "toy_wire.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[agent_fuse.wire_formats]\ntoy = toy_wire:TOY\nbroken = toy_wire:GONE\nwrong = toy_wire:words\n"
    )
    return tmp_path


def test_another_packages_protocol_is_refused_and_booked(site: Path, url: str) -> None:
    """Nothing is sent with the budget used up; with room it is booked by what the answer tells; wrong entries are told."""
    found, said = run(site, url, "0.000001")
    assert (found, Toy.asked) == ({"raised": "budget", "booked": [["refused", "gpt-4o", found["booked"][0][2]]]}, 0)  # type: ignore[index]
    assert "the wire format broken of toy_wire:GONE could not be loaded" in said
    assert "it must be a WireFormat" in said
    found, _ = run(site, url, "5")
    assert (found, Toy.asked) == ({"raised": "", "booked": [["settled", "gpt-4o", 7_500_000]]}, 1)


def test_without_the_package_it_is_nobodys(tmp_path: Path, url: str) -> None:
    """So that it is the entry point which does it."""
    found, _ = run(tmp_path, url, "0.000001")
    assert (found, Toy.asked) == ({"raised": "", "booked": []}, 1)
