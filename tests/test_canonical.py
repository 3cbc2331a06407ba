"""Canonical text: any value, one text, whatever the process, the order or the type."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import os
import pathlib
import subprocess
import sys
import threading
import types
import uuid
from collections import OrderedDict, UserDict, deque, namedtuple
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from agent_fuse.loops.canonical import MAX_DEPTH, MAX_ITEMS, canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


class Plain:
    pass


class Spoken:
    def __repr__(self):
        return f"Spoken(7) at {hex(id(self))}"


class Hostile:
    __slots__ = ()

    def __repr__(self):
        raise RuntimeError("do not look at me")

    def __iter__(self):
        raise RuntimeError("do not walk me")


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Model(BaseModel):
    x: int
    y: int


Named = namedtuple("Named", "x y")


class Scalar:
    """Looks like numpy: shape, dtype, tobytes."""

    def __init__(self, data, shape):
        self.data, self.shape, self.dtype = data, shape, "uint8"

    def tobytes(self):
        return self.data

    def item(self):
        return self.data[0]


@given(JSON)
def test_is_the_sorted_json_of_a_json_value(value):
    """What JSON can say reads the same as its JSON text, keys sorted, as long as no string is long."""
    text = canonical(value)
    json.loads(text)
    assert text == canonical(json.loads(json.dumps(value)))


@given(
    st.dictionaries(st.text() | st.integers() | st.none() | st.tuples(st.integers()), JSON, max_size=6), st.randoms()
)
def test_order_of_keys_does_not_matter(value, random):
    """Two dicts with the same items are one, whatever the order and the type of the keys."""
    items = list(value.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b", "a"}, '["a", "b"]'),
        (frozenset({3, 1}), "[1, 3]"),
        (b"\x00\x01", "\"b'\\\\x00\\\\x01'\""),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), '"2026-01-02T03:04:00+00:00"'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (dt.timedelta(minutes=5), '"0:05:00"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (pathlib.PurePosixPath("a/b"), '"a/b"'),
        (Colour.RED, '"red"'),
        (ValueError("no"), '{"ValueError": "no"}'),
        (range(3), '"range(0, 3)"'),
        (1 + 2j, '"(1+2j)"'),
        (OrderedDict(b=1, a=2), '{"a": 2, "b": 1}'),
        (UserDict(b=1, a=2), '{"a": 2, "b": 1}'),
        (deque([1, 2]), "[1, 2]"),
        ((1, "a"), '[1, "a"]'),
        (Point(1, 2), '{"x": 1, "y": 2}'),
        (Model(x=1, y=2), '{"x": 1, "y": 2}'),
        (Named(1, 2), '{"x": 1, "y": 2}'),
        (Scalar(b"\x07", ()), "7"),
        ({1: "a", None: "b"}, '{"1": "a", "null": "b"}'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_value(value, text):
    """Each kind of value that tools are handed has a text that says what it holds."""
    assert canonical(value) == text


def test_objects_count_by_type_or_word_never_by_address():
    """Two objects of one class are the same unless they say otherwise; addresses are taken out of what they say."""
    assert canonical(Plain()) == canonical(Plain())
    assert canonical(Spoken()) == canonical(Spoken()) == '"Spoken(7)"'
    assert canonical(mock.Mock()) == canonical(mock.Mock())
    assert canonical(Plain().__init__) == canonical(Plain().__init__)
    assert canonical(threading.Lock()) == canonical(threading.Lock())
    assert "0x" not in canonical([Plain(), Spoken(), lambda: 1, len, Plain, types, open])


def test_self_of_a_method_counts_by_type():
    """An agent that changes from call to call is the same `self`, though it is a dataclass whose fields differ."""
    assert canonical({"self": Point(1, 2), "q": 1}) == canonical({"self": Point(3, 4), "q": 1})
    assert canonical({"point": Point(1, 2)}) != canonical({"point": Point(3, 4)})


def test_generators_are_not_consumed():
    """Looking at a generator or an iterator takes nothing out of it."""
    numbers = (n for n in range(3))
    rest = iter([1, 2, 3])
    assert canonical([numbers, rest])
    assert list(numbers) == [0, 1, 2]
    assert list(rest) == [1, 2, 3]


def test_hostile_values_do_not_raise():
    """Circles, deep nests, objects that raise, colliding keys and lone surrogates all have a text."""
    circle: list = []
    circle.append(circle)
    node = types.SimpleNamespace()
    node.me = node
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (
        circle,
        node,
        deep,
        Hostile(),
        {1: "a", "1": "b"},
        "\ud800",
        10**6000,
        {Hostile(): 1},
        memoryview(b"x"),
    ):
        assert canonical({"value": value}) == canonical({"value": value})
    point = Point(1, 2)
    point.x = point
    assert canonical(point) == '{"x": "<circular>", "y": 2}'
    assert canonical({1: "a", "1": "b"}) == canonical({"1": "b", 1: "a"}) != canonical({1: "b", "1": "a"})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: [one],
        lambda one: frozenset([one]),
        lambda one: {"k": one},
        lambda one: {1: one, "1": 0},
        lambda one: Point(one, 0),
        lambda one: enum.Enum("Word", {"WORD": one}).WORD,
    ],
    ids=["list", "set", "mapping", "colliding keys", "dataclass", "enum"],
)
def test_what_lies_too_deep_counts_by_its_type(wrap):
    """To the last level that is looked into a difference counts; further in none does, and all around it still do."""

    def nest(leaf, levels):
        for _ in range(levels):
            leaf = wrap(leaf)
        return leaf

    assert canonical(nest("a", MAX_DEPTH)) != canonical(nest("b", MAX_DEPTH))
    assert canonical(nest("a", MAX_DEPTH + 1)) == canonical(nest("b", MAX_DEPTH + 1))
    assert canonical([nest("a", 60), 1]) != canonical([nest("a", 60), 2])


def test_a_tuple_of_another_name_counts_by_its_items():
    """A tuple's subclass that names no fields is a tuple: what stands in it tells one call from another."""
    kind = type("Pair", (tuple,), {})
    assert canonical(kind((1, 2))) == canonical((1, 2)) != canonical(kind((1, 3)))


