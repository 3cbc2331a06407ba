"""What goes over one websocket of the openai SDK: what is held for it, and what its events cost.

Sources: the event types of the openai SDK 3.57; OpenAI's guide "Cost optimization" for voice (2026-11): Live sessions
are billed by the second, translations by that of the audio, what a session delegates by its own tokens.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from agent_fuse import foreign_text
from agent_fuse.accounting.call_request import CallRequest, Stage
from agent_fuse.calls import Usage, fields_of
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.limits import Caller
from agent_fuse.otel.gate import admit, call_site
from agent_fuse.quoting.units import LIVE_SECONDS
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.usage_reader import read_usage
from agent_fuse.wire import Reading, read_body

SOURCE = "websocket"

_ENDS = frozenset({"response.done", "response.completed", "response.incomplete", "response.failed"})
_ASKS = frozenset({"response.create", "decision.create"})
_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
_TRANSCRIBER = "gpt-realtime-whisper"
"""Who is taken to have transcribed where no event told: the dearest."""
_APPENDED = "session.input_audio_buffer.append"
_BYTES_PER_SECOND = 48_000
"""Of the audio that a translation takes: 24,000 samples of two bytes."""


class Talk:
    """One connection: the answers that it holds for, and what they cost."""

    operation: ClassVar[str] = "chat"
    marks: ClassVar[tuple[str, ...]] = (*sorted(_ENDS), _TRANSCRIBED, "session.created", "session.updated")
    """Events that tell something, by what stands in their text."""

    def __init__(self, fuse: Fuse, caller: Caller, model: str) -> None:
        self._fuse = fuse
        self._caller = caller
        self._model = model
        self._held: list[Seen] = []
        self._asked = 0
        """Answers asked for and not here yet."""
        self._transcriber = _TRANSCRIBER
        self._sought = tuple(mark.encode() for mark in self.marks)

    def open(self) -> None:
        """Take the hold for the first answer; where its model is not known yet, see whether anything is left.

        Raises:
            SentinelError: it is refused.
        """
        if self._model:
            self._hold(Stage.READY)
        else:
            self._look()

    def ask(self, event: object) -> None:
        """An event is about to be sent. Raises SentinelError where it asks for an answer that is refused."""
        field = fields_of(_told(event))
        if field("type") != "response.create":
            return
        model = field("model")  # the Responses API's events are its requests; a Realtime session has one model
        self._model = model if isinstance(model, str) else self._model
        if len(self._held) <= self._asked:
            self._hold(Stage.READY, _given(event) if isinstance(model, str) else None)
        self._asked += 1

    def heard(self, data: Any) -> None:
        """An event came."""
        marks: tuple[Any, ...] = self._sought if isinstance(data, bytes | bytearray) else self.marks
        if any(mark in data for mark in marks):
            event = foreign_text.read_json(data)
            if isinstance(event, dict):
                self._take(cast("dict[str, Any]", event))

    def end(self) -> None:
        """The connection is closed: answers that were asked for may have cost, the others did not."""
        while self._held:
            self._fuse.close_call(self._held.pop(0), outcome=Outcome.BROKEN if self._asked else Outcome.FAILED)
            self._asked = max(self._asked - 1, 0)

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind in _ENDS:
            seen = self._held.pop(0) if self._held else self._over(self.operation, self._model)
            self._asked = max(self._asked - 1, 0)
            self._close(seen, event.get("response"))
        elif kind == _TRANSCRIBED:
            usage = read_usage(event)
            if usage is not None:
                self._fuse.close_call(self._over("transcription", self._transcriber), usage=usage)
        elif kind in ("session.created", "session.updated"):
            self._transcriber = _transcriber(event) or self._transcriber

    def _close(self, seen: Seen, answer: object) -> None:
        """Book an answer by what it tells of itself."""
        told = Reading()
        read_body(answer, told)
        self._fuse.close_call(seen, usage=told.usage, response_id=told.response_id, model=told.model, tier=told.tier)

    def _hold(self, stage: Stage, body: Mapping[str, Any] | None = None) -> None:
        site = call_site()
        caller = site.caller if site is not None else self._caller
        inside = (site.node, site.frame) if site is not None else ()
        around = site.around() if site is not None else ()
        operation = self.operation if body is None else "responses"
        asked: Mapping[str, Any] | None = body
        if body is None and operation == "live":
            asked = {}  # by this it is quoted by the second
        request = self._request(caller, stage, operation, self._model, asked)
        self._held.append(admit(self._fuse, request, around, *inside))

    def _look(self) -> None:
        """See whether anything is left, and hold nothing."""
        self._hold(Stage.UNNAMED)
        self._fuse.close_call(self._held.pop(), outcome=Outcome.FAILED)

    def _over(self, operation: str, model: str) -> Seen:
        """What was begun unasked, and is here."""
        return self._fuse.open_call(self._request(self._caller, Stage.OVER, operation, model))

    def _request(
        self, caller: Caller, stage: Stage, operation: str, model: str, body: Mapping[str, Any] | None = None
    ) -> CallRequest:
        return CallRequest(
            layer=Layer.REQUEST,
            source=SOURCE,
            caller=caller,
            stage=stage,
            operation=operation,
            provider="openai",
            body=body,
            model=model,
            trace_id=caller.trace,
        )


class Sideband(Talk):
    """A connection beside a session that someone else pays for: what it has others do is its own."""

    marks: ClassVar[tuple[str, ...]] = ("response.event", "decision.event")

    def ask(self, event: object) -> None:
        """Raises SentinelError where it asks for work, and nothing is left."""
        if fields_of(_told(event))("type") in _ASKS:
            self._look()

    def _take(self, event: Mapping[str, Any]) -> None:
        inner = fields_of(event.get("event"))
        if event.get("type") == "decision.event":
            self._delegated(inner("decision"))
        elif event.get("type") == "response.event" and inner("type") in _ENDS:
            self._delegated(inner("response"))

    def _delegated(self, answer: object) -> None:
        model = fields_of(answer)("model")
        self._close(self._over("responses", model if isinstance(model, str) else ""), answer)


class Live(Sideband):
    """A session that is billed by the second: held and booked minute by minute, as it tells its seconds."""

    operation: ClassVar[str] = "live"
    marks: ClassVar[tuple[str, ...]] = (*Sideband.marks, "session.started", "session.usage.updated", "session.closed")

    def __init__(self, fuse: Fuse, caller: Caller, model: str) -> None:
        super().__init__(fuse, caller, model)
        self._runs = False
        self._seconds = 0.0
        self._booked = 0

    def ask(self, event: object) -> None:
        """Raises SentinelError where it begins the session, or another minute, or asks for work, and is refused."""
        told = _told(event)
        kind = fields_of(told)("type")
        if kind == "session.close":
            return
        if kind == "session.start":
            self._named(fields_of(told)("session"))
            self._begin()
        if self._runs and not self._held:
            Talk.open(self)
        if kind in _ASKS:
            self._look()

    def end(self) -> None:
        """The connection is closed. Where its seconds were never told, what is held is booked."""
        if math.ceil(self._seconds) > self._booked:
            self._settle()
        while self._held:
            unknown = self._runs and not self._booked
            self._fuse.close_call(self._held.pop(), outcome=Outcome.BROKEN if unknown else Outcome.FAILED)

    def _begin(self) -> None:
        self._runs = True

    def _named(self, session: object) -> None:
        model = fields_of(session)("model")
        self._model = model if isinstance(model, str) else self._model

    def _take(self, event: Mapping[str, Any]) -> None:
        super()._take(event)
        kind = event.get("type")
        if kind in ("session.started", "session.closed"):
            self._named(event.get("session"))
            self._begin()
        seconds = fields_of(event.get("usage"))("seconds")
        if isinstance(seconds, int | float):
            self._run(float(seconds), closed=kind == "session.closed")

    def _run(self, seconds: float, *, closed: bool = False) -> None:
        """So many seconds are to be billed by now: book them by the minute."""
        self._seconds = max(self._seconds, seconds if math.isfinite(seconds) else 0.0)
        new = math.ceil(self._seconds) - self._booked
        if new >= LIVE_SECONDS or (closed and new > 0):
            self._settle()

    def _settle(self) -> None:
        seconds = math.ceil(self._seconds) - self._booked
        self._booked += seconds
        seen = self._held.pop() if self._held else self._over(self.operation, self._model)
        quote = seen.call.payload.quote
        by_seconds = quote is None or quote.rates.per_second
        usage = Usage(input_tokens=0, output_tokens=0, seconds=seconds) if by_seconds else None
        self._fuse.close_call(seen, usage=usage)


class Translation(Live):
    """A translation, which tells no usage: billed by the seconds of the audio that it is sent."""

    marks: ClassVar[tuple[str, ...]] = ()

    def open(self) -> None:
        """Take the hold for the first minute.

        Raises:
            SentinelError: it is refused.
        """
        self._begin()
        super().open()

    def ask(self, event: object) -> None:
        """Raises SentinelError where it begins another minute, and is refused."""
        told = _told(event)
        super().ask(told)
        audio = fields_of(told)("audio") if fields_of(told)("type") == _APPENDED else None
        if isinstance(audio, str):
            self._run(self._seconds + len(audio) * 3 / 4 / _BYTES_PER_SECOND)

    def end(self) -> None:
        """The connection is closed: what was sent is booked, and that nothing was sent costs nothing."""
        self._runs = False
        super().end()


KINDS: Mapping[str, type[Talk]] = {
    "Realtime": Talk,
    "Responses": Talk,
    "Live": Live,
    "Forks": Live,
    "Sideband": Sideband,
    "Translations": Translation,
}
"""By what the names of the SDK's classes begin with."""


def _told(event: object) -> object:
    """An event as it is sent, by `send` or as text by `send_raw`."""
    if not isinstance(event, str | bytes | bytearray):
        return event
    try:
        return foreign_text.read_json(event)
    except ValueError:
        return None


def _given(event: object) -> Mapping[str, Any] | None:
    """What an event says; the SDK still has in it what its caller left out."""
    told = _told(event)
    if not isinstance(told, Mapping):
        return None
    said = cast("Mapping[str, Any]", told)
    return {name: one for name, one in said.items() if type(one).__name__ not in ("Omit", "NotGiven")}


def _transcriber(event: Mapping[str, Any]) -> str:
    """The model that transcribes what a session hears (the beta tells it elsewhere); empty where none is told."""
    session = fields_of(event.get("session"))
    asked = fields_of(fields_of(session("audio"))("input"))("transcription") or session("input_audio_transcription")
    model = fields_of(asked)("model")
    return model if isinstance(model, str) else ""
