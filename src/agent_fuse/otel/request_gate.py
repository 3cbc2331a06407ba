"""The request gate: judges the exact body that an SDK is about to send, and reads what its response cost.

A `Flight` is one attempt: it begins when a request is built and ends when that failed, was answered, or is dropped. It
travels with the request itself, so both of its ends find each other whoever else wraps the SDK, in whatever order. A
retry is a flight of its own, on the account of the same call.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from http import HTTPStatus
from typing import Any, cast
from weakref import finalize

from agent_fuse import foreign_text, told_costs
from agent_fuse.accounting.call_request import AS_ASKED, CallRequest
from agent_fuse.calls import Usage
from agent_fuse.charged import cost_nothing, of_words
from agent_fuse.conversation import calls_in
from agent_fuse.endpoints import UNKNOWN
from agent_fuse.errors import SentinelError
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.otel.altering import mark
from agent_fuse.otel.cut_off import CutOff, Form, can_be_cut_off
from agent_fuse.otel.gate import CallSite, admit, call_site, refused, whose
from agent_fuse.otel.open_spans import around
from agent_fuse.otel.response import AnswerReader, Observe, Sieve, ToLastWord, observe
from agent_fuse.otel.unseen import end_unseen
from agent_fuse.quoting.families import hides_reasoning
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.request_parameters import PLACE
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, fault, quietly
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.told_later import clip_of, failed, goes_on
from agent_fuse.wire import Reading, StreamReader, asks_for_usage, count_whole, read_body, read_stream

SOURCE = "request"

_AWS_EVENTS = "application/vnd.amazon.eventstream"
_COST, _SHOWING, _ASKING = "telling what an error cost", "showing an answer", "asking a stream for its usage"

FLIGHT: "ContextVar[Flight | None]" = ContextVar("agent_fuse_flight", default=None)
"""The request that is being sent in this context."""


class Flight:
    """One request of an SDK client under way."""

    _alterable = True
    """It can still be built anew."""

    def __init__(self, provider: str, to: Any = None) -> None:
        self.provider = provider
        self._to = to
        """The URL that an SDK's client made of it (httpx)."""
        self.seen: Seen | None = None
        self.renamable = False
        """Its body names the model, and nothing else does."""
        self.fields: Mapping[str, object] = {}
        """Of its body, as they are to leave."""
        self._fuse: Fuse | None = None
        self._observe: Observe = observe
        self.sent = False
        """An attempt to send it was seen."""
        self._sees_sending = False
        """Attempts to send it are seen, so that one which was not seen was not made."""
        self.has_answer = False
        """A response to it was seen."""
        self._watched = False
        """The answer's body is read by someone else than `result`."""
        self._content: bytes | None = None
        """The whole answer, until it is booked."""
        self._charged: str | None = None
        """What a header of the answer says it cost."""
        self._url: object = ""
        self._lost_with: finalize[Any, Any] | None = None
        """Runs when the request is dropped, and nobody else told how it ended."""
        self._reading = Reading()
        self._wants_text = False
        self._sieve: Sieve | None = None
        """Keeps from the caller what was asked for on his behalf."""
        self._operation = ""
        self._in_background = False
        self._failed = False
        """What it asked for was not made, and costs nothing."""
        self._counts = False
        """What is written is counted, should it be cut off."""
        self._carried: Form = _as_it_is
        """Makes a trip what the caller can carry."""
        self._cutting: CutOff | None = None

    @property
    def is_over(self) -> bool:
        """Its end was seen."""
        return self.seen is not None and self.seen.ended_at is not None

    def judge(self, operation: str, url: str, body: object, body_bytes: int | None) -> None:
        """The request is built: refuse it or let it go.

        Raises:
            SentinelError: soft where LangChain's model layer is above, else hard.
        """
        site = call_site()
        if site is None or not site.fuse.settings.request_gate:
            return
        self._fuse = fuse = site.fuse
        if operation == UNKNOWN:
            from agent_fuse.otel.unknown_endpoints import is_gated  # noqa: PLC0415  few are not known

            if not is_gated(fuse.settings.unknown_endpoint, url, self.provider):
                return
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}
        model = fields.get("model")
        self._in_background = fields.get("background") is True
        self._wants_text = operation in ("chat", "text_completion") and not asks_for_usage(fields)
        self._open(site, operation, model if isinstance(model, str) else _deployment(url), fields, body_bytes)
        if self._wants_text and fields.get("stream") is True:
            from agent_fuse.otel.stream_usage import asking, without_usage  # noqa: PLC0415  whole answers tell it

            if field := quietly(_ASKING, GOES_ON, asking, fields, fuse.settings, self._to):
                self.fields, self._sieve = {**self.fields, **field}, without_usage

    def _open(
        self, site: CallSite, operation: str, model: str, body: Mapping[str, Any], body_bytes: int | None
    ) -> None:
        self._operation = operation
        provider, place = whose(str(self._to or self._url))
        request = CallRequest(
            layer=Layer.REQUEST,
            source=SOURCE,
            caller=site.caller,
            operation=operation,
            provider=provider or self.provider,
            model=model,
            body={**body, PLACE: place} if place else body,
            body_bytes=body_bytes,
            alterable=self._alterable,
            renamable=self.renamable,
            trace_id=site.caller.trace,
            span_id=site.span_id,
            loop=site.fuse.conversations.heard(site.caller, body) if "tools" in body else None,
        )
        self._carried = lambda trip: refused(site.fuse, trip, site.node, site.frame)
        self.seen = admit(site.fuse, request, around(site.node), site.node, site.frame)
        if site.fuse.settings.tell_model and self._alterable:
            from agent_fuse.otel.telling_model import tell  # noqa: PLC0415  who wants it asks for it

            quietly("telling the model what is left", GOES_ON, tell, site.fuse, self.seen.call.payload)
        altered = self.seen.call.payload.altered
        if altered is not AS_ASKED:
            self.fields = altered.fields
            quietly("telling how a request was altered", GOES_ON, mark, altered, site.node, site.frame)

    def follow(self, request: Any, *, sees_sending: bool) -> None:
        """From now on, the end of the request is the flight's, should it come to no other."""
        self._sees_sending = sees_sending
        self._url = request.url
        self._lost_with = finalize(request, quietly, "booking a dropped request", HELD_AT_QUOTE, self._dropped)
        self._lost_with.atexit = False

    def answered(self, response: Any) -> None:
        """A response is here; its body may still be on its way."""
        if self.seen is None or self.has_answer:
            return
        self.has_answer = True
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            self._close(of_words("", status=response.status_code).outcome)
            return
        self._charged = response.headers.get(told_costs.HEADER)
        if response.is_closed:
            self._content = response.content
            if self._sieve is not None and (shown := quietly(_SHOWING, GOES_ON, self._sieve, response.content)):
                response._content = b"".join(shown)  # noqa: SLF001
        else:
            self._watched = True
            try:
                kind = response.headers.get("content-type", "")
                reader = self._watch(kind)
                self._observe(response, reader, self._stream_ended)
                if self._sieve is not None and "text/event-stream" in kind:
                    response.agent_fuse_watch.sieve = self._sieve
            except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
                self._lost(error)

    def result(self, response: Any, parsed: object) -> None:
        """The response was made into what the caller gets; a whole body is booked now."""
        if self.seen is None or self._watched:
            return
        try:
            if self._operation == "responses" and self._fuse is not None:
                quietly("reading what an answer asks for", GOES_ON, self._hear, parsed)
            if not read_body(parsed, self._reading):
                self._read_content(response.content)
            self._book(broken=False)
        except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
            self._lost(error)

    def _hear(self, answer: object) -> None:
        """The provider may keep this conversation: what it asks for is told only now."""
        for call in calls_in(answer):
            cast("Fuse", self._fuse).conversations.asked(*call)

    def unreadable(self, response: Any) -> None:
        """The SDK could not make sense of a paid response."""
        if self.seen is not None and not self._watched:
            quietly("reading an answer", BOOKED_AT_QUOTE, lambda: self._read_content(response.content))
            self._finish(broken=True)

    def failed(self, error: BaseException) -> None:
        """It could not be sent, or no answer came: give the hold back where nothing can have been charged."""
        if self.seen is None or (self.has_answer and isinstance(error, Exception)):
            return
        free = isinstance(error, SentinelError) or quietly(_COST, BOOKED_AT_QUOTE, cost_nothing, error)
        self._close(Outcome.FAILED if free else Outcome.BROKEN)

    def give_back(self) -> None:
        """It was interrupted before it could be sent."""
        self._close(Outcome.FAILED)

    def abandon(self) -> None:
        """Nobody will see its end: what it may cost is booked now."""
        end_unseen(self.provider)
        self._close(Outcome.BROKEN)

    def _watch(self, content_type: str) -> AnswerReader:
        """What watches a stream: a reader of its usage, and where it may be cut off, what does that before it."""
        seen, fuse = self.seen, self._fuse
        self._counts = self._observe is observe and seen is not None and can_be_cut_off(seen)
        quote = seen.call.payload.quote if seen is not None else None
        self._reading.several = quote is not None and quote.choices > 1
        reader = self._reader(content_type)
        if isinstance(reader, StreamReader):
            reader = ToLastWord(reader, self._stream_ended)
        if self._counts and seen is not None and fuse is not None:
            reader = self._cutting = CutOff(fuse, seen, reader, self._reading, self._carried)
        return reader

    def _reader(self, content_type: str) -> AnswerReader:
        """What reads a stream."""
        if _AWS_EVENTS not in content_type:
            return StreamReader(self._reading, count_text=self._counts or self._wants_text)
        from agent_fuse.aws_events import EventStreamReader  # noqa: PLC0415  Bedrock's alone

        return EventStreamReader(self._reading, count_text=self._counts or self._wants_text)

    def _dropped(self) -> None:
        """Its request is gone, and so is everyone who could have told how it ended."""
        if self.seen is None or self.seen.ended_at is not None or self._watched:
            return
        if self._content is not None:
            end_unseen(self.provider)
            self._read_content(self._content)
            self._finish(broken=False)
        elif self._sees_sending and not self.sent:
            self._close(Outcome.FAILED)
        else:
            self.abandon()

    def _read_content(self, content: bytes) -> None:
        try:
            body = foreign_text.read_json(content)
        except ValueError:
            self._reading.complete = False
            read_stream(content, self._reading)
            return
        if read_body(body, self._reading):
            return
        if self._wants_text:
            count_whole(body, self._reading)
        if self.seen is not None:
            self.seen.call.payload.later = goes_on(self._operation, body)
            self.seen.call.payload.clip = clip_of(body)
            self._failed = failed(self._operation, body)

    def _stream_ended(self, broken: bool) -> None:
        if not self.is_over:
            self._finish(broken=broken)

    def _finish(self, *, broken: bool) -> None:
        try:
            self._book(broken=broken)
        except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        fault("reading an answer", error, BOOKED_AT_QUOTE)
        self._close(Outcome.BROKEN)

    def _book(self, *, broken: bool) -> None:
        reading = self._reading
        pending = self.seen.call.payload if self.seen is not None else None
        if self._cutting is not None and self._cutting.cut:
            self._close(Outcome.BROKEN, estimate=self._cutting.what_came())
            return
        if pending is not None and self._in_background and not reading.final:
            pending.later = reading.response_id  # its stream was left, and it goes on
        if self._failed:
            self._close(Outcome.FAILED)
        elif pending and pending.quote and pending.quote.fixed and not (broken or pending.later):
            self._close(Outcome.DONE, usage=self._with_cost(pending.quote.usage))
        elif reading.usage is not None and (reading.final or not broken):
            told = reading.cost is not None or self._charged is not None
            self._close(Outcome.DONE, usage=self._with_cost(reading.usage) if told else reading.usage)
        elif reading.complete and self._wants_text:
            self._close(Outcome.DONE, estimate=self._with_cost(Usage(output_tokens=self._counted())))
        else:
            known = reading.usage and replace(reading.usage, output_tokens=None)
            self._close(Outcome.BROKEN if broken or not reading.complete else Outcome.DONE, estimate=known)

    def _with_cost(self, usage: Usage) -> Usage:
        """The usage, with what the answer says it cost where that is believed."""
        cost = self._reading.cost
        if self._fuse is None:
            return usage
        trusted = self._fuse.settings.trusted_costs
        told = told_costs.in_header(self._charged) if told_costs.LITELLM in trusted else None
        if told is None and cost is not None and told_costs.believed(str(self._url), trusted):
            told = cost
        return usage if told is None else replace(usage, told_cost=told)

    def _counted(self) -> int:
        """Output tokens of a stream that told no usage: what came; where reasoning is hidden, the quote at least."""
        written = self._reading.written_tokens
        pending = self.seen.call.payload if self.seen is not None else None
        if pending is not None and pending.quote is not None and hides_reasoning(bare(pending.request.model)):
            return max(written, pending.quote.output_tokens)
        return written

    def _close(self, outcome: Outcome, *, usage: Usage | None = None, estimate: Usage | None = None) -> None:
        self._content = self._cutting = None
        if self.seen is not None and self._fuse is not None:
            reading = self._reading
            told: Any = {"model": reading.model, "response_id": reading.response_id, "tier": reading.tier}
            self._fuse.close_call(self.seen, outcome=outcome, usage=usage, estimate=estimate, **told)
        if self._lost_with is not None:
            self._lost_with.detach()


def _as_it_is(trip: SentinelError) -> SentinelError:
    return trip


def _deployment(url: str) -> str:
    """Azure names the model by its deployment in the URL."""
    _, found, rest = url.partition("/deployments/")
    return rest.partition("/")[0] if found else ""
