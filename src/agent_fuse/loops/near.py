"""Near-equal calls: the arguments less what can differ though the question is the same (pure, bounded)."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast
from zlib import crc32

from agent_fuse.loops.canonical import canonical

_MOST_TEXT = 2_000
_MOST_ITEMS = 200
_DEEPEST = 8

_COUNTERS_WORDS = (
    "attempt attempts try tries retry retries counter iteration iter seq sequence nonce seed salt rand "
    "random ts timestamp now request_id requestid trace_id traceid cache_buster cachebuster cb uuid "
    "run_id _"
)
_COUNTERS = frozenset(_COUNTERS_WORDS.split())
"""Arguments that tell one attempt from another, not what is asked for."""
_MAYBE = frozenset({"n", "i", "count", "no", "num"})
"""The same, where something else is asked for beside them."""
_ASKED_WORDS = (
    "q query queries text question prompt keyword keywords term terms search search_query search_term "
    "topic input pattern"
)
_ASKED = frozenset(_ASKED_WORDS.split())
"""Arguments that hold a question in words."""
_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*(?:Z|UTC|[+-]\d\d:?\d\d)?"
    r"|\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b1[5-9]\d{8}(?:\d{3}|\d{6}|\d{9}|\.\d+)?\b"
    r"|(?<=attempt)[\s_#-]*\d+|(?<=retry)[\s_#-]*\d+|(?<=try)[\s_#-]*\d+|(?<=run)[\s_#-]*\d+",
    re.IGNORECASE,
)
_NAMES = re.compile(r"(?i)(?:id|number|phone|key|ref|sku|uuid)$")
"""Arguments that name an object, whose value is never taken for a time."""
_FIGURES = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{2,}")


def near_text(args: object, ignore: Collection[str] = ()) -> str:
    """Text, equal for arguments that differ by white space, case, a clock time, a random id or a counter only."""
    return "|".join(f"{key}={value}" for key, value in _leaves(args, "", 0, _Left(ignore)))


def words_of(args: object, *, searches: bool) -> int:
    """The words of a question as a mask of 64 bits, 0 where nothing is asked in words. `searches`: each text asks."""
    mask, given = 0, cast("Mapping[Any, Any]", args if isinstance(args, Mapping) else {"q": args})
    for key, value in given.items():
        if isinstance(value, str) and (searches or key in _ASKED or (len(given) == 1 and " " in value.strip())):
            for word in _WORD.findall(value[:_MOST_TEXT].lower()):
                mask |= 1 << (crc32(word[:4].encode()) & 63)
    return mask


def alike(one: int, other: int) -> bool:
    """Whether two questions share at least half of the words of the shorter one."""
    shorter = min(one.bit_count(), other.bit_count())
    return shorter > 0 and 2 * (one & other).bit_count() >= shorter


class _Left:
    """What one walk may still look at, and what it leaves out."""

    __slots__ = ("ignore", "items")

    def __init__(self, ignore: Collection[str]) -> None:
        self.ignore = ignore
        self.items = _MOST_ITEMS


def _leaves(value: Any, key: str, depth: int, left: "_Left") -> Iterator[tuple[str, str]]:
    left.items -= 1
    if left.items < 0 or depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        named = {str(name): item for name, item in cast("Mapping[Any, Any]", value).items()}
        asks = [name for name in sorted(named) if name.lower() not in _COUNTERS and name not in left.ignore]
        others = [name for name in asks if name.lower() not in _MAYBE]
        for name in others or asks:
            yield from _leaves(named[name], name, depth + 1, left)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _leaves(item, key, depth + 1, left)
    elif isinstance(value, str):
        yield key, value if _NAMES.search(key) else _plain(value, words=key in _ASKED)
    elif isinstance(value, (int, float)):
        yield key, repr(value) if _NAMES.search(key) else _STAMP.sub("#", repr(value))
    elif value is not None:
        yield key, canonical(value)


def _plain(text: str, *, words: bool) -> str:
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}…{crc32(text.encode('utf-8', 'replace'))}"
    text = _STAMP.sub("#", " ".join(text.lower().split()))
    return _FIGURES.sub("#", text) if words else text
