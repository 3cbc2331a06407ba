"""Did it cost? The one answer to what a failed call may have cost, for spans, SDK gates, callbacks and calls by hand.

A request that was or may have been sent whole may have been charged: it is booked at its quote. One that was not sent,
or was answered with an error status, cost nothing: its hold is given back. `TABLE` says it of every class of error of
the libraries that it knows, by name, since a span tells no more. What it does not know may have been charged: the call
was let go, and did not say that it never left.
"""

import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from itertools import chain, islice
from typing import Any, cast

from agent_fuse.charging import words
from agent_fuse.charging.aws import AWS
from agent_fuse.charging.clients import HTTP, PYTHON
from agent_fuse.charging.rows import ErrorClasses, Says
from agent_fuse.charging.sdks import SDKS
from agent_fuse.errors import SentinelError
from agent_fuse.sightings import Outcome

__all__ = ["TABLE", "FailureCost", "Says", "of_error", "of_words", "says_nothing"]


class FailureCost(Enum):
    """What a call that failed may have cost."""

    NOTHING = auto()
    MAYBE = auto()
    UNKNOWN = auto()
    """Its error tells nothing of a request. It may have cost, unless a gate that sees every request saw none."""

    @property
    def outcome(self) -> Outcome:
        """How the call came out."""
        return Outcome.FAILED if self is FailureCost.NOTHING else Outcome.BROKEN


TABLE: Mapping[str, ErrorClasses] = {name: row for row in chain(PYTHON, HTTP, SDKS, AWS) for name in row.names}
"""What each class of error says, by its name without a module."""

_CHARGES = {Says.NOTHING: FailureCost.NOTHING, Says.MAYBE: FailureCost.MAYBE, Says.UNSAID: FailureCost.UNKNOWN}
_BUILT_IN = frozenset(dir(builtins))
_STATUS = ("status_code", "status", "code")
_CARRIED = ("reason", "error", "os_error")
_DEPTH = 10


@dataclass(frozen=True, slots=True)
class _Link:
    """One error of a chain, from the one that was seen to what it came from."""

    row: ErrorClasses | None
    name: str
    message: str
    status: int | None = None
    unread: bool = False
    """It was raised from an error that says that an answer did not come, or came and could not be read."""

    @property
    def says(self) -> Says:
        return self.row.says if self.row is not None else Says.STATUS


def of_error(error: BaseException, *, answered: bool = False) -> FailureCost:
    """What a call that ended with this error may have cost; `answered`: part of an answer had come."""
    if isinstance(error, BaseExceptionGroup):
        inner = {of_error(one) for one in islice(cast("BaseExceptionGroup[BaseException]", error).exceptions, _DEPTH)}
        return (
            inner.pop() if len(inner) == 1 else FailureCost.MAYBE if FailureCost.MAYBE in inner else FailureCost.UNKNOWN
        )
    return _judge(_links(error), answered)


def cost_nothing(error: BaseException) -> bool:
    """Whether an SDK's error means that the provider cannot have charged: an error status, or nothing was sent."""
    return of_error(error) is FailureCost.NOTHING


def says_nothing(error: BaseException) -> bool:
    """Whether this error tells nothing of a request: what other layers saw of the call says more."""
    return of_error(error) is FailureCost.UNKNOWN


def of_words(
    error: str,
    *,
    also: str = "",
    message: str = "",
    status: int | None = None,
    trace: str = "",
    answered: bool = False,
) -> FailureCost:
    """What a call may have cost that ended with an error which is known by what a span says of it.

    Args:
        error: its class, with or without a module, or an HTTP status.
        also: another name that it is given.
        message: its text.
        status: an HTTP status that was told beside it.
        trace: the printed traceback, which shows what it came from.
        answered: part of an answer had come.
    """
    if error.isdigit():
        status = int(error) if status is None else status
        error = ""
    return _judge(_told(words.bare(error), words.bare(also), message, status, trace), answered)


