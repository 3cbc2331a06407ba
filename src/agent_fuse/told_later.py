"""Answers that come later: what begins work that goes on at the provider, and which request tells what it cost.

Whatever tells it, and whichever process asks: the work is known by the id that its provider gave it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.calls import Usage, count, fields_of
from agent_fuse.endpoints import ANTHROPIC, OPENAI
from agent_fuse.wire import Reading, StreamReader, read_body

LATER = frozenset({"batch", "message_batch", "fine_tuning", "run", "video"})
"""Operations (`endpoints`) whose answer is only that they were begun; a response is where it says so."""

_GOING = frozenset(
    {"queued", "in_progress", "validating", "finalizing", "cancelling", "canceling"}
    | {"validating_files", "running", "paused", "requires_action"}
)
_FAILED = frozenset({"failed", "expired"})
"""Ends that cost nothing where no usage is told with them."""


@dataclass(frozen=True, slots=True)
class TellingRequest:
    """One row: a request whose answer tells what a piece of work has cost."""

    provider: str
    method: str
    path: str
    """Segments; `*` stands for any one of them, and the last `*` is the id of the work."""
    lines: bool = False
    """The answer is JSON lines, one for each request of a batch."""
    lists: bool = False
    """The answer is a page of such work, each piece as it is told alone."""


TELLERS = (
    # OpenAI: developers.openai.com/api/reference; the openai SDK 3.57 (2026-11).
    TellingRequest(OPENAI, "get", "responses/*"),
    TellingRequest(OPENAI, "post", "responses/*/cancel"),
    TellingRequest(OPENAI, "get", "batches/*"),
    TellingRequest(OPENAI, "post", "batches/*/cancel"),
    TellingRequest(OPENAI, "get", "files/*/content", lines=True),
    TellingRequest(OPENAI, "get", "threads/*/runs/*"),
    TellingRequest(OPENAI, "post", "threads/*/runs/*/cancel"),
    TellingRequest(OPENAI, "get", "fine_tuning/jobs/*"),
    TellingRequest(OPENAI, "post", "fine_tuning/jobs/*/cancel"),
    TellingRequest(OPENAI, "get", "videos/*"),
    TellingRequest(OPENAI, "get", "batches", lists=True),
    TellingRequest(OPENAI, "get", "threads/*/runs", lists=True),
    TellingRequest(OPENAI, "get", "fine_tuning/jobs", lists=True),
    TellingRequest(OPENAI, "get", "videos", lists=True),
    # Anthropic: platform.claude.com/docs/en/api/creating-message-batches; the anthropic SDK 2.14 (2026-11).
    TellingRequest(ANTHROPIC, "get", "v1/messages/batches", lists=True),
    TellingRequest(ANTHROPIC, "get", "v1/messages/batches/*"),
    TellingRequest(ANTHROPIC, "post", "v1/messages/batches/*/cancel"),
    TellingRequest(ANTHROPIC, "get", "v1/messages/batches/*/results", lines=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Usage of one request, or of all requests of a batch together."""

    usage: Usage
    model: str = ""
    tier: str | None = None
    requests: int = 1
    clip: "Clip | None" = None
    """A video, billed by that alone."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What a video is billed by."""

    model: str
    seconds: str
    """As told; an extension's are those of the whole clip that it extends, too."""
    size: str | None = None
    """Width and height in pixels, `720x1280`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTold:
    """What an answer tells of work that was begun before."""

    id: str
    parts: tuple[Part, ...] = ()
    trained_tokens: int | None = None
    clip: Clip | None = None
    free: bool = False
    """It came to nothing, and cost nothing."""
    stopped: bool = False
    """It is over, and nothing more will be told of what it cost."""
    file: str = ""
    """Id of the file of its results: where nothing else is told, that will tell."""
    results: bool = False
    """These are the results of a batch: they tell what it cost, whoever began it."""


def goes_on(operation: str, answer: object) -> str:
    """The id of the work that a request has begun; empty where its answer is all there is."""
    told = fields_of(answer)
    found, status = told("id"), _status(told)
    if not isinstance(found, str):
        return ""
    if operation == "responses":
        return found if status in _GOING else ""
    return found if operation in LATER and (not status or status in _GOING) else ""


def failed(operation: str, answer: object) -> bool:
    """Whether the work that a request was to begin has failed at once: it costs nothing."""
    return operation in LATER and _status(fields_of(answer)) in _FAILED


@lru_cache(maxsize=2_048)
def teller_of(method: str, url: str, provider: str) -> tuple[TellingRequest, str] | None:
    """The row of a request, and the id of the work that it asks after, empty for a list of it; None for any other."""
    path = url.partition("?")[0].rstrip("/")
    segments = path.partition("://")[2].split("/")[1:] if "://" in path else path.strip("/").split("/")
    best: tuple[TellingRequest, str] | None = None
    longest = 0
    for row in TELLERS:
        pattern = row.path.split("/")
        tail = segments[-len(pattern) :]
        if (row.provider, row.method) != (provider, method.lower()) or len(tail) <= max(longest, len(pattern) - 1):
            continue
        if all(want in ("*", found) for want, found in zip(pattern, tail, strict=True)):
            named = [found for want, found in zip(pattern, tail, strict=True) if want == "*" and not row.lists]
            best, longest = (row, named[-1] if named else ""), len(pattern)
    return best


class LaterReader:
    """Reads what an answer tells of work under way, as its decoded bytes pass by."""

    def __init__(self, teller: TellingRequest, work: str, *, events: bool) -> None:
        self._work = work
        self._events = StreamReader(Reading(), count_text=False) if events else None
        self._lines, self._lists = teller.lines, teller.lists
        self._rest: list[bytes] = []
        self._parts: list[Part] = []
        self.told: tuple[WorkTold, ...] = ()
        """Once the body has ended."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the decoded body."""
        if self._events is not None:
            self._events.feed(data)
            return
        if self._lines and b"\n" in data:
            whole, _, rest = (b"".join(self._rest) + data).rpartition(b"\n")
            self._parts += filter(None, map(_part_of_line, whole.split(b"\n")))
            self._rest = [rest]
        else:
            self._rest.append(data)

    def close(self) -> None:
        """The body ended as it should."""
        if self._events is not None:
            self._events.close()
            reading = self._events.reading
            if reading.usage is not None and reading.final:
                self.told = (WorkTold(id=self._work, parts=(_part(reading),)),)
        elif self._lines:
            self._parts += filter(None, [_part_of_line(b"".join(self._rest))])
            parts = tuple(self._parts)
            self.told = (WorkTold(id=self._work, parts=parts, free=not parts, results=bool(parts)),)
        else:
            body = _object(b"".join(self._rest))
            pieces = _listed(body) if self._lists else {self._work: body}
            self.told = tuple(filter(None, (read_told(work, one) for work, one in pieces.items())))
        self._rest, self._parts = [], []


