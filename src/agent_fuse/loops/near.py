"""Near-equal calls: the arguments less what can differ though the question is the same (pure, bounded)."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast
from zlib import crc32

from agent_fuse.loops.canonical import canonical
from agent_fuse.loops.weight import plain_name

_MOST_TEXT = 2_000
_MOST_ITEMS = 200
_DEEPEST = 8

_COUNTERS_WORDS = (
    "attempt attempts try tries retry retries counter iteration iter seq sequence nonce salt rand random ts timestamp "
    "now traceid x_request_id correlation_id idempotency_key client_token cache_buster cachebuster cb _"
)
_COUNTERS = frozenset(_COUNTERS_WORDS.split())
"""Arguments that tell one attempt from another, not what is asked for."""
_MAYBE_WORDS = (
    "n i count no num seed uuid run_id request_id requestid trace_id limit max_results num_results top_k k size "
    "page_size per_page lines num_lines max_lines timeout timeout_ms timeout_seconds"
)
_MAYBE = frozenset(_MAYBE_WORDS.split())
"""The same, or how much is wanted, where something else is asked for beside them."""
_ASKED_WORDS = (
    "q query queries text question prompt keyword keywords term terms search search_query search_term "
    "topic input pattern"
)
_ASKED = frozenset(_ASKED_WORDS.split())
"""Arguments that hold a question in words."""
_CODE = frozenset(["command", "cmd", "script", "code", "sql", "statement"])
_SQL = re.compile(
    r"\s*(?:select|with|insert|update|delete|show|explain|describe|create|alter|drop)\b.*[*=(_;]",
    re.IGNORECASE | re.DOTALL,
)
"""Commands, which are no questions in words: a name or a figure in one is another object."""
_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*(?:Z|UTC|[+-]\d\d:?\d\d)?"
    r"|\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b1[5-9]\d{8}(?:\d{3}|\d{6}|\d{9}|\.\d+)?\b"
    r"|(?<=attempt)[\s_#-]*\d+|(?<=retry)[\s_#-]*\d+|(?<=try)[\s_#-]*\d+|(?<=run)[\s_#-]*\d+",
    re.IGNORECASE,
)
_NONCE = re.compile(rf"(?<=[?&])(?:{'|'.join(sorted(_COUNTERS))})=[^&\s]*", re.IGNORECASE)
"""The same in the address of a page."""
_CHOSEN = re.compile(
    r"(?:^|_)(?:time|date|datetime|day|hour|slot|when|start|begin|end|from|to|until|due|departure|arrival|in|out)$"
)
_WHOLE = re.compile(r"\d\d?:\d\d(?::00(?:[.,]0+)?)?(?:Z|UTC|[+-]\d\d:?\d\d)?$", re.IGNORECASE)
"""A time that somebody chose, in whole minutes, rather than read from a clock."""
_NAMES = re.compile(r"(?i)(?:id|number|phone|key|ref|sku|uuid)$")
"""Arguments that name an object, whose value is never taken for a time."""
_FIGURES = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{2,}")


def near_text(args: object, ignore: Collection[str] = ()) -> str:
    """Text, equal for arguments that differ by white space, case, a clock time, a random id or a counter only."""
    return "|".join(f"{key}={value}" for key, value in _leaves(args, "", 0, _Left(ignore)))


def asked_in(args: object, *, searches: bool) -> tuple[int, dict[str, Any]]:
    """The words of a question as a mask of 64 bits, 0 where nothing is asked in words, and what is asked beside them.

    Args:
        args: the arguments of the call.
        searches: whether any text of several words is a question, as it is where nothing else is given.
    """
    given = {
        str(key): item
        for key, item in cast("Mapping[Any, Any]", args if isinstance(args, Mapping) else {"q": args}).items()
    }
    texts = {key: item for key, item in given.items() if isinstance(item, str)}
    if not _CODE.isdisjoint(texts) or any(_SQL.match(text[:_MOST_TEXT]) for text in texts.values()):
        return 0, {}
    asked = [key for key in texts if key in _ASKED]
    if not asked and (searches or len(given) == 1):
        asked = [key for key, text in texts.items() if " " in text.strip()]
    mask = 0
    for word in (word for key in asked for word in _WORD.findall(texts[key][:_MOST_TEXT].lower())):
        mask |= 1 << (crc32(word[:4].encode()) & 63)
    return mask, {key: item for key, item in given.items() if key not in asked}


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
        asks = [name for name in sorted(named) if plain_name(name) not in _COUNTERS and name not in left.ignore]
        others = [name for name in asks if plain_name(name) not in _MAYBE]
        for name in others or asks:
            yield from _leaves(named[name], name, depth + 1, left)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _leaves(item, key, depth + 1, left)
    elif isinstance(value, str):
        yield key, value if _names_or_chosen(key, value) else _plain(value, words=key in _ASKED)
    elif isinstance(value, (int, float)):
        yield key, repr(value) if _names_or_chosen(key, value) else _STAMP.sub("#", repr(value))
    elif value is not None:
        yield key, canonical(value)


def _names_or_chosen(key: str, value: float | str) -> bool:
    """Whether the argument is an object, or a time that somebody asks about, rather than what a clock told."""
    if _NAMES.search(key):
        return True
    whole = _WHOLE.search(value[-32:]) is not None if isinstance(value, str) else value % 60 == 0
    return whole and _CHOSEN.search(plain_name(key)) is not None


def _plain(text: str, *, words: bool) -> str:
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}…{crc32(text.encode('utf-8', 'replace'))}"
    text = _STAMP.sub("#", _NONCE.sub("#", " ".join(text.lower().split())))
    return _FIGURES.sub("#", text) if words and not _SQL.match(text) else text