def _judge(links: Iterable[_Link], answered: bool) -> FailureCost:
    otherwise = FailureCost.UNKNOWN
    for link in islice(links, _DEPTH):
        if link.says is Says.NOTHING:
            return FailureCost.MAYBE if _answered(link.status) else FailureCost.NOTHING
        if link.says is Says.MAYBE:
            return FailureCost.MAYBE
        found = _by_status(link) if link.says is Says.STATUS else None
        found = found or _by_words(link)
        if found is not None:
            return found
        if link.row is not None and link.row.otherwise is not Says.UNSAID:
            otherwise = _CHARGES[link.row.otherwise]
    return FailureCost.MAYBE if answered else otherwise


def _by_status(link: _Link) -> FailureCost | None:
    if link.status is None:
        return None
    return FailureCost.MAYBE if link.unread or _answered(link.status) else FailureCost.NOTHING


def _by_words(link: _Link) -> FailureCost | None:
    if link.says is Says.UNSAID or (link.row is None and link.name in _BUILT_IN):
        return None  # an error of the host's own may say anything
    if link.row is None and link.name:
        return FailureCost.NOTHING if words.told_status(link.message) else None
    cause = TABLE.get(words.caused_by(link.message))
    if cause is not None and cause.says in (Says.NOTHING, Says.MAYBE):
        return _CHARGES[cause.says]
    sent = words.was_sent(link.message)
    if sent is not None:
        return FailureCost.MAYBE if sent else FailureCost.NOTHING
    return FailureCost.NOTHING if words.error_status(link.message) else None


def _answered(status: int | None) -> bool:
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


# What an error object tells ------------------------------------------------------------------------------------------


def _links(error: BaseException) -> Iterator[_Link]:
    one: BaseException | None = error
    while one is not None:
        row = _row_of(type(one))
        if isinstance(one, SentinelError):
            row = TABLE["SentinelBudgetExceeded"]
        status = _status(one)
        cause = one.__cause__
        found = _row_of(type(cause)) if status is not None and cause is not None else None
        text = _text(one) if row is None or row.says in (Says.STATUS, Says.CAUSE) else ""
        yield _Link(row, type(one).__name__, text, status, found is not None and found.says is Says.MAYBE)
        one = cause or _carried(one) or (None if _unsaid(row) or one.__suppress_context__ else one.__context__)


def _row_of(kind: type[BaseException]) -> ErrorClasses | None:
    return next((row for base in kind.__mro__ if (row := TABLE.get(base.__name__)) is not None), None)


def _unsaid(row: ErrorClasses | None) -> bool:
    return row is not None and row.says is Says.UNSAID


def _carried(error: BaseException) -> BaseException | None:
    """The error that a wrapper keeps in a field (urllib3, botocore) or among its arguments (requests)."""
    fields = _field(error, "kwargs")
    kept = cast("Mapping[str, object]", fields).get("error") if isinstance(fields, Mapping) else None
    holders = (*(_field(error, name) for name in _CARRIED), kept, *error.args)
    return next((one for one in holders if isinstance(one, BaseException) and one is not error), None)


def _status(error: BaseException) -> int | None:
    """The HTTP status that it carries; that of its response before its own, which may be read off a stream."""
    if not isinstance(error, Exception):
        return None
    if _field(error, "in_stream") is True:  # pydantic-ai: the status of the same error before a stream
        return int(HTTPStatus.OK)
    response = _field(error, "response")
    if isinstance(response, Mapping):
        told = cast("Mapping[str, Any]", response).get("ResponseMetadata")
        return _number(cast("Mapping[str, Any]", told).get("HTTPStatusCode")) if isinstance(told, Mapping) else None
    found = (_number(_field(holder, name)) for holder in (response, error) for name in _STATUS)
    return next((status for status in found if status is not None), None)


def _number(value: object) -> int | None:
    return int(value) if (type(value) is int and 200 <= value < 600) or isinstance(value, HTTPStatus) else None  # noqa: PLR2004


def _field(holder: object, name: str) -> object:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001  another library's property; what it does not tell is not known
        return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return ""


# What a span tells ---------------------------------------------------------------------------------------------------


def _told(error: str, also: str, message: str, status: int | None, trace: str) -> Iterator[_Link]:
    names = [name for name in (error, also) if name]
    row = next((TABLE[name] for name in names if name in TABLE), None)
    yield _Link(row, names[0] if names else "", message, status)
    for name, said, explicit in words.chain(trace):
        if not explicit and _unsaid(row):
            return
        if name in names:
            continue
        row = TABLE.get(name)
        yield _Link(row, name, said)
