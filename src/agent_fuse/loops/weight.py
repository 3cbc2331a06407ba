"""What a result is worth: an answer, a bare acknowledgement, or an empty hand (pure)."""

import re
from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Any, cast


class Weight(StrEnum):
    """What a result is worth."""

    ANSWER = "answer"
    """It says something; the same answer to the same question again says nothing more."""
    DONE = "done"
    """It says that an action was carried out: `ok`, `True`, `{"status": "success"}`. For another object it is work."""
    EMPTY = "empty"
    """It says that there is nothing: `[]`, `no results`, `{"items": [], "total": 0}`."""


_LONGEST = 120
_ECHO = frozenset({"query", "q", "search", "page", "limit", "offset", "took", "time", "elapsed"})
_DONE = re.compile(
    r"\W*(?:ok|okay|done|success|succeeded|successful|true|false|yes|accepted|created|updated|deleted|removed|saved|sent|added"
    r"|attached|written|wrote|completed?|finished|noted|logged|recorded|scheduled|booked|valid|passed|200|201|204)\b"
    r"|.*\bsuccessfully\b|.*\b(?:was|were|has been|have been) \w+(?:ed|nt|en)\b",
    re.IGNORECASE | re.DOTALL,
)
_EMPTY = re.compile(
    r"\W*(?:(?:(?:no|0|zero)\s+(?:\w+\s+){0,3}(?:results?|matche?s?|items?|hits?|records?|rows?|data|documents?|entries"
    r"|files?|found)\b)|nothing\b|none\b|null\b|empty\b|not found\b|no matches\b|(?:\w+\s+){0,4}not found\b"
    r"|(?:could not|couldn't|did not|didn't) find\b|0)",
    re.IGNORECASE,
)


def weigh(result: object) -> Weight:
    """What a result is worth, read as JSON where it was one."""
    if result is None or isinstance(result, bool):
        return Weight.DONE
    if isinstance(result, str):
        return _said(result.strip())
    if isinstance(result, Mapping):
        return _several([item for key, item in cast("Mapping[Any, Any]", result).items() if key not in _ECHO])
    if isinstance(result, (list, tuple, Set)):
        return _several(list(cast("list[Any]", result)))
    return Weight.EMPTY if type(result) is int and result == 0 else Weight.ANSWER


def _said(text: str) -> Weight:
    if not text or (len(text) <= _LONGEST and _EMPTY.match(text)):
        return Weight.EMPTY
    return Weight.DONE if len(text) <= _LONGEST and _DONE.match(text) else Weight.ANSWER


def _several(items: list[Any]) -> Weight:
    if not items:
        return Weight.EMPTY
    kinds = {weigh(item) for item in items[:20]}
    if Weight.ANSWER in kinds or len(items) > 20:  # noqa: PLR2004  what is long says something
        return Weight.ANSWER
    return Weight.EMPTY if Weight.EMPTY in kinds else Weight.DONE
