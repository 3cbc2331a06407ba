"""Any value to one text, the same in every process and for every order: to compare by, never to read back."""

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import blake2b
from typing import Any, cast
from uuid import UUID

MAX_TEXT = 256
"""Characters of a string that are kept as they are; of a longer one the head and a hash of the whole stand for it."""

MAX_DEPTH = 24
"""Nesting that is looked into; what lies deeper counts by its type only."""

MAX_ITEMS = 20_000
"""Items of all containers that are looked into; past that a container counts by its type and length only."""

_HEAD = 80
_ADDRESS = re.compile(r"(?: at)? 0x[0-9a-fA-F]+| id='\d+'")
_MAX_BITS = 1024


def canonical(value: object, *, ignore: Collection[str] = (), clean: Callable[[str], str] | None = None) -> str:
    """JSON-like text of `value`: equal for equal values, whatever the order of keys, the process or the hash seed.

    Mappings with the fields of a dataclass, of a pydantic model or of a named tuple equal those; sets are sorted;
    lists and tuples are the same. Generators are not consumed. An object that says nothing about itself counts by
    its type, never its address, and so does a `self` or `cls` among the outermost keys. Never raises an Exception.

    Args:
        value: anything.
        ignore: keys left out, at any depth.
        clean: applied to every string before it is compared, for instance to take clock times out.
    """
    try:
        return json.dumps(_Walk(ignore, clean).plain(value, 0), ensure_ascii=False)
    except Exception:  # noqa: BLE001 - a value that cannot be read must not break the host
        return f'"{_name(type(value))}"'


def shorten(text: str) -> str:
    """A string as it stands, or its head with length and hash of the whole."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:_HEAD]}…[{len(text)} characters #{_hash(text.encode('utf-8', 'surrogatepass'))}]"


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def _name(kind: type[Any]) -> str:
    return f"<{kind.__module__}.{kind.__qualname__}>"


class _Walk:
    """One pass over one value."""

    __slots__ = ("_clean", "_ignore", "_left", "_path")

    def __init__(self, ignore: Collection[str], clean: Callable[[str], str] | None) -> None:
        self._ignore = ignore
        self._clean = clean
        self._left = MAX_ITEMS
        self._path: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        """The value in terms of JSON."""
        kind = cast("type[Any]", type(value))
        if kind is str:
            return self._text(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if value.bit_length() <= _MAX_BITS else self._text(hex(value))
        if kind is dict or kind is list or kind is tuple:
            return self._container(value, depth)
        try:
            return self._other(value, kind, depth)
        except Exception:  # noqa: BLE001 - someone else's object may raise anything when looked at
            return _name(kind)

    def _text(self, text: str) -> str:
        return shorten(self._clean(text) if self._clean else text)

    def _container(self, value: Any, depth: int) -> Any:
        here = id(value)
        if here in self._path:
            return "<circular>"
        self._left -= len(value)
        if depth >= MAX_DEPTH or self._left < 0:
            return f"{_name(cast('type[Any]', type(value)))}[{len(value)}]"
        self._path.add(here)
        try:
            if isinstance(value, Mapping):
                return self._mapping(cast("Mapping[Any, Any]", value), depth)
            if isinstance(value, Set):
                items = cast("Set[object]", value)
                return sorted(
                    (_Walk(self._ignore, self._clean).plain(item, depth + 1) for item in items), key=json.dumps
                )
            return [self.plain(item, depth + 1) for item in value]
        finally:
            self._path.discard(here)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        named = {key if type(key) is str else self._key(key): item for key, item in value.items()}
        if len(named) < len(value):  # {1: ..., "1": ...}: keys that JSON would take for one
            pairs = ([type(key).__name__, self._key(key), self.plain(item, depth + 1)] for key, item in value.items())
            return sorted(pairs, key=json.dumps)
        plain: dict[str, Any] = {}
        for key in sorted(named):
            if key in self._ignore:
                continue
            item = named[key]
            if depth == 0 and key in {"self", "cls"} and not isinstance(item, (str, int, float, dict, list)):
                plain[key] = _name(cast("type[Any]", item) if isinstance(item, type) else cast("type[Any]", type(item)))
            else:
                plain[key if len(key) <= MAX_TEXT else shorten(key)] = self.plain(item, depth + 1)
        return plain

    def _key(self, key: object) -> str:
        if isinstance(key, str):
            return str.__str__(key)
        return canonical(key, ignore=self._ignore, clean=self._clean)

    def _other(self, value: Any, kind: type[Any], depth: int) -> Any:
        """Whatever JSON does not know."""
        for kinds, simpler in _SIMPLER:
            if isinstance(value, kinds):
                return self.plain(simpler(value), depth + 1) if depth < MAX_DEPTH else _name(kind)
        if (named := _fields(value, kind)) is not None:
            return self._guarded(value, named, depth)
        if isinstance(value, (Mapping, Sequence, Set)):
            return self._container(value, depth)
        if hasattr(kind, "tobytes") and hasattr(value, "shape"):  # numpy and its like, with no need to import it
            if value.shape == ():
                return self.plain(value.item(), depth + 1)
            return f"{_name(kind)}{tuple(value.shape)} {value.dtype} #{_hash(value.tobytes())}"
        return self._by_its_word(value, kind)

    def _guarded(self, value: object, named: dict[str, Any], depth: int) -> Any:
        if id(value) in self._path:
            return "<circular>"
        self._path.add(id(value))
        try:
            return self._container(named, depth)
        finally:
            self._path.discard(id(value))

    def _by_its_word(self, value: Any, kind: type[Any]) -> str:
        """What an object says of itself, less its address; its type where it says nothing or would have to work."""
        if isinstance(value, type) or callable(value):
            owner = cast("Any", value if hasattr(value, "__qualname__") else kind)
            return f"<{getattr(owner, '__module__', None)}.{owner.__qualname__}>"
        if any(hasattr(kind, name) for name in ("__iter__", "__next__", "__aiter__", "__await__")):
            return f"{_name(kind)}{getattr(value, 'shape', '')}"
        if getattr(kind, "__repr__", None) is object.__repr__:
            return _name(kind)
        return self._text(_ADDRESS.sub("", repr(value)))


def _data(value: bytes | bytearray | memoryview) -> str:
    data = bytes(value)
    return repr(data) if len(data) <= _HEAD else f"<{len(data)} bytes #{_hash(data)}>"


_SIMPLER: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (str, str.__str__),
    (int, int),
    (float, float),
    ((datetime, date, time), lambda value: value.isoformat()),
    ((UUID, Decimal, Fraction, timedelta, complex, range, re.Pattern), str),
    ((bytes, bytearray, memoryview), _data),
    (os.PathLike, os.fsdecode),
    (BaseException, lambda value: {type(value).__qualname__: str(value)}),
)


def _fields(value: Any, kind: type[Any]) -> dict[str, Any] | None:
    """The named fields of a dataclass, an attrs class, a pydantic model or a named tuple; None for anything else."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name, None) for field in cast("Any", kind).__attrs_attrs__}
    if hasattr(kind, "model_fields"):
        return {**vars(value), **(getattr(value, "__pydantic_extra__", None) or {})}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(cast("Any", kind)._fields, cast("tuple[Any, ...]", value), strict=True))
    return None