def read_told(work: str, body: dict[str, Any]) -> WorkTold | None:
    """What a whole answer tells of the work with this id; None while it goes on."""
    status = _status(body.get)
    if body.get("id") != work or not status or status in _GOING:
        return None
    trained, clip = count(body.get("trained_tokens")), None if status in _FAILED else clip_of(body)
    if trained is not None or clip is not None:
        return WorkTold(id=work, trained_tokens=trained, clip=clip)
    counts = fields_of(body.get("request_counts"))
    done = count(counts("completed") if body.get("object") == "batch" else counts("succeeded"))
    found = body.get("output_file_id")
    file = found if isinstance(found, str) else ""
    reading = Reading()
    if read_body(body, reading) and (reading.usage or Usage()).total_tokens:
        part = _part(reading)
        part = Part(usage=part.usage, model=part.model, tier=part.tier, requests=done or 1)
        return WorkTold(id=work, parts=(part,), file=file)
    if done == 0 or (done is None and status in _FAILED):
        return WorkTold(id=work, free=True)
    if done:  # its results tell
        return WorkTold(id=work, file=file) if file else None
    return WorkTold(id=work, stopped=True)


def clip_of(answer: object) -> Clip | None:
    """The clip that an answer tells of; None where it tells of none, or not enough to bill it by."""
    told = fields_of(answer)
    model, seconds, size = told("model"), told("seconds"), told("size")
    if told("object") != "video" or not isinstance(model, str) or not str(seconds or "").isdecimal():
        return None
    return Clip(model, str(seconds), size if isinstance(size, str) else None)


def _part(reading: Reading) -> Part:
    return Part(usage=reading.usage or Usage(), model=reading.model, tier=reading.tier)


def _part_of_line(line: bytes) -> Part | None:
    """The usage of one request of a batch: OpenAI's `response.body`, Anthropic's `result.message`."""
    told = _object(line)
    if "custom_id" not in told:  # lines of another file
        return None
    answer = fields_of(told.get("response"))("body") or fields_of(told.get("result"))("message")
    reading = Reading()
    if (clip := clip_of(answer)) is not None and _status(fields_of(answer)) not in _FAILED:
        return Part(usage=Usage(), model=clip.model, clip=clip)
    known = isinstance(answer, dict) and read_body(cast("dict[str, Any]", answer), reading)
    return _part(reading) if known else None


def _listed(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The pieces of work that a page of them tells of, by their ids."""
    data = body.get("data")
    listed = cast("list[object]", data) if isinstance(data, list) else []
    pieces = [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]
    return {one["id"]: one for one in pieces if isinstance(one.get("id"), str)}


def _status(told: Callable[[str], Any]) -> str:
    status = told("processing_status") or told("status")
    return status if isinstance(status, str) else ""


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = foreign_text.read_json(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
