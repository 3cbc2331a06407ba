"""Signatures and outcomes: what counts as the same call, and as the same result."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.loops.signatures import MAX_READABLE, digest_of, error_outcome, result_outcome, signature

ARGS = st.dictionaries(st.text(), st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()), max_size=5)


@given(ARGS)
def test_json_text_equals_what_it_says(args):
    """A span carries arguments as JSON, a decorator as a dict: they are the same call."""
    assert signature("t", json.dumps(args)) == signature("t", args)


@given(ARGS, ARGS)
def test_a_digest_alone_tells_the_same_calls_apart(args, other):
    """By hand an action is the same as one around it where both have one digest."""
    assert digest_of("t", json.dumps(args)) == digest_of("t", args) != digest_of("u", args)
    assert (digest_of("t", args) == digest_of("t", other)) is (signature("t", args) == signature("t", other))


def test_same_and_different_calls():
    """Tool and arguments make the call; order does not, and nor do the ways to say "no arguments"."""
    assert signature("search", {"q": 1, "n": 2}) == signature("search", {"n": 2, "q": 1})
    assert signature("search", {"q": 1}) != signature("search", {"q": 2})
    assert signature("search", {"q": 1}).digest != signature("find", {"q": 1}).digest
    assert len({signature("t", none).digest for none in (None, "", {}, "{}", [], (), "  ")}) == 1
    assert signature("t", 0).digest != signature("t").digest
    assert signature("t", "plain words").readable == 't|"plain words"'
    assert signature("t", "{broken").readable == 't|"{broken"'


def test_every_argument_that_crashed_the_predecessor():
    """Sets, bytes, datetimes, objects and methods make a signature."""
    args = {"s": {1}, "b": b"x", "d": dt.datetime(2026, 1, 1), "o": object(), "m": [].append}  # noqa: DTZ001
    assert signature("t", args) == signature("t", {**args, "o": object()})


def test_digest_is_keyed_and_tells_the_tool():
    """Another installation's key gives another digest; the first bytes of a digest are the tool's alone."""
    one, other = signature("t", {"q": 1}, key=b"a" * 32), signature("t", {"q": 1}, key=b"b" * 32)
    assert one.digest != other.digest
    assert len(one.digest) == 12
    assert one.tool_digest == signature("t", {"q": 2}, key=b"a" * 32).tool_digest != other.tool_digest
    assert b"secret" not in signature("t", {"q": "secret"}).digest
    with pytest.raises(ValueError, match="64"):
        signature("t", key=b"x" * 65)


def test_readable_is_bounded():
    """The readable form shows tool and arguments, in at most 500 characters."""
    assert signature("t", {"b": 1, "a": [2]}).readable == 't|{"a": [2], "b": 1}'
    assert len(signature("t", {str(n): "x" * 200 for n in range(50)}).readable) == MAX_READABLE


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("12 passed in 0.31s", "12 passed in 0.4s"),
        ("ok  \tpkg/a\t0.312s", "ok  \tpkg/a\t0.4s"),
        ("started 2026-03-02T10:00:04Z, elapsed 67 s", "started 2026-03-02T10:09:04.5+01:00, elapsed 127 s"),
        ("12:00:01 waiting", "12:00:09 waiting"),
        ("<Job at 0x7f01>", "<Job at 0x7f99>"),
        ({"state": "running", "ts": 1764000000}, {"state": "running", "ts": 1764000009}),
        ('{"state": "running", "elapsed": 1.5}', {"elapsed": 9, "state": "running"}),
        ("request 6f9619ff-8b86-d011-b42d-00c04fc964ff", "request 00000000-8b86-d011-b42d-00c04fc964ff"),
        (ValueError("no 'a'"), ValueError("no 'b'")),
        ("Error: file 'a' not found", "Error: file 'b' not found"),
    ],
)
def test_same_result(one, two):
    """Clock times, durations and random ids do not make a result a new one."""
    assert result_outcome(one) == result_outcome(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("3 failed, 9 passed in 0.31s", "2 failed, 10 passed in 0.31s"),
        ("running, 12%", "running, 13%"),
        ("1500000000 bytes", "1600000000 bytes"),
        ("transcribed 45 s of 300 s", "transcribed 60 s of 300 s"),
        ("position=00:01:23", "position=00:02:23"),
        ({"rows": 1}, {"rows": 2}),
        ("", "done"),
        ("x" * 50_000 + "a", "x" * 50_000 + "b"),
        ("Error: 3 tests failed", "Error: 2 tests failed"),
        ("Error: no", "no"),
    ],
)
def test_another_result(one, two):
    """Whatever can be progress makes a result a new one."""
    assert result_outcome(one) != result_outcome(two)


@pytest.mark.parametrize(
    "text",
    ["Error: no such file", "ValueError: bad", "Traceback (most recent call last):\n  x\nKeyError: 'a'", "ERROR: gone"],
)
def test_text_that_is_an_error(text):
    """A tool that answers with the text of an error has failed."""
    assert result_outcome(text).failed


@pytest.mark.parametrize("text", ["Error handling is in errors.py", "no error", "3 errors: fixed", {"error": None}, []])
def test_text_that_only_speaks_of_errors(text):
    """A result that speaks of errors has not failed."""
    assert not result_outcome(text).failed


def test_same_error_whatever_it_quotes():
    """One class and one message are one error, whatever names, paths, lines and long numbers it quotes; no other class is."""
    same = error_outcome("ModuleNotFoundError", "No module named 'yaml'")
    assert same.failed
    assert same == error_outcome("ModuleNotFoundError", "No module named 'toml'")
    assert error_outcome("OSError", "can't open /etc/a.yml") == error_outcome("OSError", "can't open /srv/x/b.json")
    assert error_outcome("E", "pid 48121 died") == error_outcome("E", "pid 52 died".replace("52", "99210"))
    assert error_outcome("ImportError", "No module named 'yaml'") != same
    assert error_outcome("SyntaxError", "line 12") == error_outcome("SyntaxError", "line 14")
    assert error_outcome("E", "3 tests failed") != error_outcome("E", "2 tests failed")


def test_long_messages_are_handled_in_linear_time():
    """A message that is one endless word costs no more for each character than a short one."""
    for text in ("x" * 200_000, "'" * 200_000, "a-" * 100_000, "1" * 200_000, "/" * 200_000, "a." * 100_000):
        assert error_outcome("E", text).failed
        assert not result_outcome(text).failed
