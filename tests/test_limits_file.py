"""Limits from a file: read when a guard starts, and every mistake is one line that names the file's line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_fuse import Limit
from agent_fuse.errors import ConfigurationError
from agent_fuse.settings import settings
from agent_fuse.testing import LoopbackProvider
from test_docs import blocks

DOCS = Path(__file__).parents[1] / "docs" / "limits.md"


def test_the_file_of_the_docs(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(blocks(DOCS, "toml"))
    wanted = (
        Limit(usd=100, per="user.id", window="month", timezone="Europe/Berlin"),
        Limit(calls=60, per=("user.id", "model"), window="1m"),
    )
    assert settings({}, limits=path).limits == wanted
    path.write_text(blocks(DOCS, "toml"), "utf-8-sig")  # as Windows' editors save it
    assert settings({}, limits=path).limits == wanted
    found = settings({"AGENTFUSE_LIMITS": str(path)})
    assert (found.limits, found.budget) == (wanted, None)
    assert settings({"AGENTFUSE_LIMITS": str(path), "AGENTFUSE_BUDGET": "2"}).budget == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no limit; write [[limit]]"),
        ("limit = 5", "holds no limit; write [[limit]]"),
        ("limit = [5]", "5 is no limit"),
        ("[[limit]]\nusd = 1\n\n[[limits]]\nusd = 2\n", "line 4: 'limits' is no limit"),
        ("usd = 5\n", "line 1: 'usd' is no limit"),
        ("[[limit]]\nusd = 1\n[[limit]]\n", "line 3: Limit takes exactly one of usd, tokens"),
        ("[[limit]]\nusd = 1\nwindow = 'soon'\n", "line 3: Limit window='soon'; it must be a length"),
        ("[[limit]]\nusd = 1\n[[limit]]\nusd = 1\nwindw = 'day'\n", "line 5: windw is no argument of Limit; did you mean window?"),
        ("[[limit]]\nusd = -1\n", "line 2: Limit usd is -1"),
        ("[[limit]]\nusd = 1\nper = ['all', 'model']\n", "line 3: Limit per=('all', 'model')"),
        ("[[limit]]\nusd = \n", "at line 2"),
        ("[[limit]]\nusd = 1\n# \xff", "line 3 is no text in UTF-8"),
        ("[limit]\nusd = 1\n", "line 1: [limit] is no list of limits; write [[limit]]"),
        ("[[limit]]\nusd = 1\n[[limit]]\nusd = 2\n", "line 3: $2.00 per session, and line 1 limits it too; keep one"),
        ("[[limit]]\nusd = 1\nuser.id = 'ann'\n", "line 3: user is no argument of Limit"),
        ("[[limit]]\nusd = 1\n[limit.more]\n", "line 3: more is no argument of Limit"),
        ("[[limit]]\nusd = 1\non_limit = ['wait']\n", "line 3: Limit on_limit=['wait']; it must be 'refuse' or 'wait'"),
        ("[[limit]]\nusd = nan\n", "line 2: Limit usd is nan; it must be a finite amount"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_line(text, words, tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigurationError) as caught:
        settings({"AGENTFUSE_LIMITS": str(path)})
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_with_a_point(tmp_path):
    """They are what they would be in code: seconds with a fraction, whole counts, and money as it is printed."""
    path = tmp_path / "limits.toml"
    path.write_text(
        "[[limit]]\nusd = 0.1\non_limit = 'wait'\nmax_wait = 2.5\n[[limit]]\ncalls = 3.0\npause_for = 0.5\n"
    )
    money, calls = settings({}, limits=path).limits
    assert (money.cap, money.max_wait, calls.cap, calls.pause_for) == (100_000_000, 2.5, 3, 0.5)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"AGENTFUSE_LIMITS is '.*none.toml', and there is no such file"):
        settings({"AGENTFUSE_LIMITS": str(tmp_path / "none.toml")})
    with pytest.raises(ConfigurationError, match=r"limits is '.*', which cannot be read: "):
        settings({}, limits=tmp_path)
    for path in ("~nobody-of-this-name/limits.toml", "a\0b"):
        for option in ("limits", "prices"):
            with pytest.raises(ConfigurationError, match=rf"{option} is '.*', which is no path: "):
                settings({}, **{option: path})


AGENT = """
import openai
client = openai.OpenAI(max_retries=0)
while True:
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "go on"}])
"""


@pytest.mark.parametrize("start", [["agent-fuse", "run"], ["opentelemetry-instrument"]], ids=["run", "zero-code"])
def test_a_program_is_guarded_by_the_file_alone(start, tmp_path):
    limits, agent = tmp_path / "limits.toml", tmp_path / "agent.py"
    limits.write_text("[[limit]]\ncalls = 3\nper = 'all'\nwindow = 'day'\n")
    agent.write_text(AGENT)
    program = Path(sys.executable).with_name(start[0])
    with LoopbackProvider() as provider:
        done = subprocess.run(
            [str(program), *start[1:], *([sys.executable] if len(start) == 1 else []), str(agent)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ
            | {
                "AGENTFUSE_LIMITS": str(limits),
                "AGENTFUSE_DB_PATH": str(tmp_path / "ledger.db"),
                "OPENAI_API_KEY": "none",
                "OPENAI_BASE_URL": provider.openai_base_url,
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
            },
        )
        assert len(provider.served) == 3, done.stderr
    assert "of the limit of 3 calls in all a day" in done.stderr
