"""Golden spans are believed only where they show something: the recorder stops at its own mistakes, each file is whole."""

import builtins
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider, Reply
from spans.check import MISTAKES, problems
from spans.recorder import FOLDER, Recorder, Session

RECORD = Path(__file__).parent / "spans" / "record.py"
FILES = sorted(FOLDER.glob("*.json"))

START = ["start", 0, {"scope": "toy", "name": "ask", "attributes": {}}]
SERVED = {"model": "gpt-4o", "input_tokens": 10, "output_tokens": 1}
GOOD = {"name": "ask", "served": [SERVED], "steps": [START, ["request"], ["set", 0, {"toy": 1}], ["end", 0, {}]]}


def recording(*cases: dict[str, Any]) -> dict[str, Any]:
    return {"recorded": {"toy": "1"}, "cases": list(cases)}


@pytest.fixture
def session() -> Iterator[Session]:
    recorder = Recorder()
    with LoopbackProvider(watch=recorder.request, usage=Usage(input_tokens=10, output_tokens=1)) as provider:
        yield Session("toy", recorder, provider, ("openai",))


def ask(to: Session) -> None:
    import openai

    with openai.OpenAI(base_url=to.provider.openai_base_url, api_key="test", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recording_can_be_believed(path: Path) -> None:
    """No recording was made by a recipe that failed, and none lacks what makes it worth replaying."""
    assert problems(json.loads(path.read_text())) == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (GOOD | {"served": []}, "nothing was served in any case"),
        (GOOD | {"raised": "NameError"}, "ask: NameError is a mistake of the recipe"),
        (GOOD | {"steps": [], "served": []}, "ask: it shows nothing: no span, no request"),
        (GOOD | {"steps": [START, ["end", 0, {}]]}, "ask: 1 calls served of 0 requests"),
        (GOOD | {"served": [SERVED | {"input_tokens": 0}]}, "which no price can be found for"),
        (GOOD | {"steps": [START, ["request"], START]}, "ask: span 0 starts twice"),
        (GOOD | {"steps": [["request"], ["end", 0, {}]]}, "ask: end of span 0, which has not started"),
        (GOOD | {"steps": [START, ["request"], ["end", 0, {}], ["end", 0, {}]]}, "ask: span 0 ends twice"),
        (GOOD | {"steps": [START, ["request"], ["ended", 0, {}]]}, "ask: 'ended' is no step"),
        (
            GOOD | {"steps": [["start", 0, START[2] | {"parent": 7}], ["request"]]},
            "ask: span 0 lies in span 7, which has not started",
        ),
        (GOOD | {"steps": [["start", 0, {"name": "x"}], ["request"]]}, "ask: span 0 has no scope, or no attributes"),
    ],
)
def test_a_recording_that_shows_nothing_is_found_out(case: dict[str, Any], words: str) -> None:
    """Each way in which a recording can be empty or broken is named."""
    assert problems(recording(GOOD)) == []
    assert any(words in one for one in problems(recording(case)))


def test_a_recording_says_of_what_and_names_no_case_twice() -> None:
    """The packages that were recorded are told, and each case has a name of its own."""
    assert problems({"cases": [GOOD]}) == ["it does not say which packages were recorded"]
    assert problems(recording(GOOD, GOOD)) == ["ask is there 2 times"]


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_in_a_recipe_ends_the_recording(session: Session, mistake: str) -> None:
    """What a recipe raises unasked is raised, and its case is not kept: it never came to its call."""
    kind = getattr(builtins, mistake)

    def run() -> None:
        raise kind("recipe")

    with pytest.raises(kind, match="recipe"):
        session.case("ask", run)
    assert session.cases == []


def test_another_failure_than_the_recipe_names_ends_the_recording(session: Session) -> None:
    """A call that was to fail in one way and failed in another, or not at all, is no case."""
    with pytest.raises(Exception, match="429"):
        session.case("ask", lambda: ask(session), Reply(status=429), fails="BadRequestError")
    with pytest.raises(AssertionError, match="ask was to raise RateLimitError, and did not"):
        session.case("ask", lambda: ask(session), fails="RateLimitError")
    assert session.cases == []
    session.case("ask", lambda: ask(session), Reply(status=429), fails="RateLimitError")
    assert [(one["served"], one["raised"]) for one in session.cases] == [([], "RateLimitError")]


def test_what_cannot_be_believed_is_not_written(session: Session, tmp_path: Path) -> None:
    """A file is written whole and served, or not at all."""
    session.case("failed", lambda: ask(session), Reply(status=429), fails="RateLimitError")
    with pytest.raises(ValueError, match="toy: nothing was served in any case"):
        session.write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    session.case("served", lambda: ask(session))
    session.write(tmp_path)
    (path,) = tmp_path.iterdir()
    assert [one["name"] for one in json.loads(path.read_text())["cases"]] == ["failed", "served"]


def shape(path: Path) -> list[Any]:
    """What a recording tells, less what differs from run to run."""
    told = []
    for case in json.loads(path.read_text())["cases"]:
        steps = []
        for word, *rest in case["steps"]:
            facts = rest[1] if rest and isinstance(rest[1], dict) else {}
            steps.append((word, *rest[:1], sorted(facts.get("attributes", facts))))
        told.append((case["name"], case["served"], case.get("raised", ""), steps))
    return told


@pytest.mark.parametrize("name", ["http@httpx-stable", "traceloop-openai"])
def test_a_recording_made_now_is_the_one_kept(name: str, tmp_path: Path) -> None:
    """The recorder works, and the instrumentations installed here still say what they are recorded to say."""
    environment = {**os.environ, "AGENT_FUSE_RECORD_TO": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(RECORD), name], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert shape(tmp_path / f"{name}.json") == shape(FOLDER / f"{name}.json")
