"""Texts that are none: half characters from a shell or a client, and bodies that nobody can read."""

import subprocess

import pytest

from agent_fuse.ledgers import open_ledger
from dashboard.conftest import PROGRAM

JSON = {"Content-Type": "application/json"}


def test_a_shells_odd_byte_spoils_no_answer(tmp_path, served):
    """A reason in another encoding than UTF-8 is half a character in the ledger: it is shown, and the page goes on."""
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    stop = [PROGRAM, "stop", "run-1", "--db", str(path), "--why", b"caf\xe9"]
    subprocess.run(stop, capture_output=True, check=True)
    with served(path).let_in() as ann:
        answer = ann.get("/api/state")
        assert answer.status_code == 200, answer.text
        assert [one["why"] for one in answer.json()["in_force"]] == ["caf\udce9"]
        assert ann.post("/api/act/resume", json={"account": "run-1", "why": "over"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (rb'{"account": "run-1", "why": "\ud800"}', "why holds half a character"),
        (rb'{"account": "session=\ud800", "why": "x"}', "account holds half a character"),
        (b"[" * 60_000, "the body is no JSON object"),
        (b"\xff", "the body is no JSON object"),
    ],
)
def test_a_body_that_cannot_be_is_one_line(tmp_path, served, body, said):
    """It is refused with 400 and what is wrong, and nothing is written of it."""
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    subprocess.run([PROGRAM, "stop", "other", "--db", str(path)], capture_output=True, check=True)
    with served(path).let_in() as ann:
        answer = ann.post("/api/act/stop", content=body, headers=JSON)
        assert answer.status_code == 400, answer.text
        assert said in answer.json()["error"]
        assert [one["account"] for one in ann.get("/api/state").json()["in_force"]] == ["session=other"]
