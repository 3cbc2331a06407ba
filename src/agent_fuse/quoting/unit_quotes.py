"""Quotes of calls that are not billed by the tokens of their text, or not yet: one function an operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from agent_fuse.calls import MAX_TOKENS, Usage
from agent_fuse.quoting import request_parameters, units
from agent_fuse.quoting.batch_files import BatchFile
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.quote import Quote, Source
from agent_fuse.quoting.rates import Origin, Rates
from agent_fuse.quoting.recent import Recent

DEFAULT_INPUT_TOKENS = 4_000
"""Input of a call of which nothing is known: a system prompt, some tools and a few turns."""
DEFAULT_OUTPUT_TOKENS = 1_000
"""Output of a call without max_tokens, in a session that has made none yet: a long answer or a short file."""


class _Book(Protocol):
    def rates(self, model: str | None, provider: str | None = None, *, tier: str = "") -> Rates: ...


class _Counter(Protocol):
    def count_text(self, text: str, model: str | None = None) -> int: ...


class _Quoter(Protocol):
    @property
    def book(self) -> _Book: ...
    @property
    def counter(self) -> _Counter: ...
    @property
    def strict(self) -> bool: ...
    @property
    def batch_files(self) -> Recent[str, BatchFile]: ...
    def for_body(  # noqa: PLR0917
        self,
        provider: str | None,
        model: str | None,
        operation: str,
        body: Mapping[str, Any],
        body_bytes: int | None = None,
        session: str = "",
    ) -> Quote: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRequest:
    """A request to quote, and the quoter to ask for what is text in it."""

    quoter: _Quoter
    provider: str | None
    model: str | None
    body: request_parameters.Body
    session: str

    def rates(self, tier: str | None = None) -> Rates:
        """The model's rates, at the tier that the body asks for unless another is named."""
        named = request_parameters.tier(self.body) if tier is None else tier
        return self.quoter.book.rates(self.model, self.provider, tier=named)

    def quote(self, rates: Rates, cost: int, *, usage: Usage | None = None, fixed: bool = False) -> Quote:
        """A quote of `cost` nano-dollars; `fixed`: the request alone tells it."""
        told = usage or Usage(input_tokens=0, output_tokens=0)
        source = Source.BODY if fixed else Source.DEFAULT
        return Quote(
            input_tokens=min(told.input_tokens or 0, MAX_TOKENS),
            output_tokens=min(told.output_tokens or 0, MAX_TOKENS),
            cost=cost,
            rates=rates,
            input_source=source,
            output_source=source,
            is_upper_bound=fixed,
            model=self.model or "",
            choices=request_parameters.choices(self.body),
            fixed=fixed,
            units=usage if usage is not None and (usage.characters or usage.seconds or usage.pages) else None,
        )


def _image(request: UnitRequest) -> Quote | None:
    """By the image, for models that are billed so; the others are billed by tokens, as text is."""
    one = units.per_image(bare(request.model or ""), request.body)
    return (
        None
        if one is None
        else request.quote(request.rates(), one * request_parameters.choices(request.body), fixed=True)
    )


def _speech(request: UnitRequest) -> Quote:
    """By the character; models billed by audio tokens by an estimate of those."""
    rates, text = request.rates(), request.body.get("input")
    length = len(text) if isinstance(text, str) else units.UNSEEN_CHARACTERS
    if rates.per_character:
        usage = Usage(input_tokens=0, output_tokens=0, characters=length)
        return request.quote(rates, rates.cost(usage), usage=usage, fixed=isinstance(text, str))
    into = request.quoter.counter.count_text(text, request.model) if isinstance(text, str) else length
    spoken = round(length * units.SPEECH_TOKENS_PER_CHARACTER)
    return request.quote(rates, rates.expected(into, spoken), usage=Usage(input_tokens=into, output_tokens=spoken))


def _recording(request: UnitRequest) -> Quote:
    """By the second, or by the audio tokens that a second becomes."""
    rates = request.rates()
    seconds = units.recording_seconds(request.body.get("file"), bound=request.quoter.strict)
    if rates.per_second:
        usage = Usage(input_tokens=0, output_tokens=0, seconds=seconds)
    else:
        tokens = seconds * units.AUDIO_TOKENS_PER_SECOND
        usage = Usage(input_tokens=tokens, output_tokens=tokens, input_audio_tokens=tokens)
    return request.quote(rates, rates.cost(usage), usage=usage)


def _video(request: UnitRequest) -> Quote:
    """By the second of the clip; an estimate where the request names no model, as a remix of another clip does."""
    cost = units.video(bare(request.model or ""), request.body)
    return request.quote(request.rates(), cost * request_parameters.choices(request.body), fixed=bool(request.model))


def _training(request: UnitRequest) -> Quote:
    """An estimate: what the training file holds is not seen."""
    return request.quote(request.rates(), units.training(bare(request.model or "")))


