"""A file of prices: TOML or JSON, model names and patterns to prices or aliases; an error is one line that names it."""

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

from agent_fuse import foreign_text, option_files
from agent_fuse.errors import ConfigurationError
from agent_fuse.mistakes import near
from agent_fuse.quoting.overrides import Own
from agent_fuse.quoting.rates import Price

_FIELDS = tuple(one.name for one in fields(Price))
_SHOWN = 60


def read(path: str | PathLike[str], option: str) -> dict[str, Own]:
    """The entries of a file; `option` is what named it.

    Raises:
        ConfigurationError: it cannot be read, or an entry is no price and no alias.
    """
    text = fspath(path)
    found = option_files.content(path, option)
    try:
        data = _data(Path(text), found)
    except ValueError as error:
        raise ConfigurationError(f"{text}: {' '.join(str(error).split())}") from None
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{text}: it must hold models by name, {{'gpt-4o': {{'input': 2.5, 'output': 10}}}}")
    return {
        str(name): _entry(f"{text}: {name!r}", str(name), one)
        for name, one in cast("Mapping[object, object]", data).items()
    }


def _data(file: Path, content: bytes) -> object:
    match file.suffix.lower():
        case ".toml":
            return foreign_text.read_toml(option_files.decoded(content))
        case ".json":
            return foreign_text.read_json(content, exact=_once)
        case other:
            raise ValueError(f"a file of prices ends in .toml or .json, and this one in {other!r}")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice; keep one of them")
    return found


def _entry(where: str, name: str, value: object) -> Own:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{where} is {_short(value)}; it must be a table, input = 2.5 and output = 10, or the name of a model"
        )
    given = cast("Mapping[str, Any]", value)
    for field, part in given.items():
        if isinstance(part, Mapping):
            raise ConfigurationError(f'{where} holds a table {field!r}; a name with a dot is quoted: "{name}.{field}"')
        if field not in _FIELDS:
            meant = near(field, _FIELDS)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(_FIELDS)}"
            raise ConfigurationError(f"{where} has {field!r}, which is no price; {hint}")
    missing = [field for field in ("input", "output") if field not in given]
    if missing:
        raise ConfigurationError(f"{where} lacks {' and '.join(missing)}, USD per million tokens")
    try:
        return Price(**given)
    except ConfigurationError as bad:
        raise ConfigurationError(f"{where}: {bad}") from None


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
