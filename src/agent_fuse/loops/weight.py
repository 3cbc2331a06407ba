"""What a result is worth, and what may differ between two that tell the same: clocks, ids, places (pure)."""

import re
from collections.abc import Mapping, Set
from enum import StrEnum
from functools import lru_cache
from typing import Any, cast

_MAX_CLEAN = 32_768

# Figures that can be progress (rows, percent, bytes, seconds of a recording) must not be among these.
_NOISE = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|(?<![=:.\w])\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|(?:\b(?:in|after|took|elapsed|duration|time)\b[ :=]*|\(|\t)\d+(?:\.\d+)? ?(?:ns|[uµ]s|ms|s|secs?|seconds?)\b"
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\b0x[0-9a-fA-F]+\b"
    r"|\b(?:req(?:uest)?|trace|correlation|span)(?:[ _-]?id)?[ :=#_-]{1,4}(?=[\w-]{0,64}\d)[\w-]{6,}",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"(?<!\w)'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"
    r"|(?<!\S)\S*[/\\]\S*"  # a path
    r"|(?<![\w-])[\w-]{1,64}\.[A-Za-z]\w*\b(?::\d+){0,2}"  # a file or a dotted name, and a place in it
    r"|\b\d{4,}\b"
)
_PLACE = re.compile(
    r"\b(line|col|column|char|character|position|offset|hunk|at|pid|port|attempt)\b([ :#=]*)#?\d+", re.IGNORECASE
)
_NAMED = re.compile(r"((?:\b[a-z]+ ){2,}[a-z]+): [\w.-]+$", re.IGNORECASE)
"""What an error names at its end: `no such column: name`."""
_ID = re.compile(r"\b(?=[\w-]{0,64}\d)(?=[\w-]{0,64}[A-Za-z])[\w-]{8,}\b")
_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-\s]+")


@lru_cache(maxsize=1024)
def plain_name(name: str) -> str:
    """The name of an argument or a field in one form: `requestId` and `Request-Id` are `request_id`."""
    return _JOINT.sub("_", name[:64]).lower()


