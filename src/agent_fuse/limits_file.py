"""A file of limits, so that operators need no code: TOML, one `[[limit]]` each; errors name its line."""

import re
from collections.abc import Mapping
from itertools import zip_longest
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.errors import ConfigurationError
from agent_fuse.limits import Limit

_HEADER = re.compile(r"\s*\[\[\s*limit\s*\]\]")
_EXAMPLE = '[[limit]] usd = 100, per = "user.id", window = "month"'


def read(path: str | PathLike[str], option: str) -> tuple[Limit, ...]:
    """The limits of a file; `option` is what named it.

    Raises:
        ConfigurationError: it cannot be read, holds anything else, or a limit in it cannot be.
    """
    name = fspath(path)
    try:
        text = Path(name).expanduser().read_text("utf-8-sig")
        data = foreign_text.read_toml(text)
    except FileNotFoundError:
        raise ConfigurationError(f"{option} is {name!r}, and there is no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{option} is {name!r}, which cannot be read: {error.strerror}") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigurationError(f"{name}: {' '.join(str(error).split())}") from None
    for other in data:
        if other != "limit":
            raise ConfigurationError(f"{name}, line {_line(text, other)}: {other!r} is no limit; write {_EXAMPLE}")
    given: object = data.get("limit", [])
    found = cast("list[object]", given) if isinstance(given, list) else []
    if not found:
        raise ConfigurationError(f"{name} holds no limit; write {_EXAMPLE}")
    starts = [number for number, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    placed = zip_longest(found, starts[: len(found)], fillvalue=1)
    return tuple(_limit(name, text, one, start) for one, start in placed)


def _limit(name: str, text: str, given: object, start: int) -> Limit:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{name}: {given!r} is no limit; write {_EXAMPLE}")
    words: dict[str, Any] = dict(cast("Mapping[str, Any]", given))
    if isinstance(words.get("per"), list):
        words["per"] = tuple(words["per"])
    try:
        return Limit(**words)
    except ConfigurationError as bad:
        said = str(bad)
        about = next((word for word in words if re.search(rf"(?:^|\W){re.escape(word)}(?:=| is )", said)), "")
        raise ConfigurationError(f"{name}, line {_line(text, about, start) if about else start}: {said}") from None


def _line(text: str, word: str, start: int = 1) -> int:
    """Where a key is given, from a line on."""
    for number, line in enumerate(text.splitlines(), 1):
        if number >= start and re.match(rf"\s*\[*\s*[\"']?{re.escape(word)}[\"']?\s*(?:=|\])", line):
            return number
    return start