def _message_batch(request: UnitRequest) -> Quote:
    """Anthropic's batch holds its requests: each is quoted as a message at the batch price."""
    lines = request.body.get("requests")
    into = out = cost = 0
    for line in cast("list[Any]", lines) if isinstance(lines, list | tuple) else ():
        params: Any = cast("Mapping[str, Any]", line).get("params") if isinstance(line, Mapping) else None
        body = {**(cast("Mapping[str, Any]", params) if isinstance(params, Mapping) else {}), "service_tier": "batch"}
        one = request.quoter.for_body(request.provider, None, "messages", body, session=request.session)
        into, out, cost = into + one.input_tokens, out + one.output_tokens, cost + one.cost
    if not cost:
        return _calls(1, "batch")(request)  # no request in it can be read
    return request.quote(request.rates("batch"), cost, usage=Usage(input_tokens=into, output_tokens=out))


def _batch(request: UnitRequest) -> Quote:
    """By the lines of its input file, where that was seen."""
    file = request.body.get("input_file_id")
    seen = request.quoter.batch_files.get(file) if isinstance(file, str) else None
    if seen is None:
        return _calls(units.BATCH_LINES, "batch")(request)
    usage = Usage(input_tokens=seen.input_tokens, output_tokens=seen.output_tokens)
    return request.quote(request.rates("batch"), seen.cost, usage=usage)


def _calls(number: int, tier: str | None = None) -> "Callable[[UnitRequest], Quote]":
    def quote(request: UnitRequest) -> Quote:
        """An estimate: so many calls of ordinary size."""
        rates = request.rates(tier)
        usage = Usage(input_tokens=DEFAULT_INPUT_TOKENS * number, output_tokens=DEFAULT_OUTPUT_TOKENS * number)
        one = rates.expected(DEFAULT_INPUT_TOKENS, DEFAULT_OUTPUT_TOKENS)
        return request.quote(rates, one * number, usage=usage)

    return quote


def _agent(request: UnitRequest) -> Quote:
    """An estimate of what goes on at the provider: so many calls, or minutes of a session that is billed by these."""
    session = request.body.get("session")
    named = cast("Mapping[str, Any]", session).get("model") if isinstance(session, Mapping) else None
    asked = replace(request, model=named) if isinstance(named, str) and not request.model else request
    rates = asked.rates()
    if not rates.tokens_free:
        return _calls(units.AGENT_CALLS)(asked)
    usage = Usage(input_tokens=0, output_tokens=0, seconds=units.AGENT_CALLS * units.LIVE_SECONDS)
    return asked.quote(rates, rates.cost(usage), usage=usage)


def _live(request: UnitRequest) -> Quote:
    """By the second, so many at once; a model of which that is not known, as an ordinary call."""
    rates = request.rates()
    if not rates.per_second:
        return _calls(1)(request)
    usage = Usage(input_tokens=0, output_tokens=0, seconds=units.LIVE_SECONDS)
    return request.quote(rates, rates.cost(usage), usage=usage)


def _rerank(request: UnitRequest) -> Quote | None:
    """By the search, which is up to 100 documents of ordinary length; some models are billed by tokens, as text is."""
    rates, documents = request.rates(), request.body.get("documents")
    if not rates.per_web_search or rates.tiers[0].input or rates.origin is not Origin.DATA:
        return None
    number = len(cast("list[Any]", documents)) if isinstance(documents, list | tuple) else 1
    return request.quote(rates, rates.cost(Usage(input_tokens=0, output_tokens=0, web_searches=-(-number // 100) or 1)))


def _pages(request: UnitRequest) -> Quote:
    """By the page: those that are asked for, else an estimate; an image is one."""
    rates, asked, document = request.rates(), request.body.get("pages"), request.body.get("document")
    number = units.MOST_PAGES if request.quoter.strict else units.PAGES
    if isinstance(asked, list):
        number = len(cast("list[Any]", asked))
    elif isinstance(document, Mapping) and cast("Mapping[str, Any]", document).get("type") == "image_url":
        number = 1
    usage = Usage(input_tokens=0, output_tokens=0, pages=number)
    return request.quote(rates, rates.cost(usage), usage=usage) if rates.per_page else _calls(1)(request)


UNIT_QUOTES: Mapping[str, Callable[[UnitRequest], Quote | None]] = {
    "image": _image,
    "speech": _speech,
    "transcription": _recording,
    "video": _video,
    "live": _live,
    "rerank": _rerank,
    "ocr": _pages,
    "fine_tuning": _training,
    "message_batch": _message_batch,
    "batch": _batch,
    "run": _calls(units.AGENT_CALLS),
    "agent": _agent,
    "unknown": _calls(1),
}
"""By operation (`endpoints`)."""