def test_huge_values_are_short_and_still_differ():
    """A long string or array is cut, with a hash of the whole: a difference at its end still counts."""
    text, other = "x" * 100_000 + "a", "x" * 100_000 + "b"
    assert len(canonical(text)) < 200
    assert canonical(text) != canonical(other)
    assert canonical(b"x" * 1000 + b"a") != canonical(b"x" * 1000 + b"b")
    assert canonical(Scalar(b"abc", (3,))) != canonical(Scalar(b"abd", (3,)))
    assert len(canonical(list(range(MAX_ITEMS + 1)))) < 100


def test_ignored_keys_are_left_out_at_any_depth():
    """Timestamps and ids that the caller names do not make a call another one."""
    one = {"q": 1, "ts": 5, "options": [{"ts": 6, "k": 2}]}
    two = {"q": 1, "ts": 7, "options": [{"ts": 8, "k": 2}]}
    assert canonical(one, ignore={"ts"}) == canonical(two, ignore={"ts"}) == '{"options": [{"k": 2}], "q": 1}'
    assert canonical(one) != canonical(two)


def test_secrets_stay_hidden():
    """A pydantic secret is not spelled out."""
    assert "hunter2" not in canonical({"password": SecretStr("hunter2")})


def test_same_in_every_process():
    """Processes with other hash seeds agree on sets, functions and objects."""
    script = """
from agent_fuse.loops.canonical import canonical
class A: pass
print(canonical({"s": {"x", "y", "z", ("t", 1)}, "f": {frozenset("abc"), frozenset("xyz")}, "a": A(), "p": print}))
"""
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_what_a_model_takes_beyond_its_fields_counts():
    """A pydantic model that allows further fields is another one where they differ."""

    class Open(BaseModel, extra="allow"):
        query: str

    assert canonical(Open(query="x", page=1)) != canonical(Open(query="x", page=2))
    assert canonical(Open(query="x", page=1)) == canonical(Open(page=1, query="x"))
