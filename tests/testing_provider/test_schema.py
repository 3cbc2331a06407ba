"""Values made to fit a JSON schema."""

import datetime as dt
import enum
import uuid
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, Len, Lt, MinLen, MultipleOf
from pydantic import BaseModel, TypeAdapter

from agent_fuse.testing.schema import sample


class Tree(BaseModel):
    """Recursive, and required to be so."""

    name: str
    left: "Tree | None"
    children: "list[Tree]"


class Colour(enum.Enum):
    """An enum, which becomes a $ref."""

    RED = "red"


class Cat(BaseModel):
    """One of a union."""

    kind: Literal["cat"]
    lives: Annotated[int, Ge(1), Le(9)]


@pytest.mark.parametrize(
    "kind",
    [
        str,
        bool,
        None,
        int | None,
        Tree,
        Colour,
        Cat | Tree,
        list[Cat],
        dict[str, int],
        dt.datetime,
        dt.date,
        uuid.UUID,
        Annotated[str, Len(30, 40)],
        Annotated[str, Len(1, 2)],
        Annotated[list[Tree], MinLen(2)],
        Annotated[int, Gt(6), MultipleOf(5)],
        Annotated[int, Gt(5), MultipleOf(5)],
        Annotated[int, Lt(-10)],
        Annotated[int, Le(0)],
        Annotated[float, Gt(0.3), Lt(0.4)],
        Annotated[float, Ge(0.3), Le(0.4)],
        Annotated[float, Lt(-2.5)],
        Annotated[float, MultipleOf(0.25), Ge(1.1)],
    ],
)
def test_samples_validate(kind):
    """Pydantic accepts what was made from its own schema."""
    adapter = TypeAdapter(kind)
    adapter.validate_python(sample(adapter.json_schema()), strict=False)


def test_combined_schemas():
    """allOf, type lists, const and an absent type."""
    a = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}
    b = {"properties": {"b": {"type": ["null", "integer"]}}, "required": ["b"]}
    assert sample({"allOf": [a, b]}) == {"a": 1, "b": 1}
    assert sample({"allOf": [a]}) == {"a": 1}
    assert sample({}) == "text"
    assert sample({"type": "null"}) is None


def test_references_that_lead_nowhere():
    """A broken $ref is named."""
    with pytest.raises(ValueError, match="#/x/y"):
        sample({"$ref": "#/x/y"})