class _Names(frozenset[str]):
    """Names, known in any form."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        plain = plain_name(name) if isinstance(name, str) else ""
        return super().__contains__(plain) or plain.endswith(_CLOCKS) or plain.startswith(_SPANS)


_CLOCKS = ("_at", "_ts", "_timestamp")
_SPANS = ("elapsed", "uptime", "latency", "duration", "took")
_FIELDS = (
    "at now ts time timestamp server_time current_time response_time time_taken request_id x_request_id trace_id "
    "span_id correlation_id"
)
NOISY_FIELDS = _Names(_FIELDS.split())
"""Fields of a result that differ though it tells the same."""


def quiet(text: str) -> str:
    """A result less clock times, durations and random ids; of a very long one, the beginning and the end."""
    if len(text) <= _MAX_CLEAN:
        return _NOISE.sub("#", text)
    half = _MAX_CLEAN // 2
    return _NOISE.sub("#", text[:half]) + text[half:-half] + _NOISE.sub("#", text[-half:])


def quiet_done(text: str) -> str:
    """An acknowledgement, less the id of what it acknowledges too."""
    return _ID.sub("#", quiet(text))


def quiet_error(message: str) -> str:
    """An error less what it quotes, ids, and the place where it arose.

    Small numbers stay: "3 tests failed" and "2 tests failed" are not the same error.
    """
    text = _ID.sub("#", _QUOTED.sub("#", _NOISE.sub("#", _NAMED.sub(r"\1: #", message[:2_000].rstrip()))))
    return " ".join(_PLACE.sub(r"\1\2#", text).lower().split())[:300]


class ResultWorth(StrEnum):
    """What a result is worth."""

    ANSWER = "answer"
    """It says something; the same answer to the same question again says nothing more."""
    DONE = "done"
    """It says that an action was carried out: `ok`, `True`, `{"status": "success"}`. For another object it is work."""
    EMPTY = "empty"
    """It says that there is nothing: `[]`, `no results`, `{"items": [], "total": 0}`."""
    BLANK = "blank"
    """It says nothing at all, as a command that is done, and as one that finds nothing."""


_LONGEST = 120
_ECHO = frozenset({"query", "q", "search", "page", "limit", "offset", "took", "time", "elapsed"})
_ERRORS = frozenset({"error", "errors"})
_OF_ERRORS = frozenset({"message", "code", "status", "status_code", "detail", "details", "type", "hint"})
_DONE = re.compile(
    r"\W*(?:ok|okay|done|success|succeeded|successful|true|false|yes|accepted|created|updated|deleted|removed|saved|sent|added"
    r"|attached|written|wrote|completed?|finished|noted|logged|recorded|scheduled|booked|valid|passed|200|201|204)\b"
    r"|(?:(?!no\b|not\b|never\b)\w+ ){1,2}(?:created|updated|deleted|removed|saved|sent|added|written|booked)\b"
    r"|\W*(?:insert|update|delete)(?: \d+)+\s*$|.*\b\d+ rows? (?:affected|inserted|updated|deleted|changed)\b"
    r"|.*\bsuccessfully\b|.*\b(?:was|were|has been|have been) \w+(?:ed|nt|en)\b",
    re.IGNORECASE | re.DOTALL,
)
_EMPTY = re.compile(
    r"\W*(?:(?:(?:no|0|zero)\s+(?:\w+\s+){0,3}(?:results?|matche?s?|items?|hits?|records?|rows?|data|documents?|entries"
    r"|files?|found)\b)|nothing\b|none\b|null\b|empty\b|not found\b|no matches\b|(?:\w+\s+){0,4}not found\b"
    r"|(?:\w+\s+){0,3}(?:could not|couldn't|did not|didn't|unable to) (?:find|locate)\b|0)",
    re.IGNORECASE,
)


def weigh(result: object) -> ResultWorth:
    """What a result is worth, read as JSON where it was one."""
    if result is None or isinstance(result, bool):
        return ResultWorth.DONE
    if isinstance(result, str):
        return _said(result.strip())
    if isinstance(result, Mapping):
        return _several([item for key, item in cast("Mapping[Any, Any]", result).items() if not _beside(key)])
    if isinstance(result, (list, tuple, Set)):
        return _several(list(cast("list[Any]", result)))
    return ResultWorth.EMPTY if type(result) is int and result == 0 else ResultWorth.ANSWER


def says_error(result: object) -> bool:
    """Whether a result is nothing but an error: `{"error": {…}, "request_id": …}`, `{"isError": true, …}`."""
    if not isinstance(result, Mapping):
        return False
    given = cast("Mapping[Any, Any]", result)
    if given.get("isError") is True or given.get("is_error") is True:
        return True
    if not any(given.get(key) for key in _ERRORS) and given.get("status") != "error":
        return False
    rest = [item for key, item in given.items() if key not in _ERRORS | _OF_ERRORS and key not in NOISY_FIELDS]
    return not rest or weigh(rest) is not ResultWorth.ANSWER


def _beside(key: object) -> bool:
    """Whether a field repeats what was asked, or tells a clock."""
    return key in _ECHO or key in NOISY_FIELDS


def _said(text: str) -> ResultWorth:
    if not text:
        return ResultWorth.BLANK
    if len(text) <= _LONGEST and _EMPTY.match(text):
        return ResultWorth.EMPTY
    return ResultWorth.DONE if len(text) <= _LONGEST and _DONE.match(text) else ResultWorth.ANSWER


def _several(items: list[Any]) -> ResultWorth:
    if not items:
        return ResultWorth.EMPTY
    kinds = {weigh(item) for item in items[:20]}
    if ResultWorth.ANSWER in kinds or len(items) > 20:  # noqa: PLR2004  what is long says something
        return ResultWorth.ANSWER
    return next((kind for kind in (ResultWorth.BLANK, ResultWorth.EMPTY) if kind in kinds), ResultWorth.DONE)
