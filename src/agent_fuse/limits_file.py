"""A file of limits, so that operators need no code: TOML, one `[[limit]]` each; errors name its line."""

import re
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from os import PathLike, fspath
from typing import Any, cast

from agent_fuse import foreign_text, option_files
from agent_fuse.errors import ConfigurationError
from agent_fuse.limits import Limit

_HEADER = re.compile(r"""\s*\[\[\s*["']?limit["']?\s*\]\]""")
_EXAMPLE = '[[limit]] usd = 100, per = "user.id", window = "month"'


def read(path: str | PathLike[str], option: str) -> tuple[Limit, ...]:
    """The limits of a file; `option` is what named it.

    Raises:
        ConfigurationError: it cannot be read, holds anything else, or a limit in it cannot be.
    """
    name, content = fspath(path), option_files.content(path, option)
    try:
        text = option_files.decoded(content)
        data = foreign_text.read_toml(text, fraction=float)  # money is read as it is printed: 0.1 is 0.1
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigurationError(f"{name}: {' '.join(str(error).split())}") from None
    for other in data:
        if other != "limit":
            raise ConfigurationError(f"{name}, line {_line(text, other)}: {other!r} is no limit; write {_EXAMPLE}")
    given: object = data.get("limit", [])
    if isinstance(given, Mapping):
        raise ConfigurationError(f"{name}, line {_line(text, 'limit')}: [limit] is no list of limits; write [[limit]]")
    found = cast("list[object]", given) if isinstance(given, list) else []
    if not found:
        raise ConfigurationError(f"{name} holds no limit; write {_EXAMPLE}")
    starts = [number for number, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    placed = list(zip_longest(found, starts[: len(found)], fillvalue=_line(text, "limit")))
    limits = tuple(_limit(name, text, one, start) for one, start in placed)
    _once(name, limits, [start for _, start in placed])
    return limits


def _once(name: str, limits: Iterable[Limit], starts: Iterable[int]) -> None:
    """Raises ConfigurationError: two differ in their amount at most, so that one of them never matters."""
    seen: dict[object, int] = {}
    for limit, start in zip(limits, starts, strict=True):
        alike = (limit.meter, limit.keys, limit.over, limit.kept, limit.on_limit, limit.on_tight)
        if alike in seen:
            raise ConfigurationError(f"{name}, line {start}: {limit}, and line {seen[alike]} limits it too; keep one")
        seen[alike] = start


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
        if number >= start and re.match(rf"\s*\[*\s*(?:limit\s*\.\s*)?[\"']?{re.escape(word)}[\"']?\s*[=.\]]", line):
            return number
    return start
