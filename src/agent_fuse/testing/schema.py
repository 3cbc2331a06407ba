"""A value that fits a JSON schema: the smallest plausible one, always the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

Schema = Mapping[str, Any]

_DEEPEST = 12
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Schema) -> Any:
    """A JSON value that fits `schema`.

    Knows what structured outputs allow: $ref, enum, const, anyOf, oneOf, allOf, required and optional properties,
    length, count and range limits, common formats. Does not know `pattern` and `not`.

    Raises:
        ValueError: the schema can only be met by endless nesting, or a $ref leads nowhere.
    """
    return _value(schema, schema, 0)


def _value(schema: Schema, root: Schema, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("schema nests without end: give the recursive property a null or an empty-array way out")
    for word, rule in _RULES:
        if word in schema:
            return rule(schema[word], root, depth)
    kind: Any = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((one for one in cast(list[str], kind) if one != "null"), "null")
    match kind:
        case "object":
            # Optional properties are left out, so that recursive ones end.
            named: Mapping[str, Schema] = schema.get("properties", {})
            return {name: _value(named[name], root, depth + 1) for name in schema.get("required", ()) if name in named}
        case "array":
            return [_value(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 0))]
        case "string":
            text = _FORMATS.get(schema.get("format", ""), "text")
            return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case _:
            return True if kind == "boolean" else None


def _resolve(ref: str, root: Schema, depth: int) -> Any:
    found: Any = root
    try:
        for part in ref.removeprefix("#").strip("/").split("/") if ref != "#" else ():
            found = found[part.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise ValueError(f"schema has no {ref}") from None
    return _value(found, root, depth + 1)


def _first_that_ends(choices: Sequence[Schema], root: Schema, depth: int) -> Any:
    # Something rather than null near the top; null where the nesting must end.
    ordered = sorted(choices, key=lambda one: (one.get("type") == "null") == (depth < _DEEPEST // 2))
    for choice in ordered[:-1]:
        try:
            return _value(choice, root, depth + 1)
        except ValueError:
            continue
    return _value(ordered[-1], root, depth + 1)


def _all_of(parts: Sequence[Schema], root: Schema, depth: int) -> Any:
    values = [_value(part, root, depth + 1) for part in parts]
    return {key: value for each in values for key, value in each.items()} if len(values) > 1 else values[0]


_RULES: tuple[tuple[str, Callable[[Any, Schema, int], Any]], ...] = (
    ("$ref", _resolve),
    ("const", lambda value, _root, _depth: value),
    ("enum", lambda values, _root, _depth: values[0]),
    ("anyOf", _first_that_ends),
    ("oneOf", _first_that_ends),
    ("allOf", _all_of),
)


def _number(schema: Schema, *, whole: bool) -> float:
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf", 1 if whole else None)
    low = max((one for one in (least, above) if one is not None), default=None)
    high = min((one for one in (most, below) if one is not None), default=None)
    if step is not None:
        if low is None:
            low = step if high is None else min(step, high - step)
        number = -(-low // step) * step
        number = number + step if number == above else number
    elif low is not None:
        number = low if low != above else (low + high) / 2 if high is not None else low + 1
    else:
        number = 1 if high is None else min(1, high - 1)
    return int(number) if whole else number
