"""What a call will cost, before it is made: from its body, else from its span, else from the calls before it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage
from agent_fuse.prices import PriceBook
from agent_fuse.quoting import request_parameters, units
from agent_fuse.quoting.batch_files import BatchFile
from agent_fuse.quoting.bodies import Count
from agent_fuse.quoting.learned import Learned
from agent_fuse.quoting.offered_tools import ONLINE, drawing, offered
from agent_fuse.quoting.quote import Quote, Source
from agent_fuse.quoting.rates import PICOS_PER_NANO, Origin, Rates
from agent_fuse.quoting.recent import Recent
from agent_fuse.quoting.unit_quotes import DEFAULT_INPUT_TOKENS, DEFAULT_OUTPUT_TOKENS, UNIT_QUOTES, UnitRequest
from agent_fuse.tokens import TokenCounter, upper_bound_tokens

__all__ = ["DEFAULT_INPUT_TOKENS", "DEFAULT_OUTPUT_TOKENS", "Quote", "Quoter", "Source"]

_BATCH_FILES = 256
"""Input files of batches last uploaded that are remembered."""

UNSEEN_TOKENS = 1_000_000
"""Bound of an input kept at the provider (a conversation, a file), where no context window is known."""


class Quoter:
    """Quotes calls and learns from what they really used. Safe in threads; raises nothing but UnknownModelError.

    `strict`: quotes are upper bounds wherever one is known. Input: UTF-8 bytes of the body, images at their makers'
    largest figure, the context window where part of the input is kept at the provider. Output: max_tokens, else the
    model's largest answer, times the choices. Every token at the dearest rate it can fall under.
    """

    def __init__(
        self,
        book: PriceBook,
        *,
        strict: bool = False,
        default_input_tokens: int = DEFAULT_INPUT_TOKENS,
        default_output_tokens: int = DEFAULT_OUTPUT_TOKENS,
        counter: TokenCounter | None = None,
    ) -> None:
        self.book = book
        self.strict = strict
        self.counter = counter or TokenCounter()
        self._default_input = _clamped(default_input_tokens)
        self._default_output = _clamped(default_output_tokens)
        self._learned = Learned()
        self.batch_files: Recent[str, BatchFile] = Recent(_BATCH_FILES)
        """By the id that their provider gave them."""

    def for_body(  # noqa: PLR0917 - the request gate has them all, in this order
        self,
        provider: str | None,
        model: str | None,
        operation: str,
        body: Mapping[str, Any],
        body_bytes: int | None = None,
        session: str = "",
        *,
        wait: bool = True,
    ) -> Quote:
        """Quote a request by its body. About 10 microseconds for a small chat whose texts were counted before.

        Input: counted (`tokens.TokenCounter.count`) and corrected by what the model's calls really used; for a body
        that cannot be walked, its bytes times the model's tokens per byte. Where part of it is kept at the provider,
        at least the session's last input and output. Output: max_tokens, max_completion_tokens or max_output_tokens
        times the choices, else learned, else default; none for embeddings and reranking. Where other models may answer
        instead, it is the dearest one's. Without `wait` the quote is a bound (`provisional`) while the model's
        vocabulary is being loaded.

        Raises:
            UnknownModelError: the book blocks models without a price.
        """
        known = cast("request_parameters.Body", body) if type(body) is dict else request_parameters.opened(body)
        plain = known if known is not None else {}
        model = model or request_parameters.model(plain)
        stands_for = self.book.stands_for(model, provider)
        if (by_units := UNIT_QUOTES.get(operation)) is not None:
            found = by_units(UnitRequest(quoter=self, provider=provider, model=stands_for, body=plain, session=session))
            if found is not None:
                return found
        rates = self.book.rates(model, provider, tier=request_parameters.tier(plain))
        count = (
            self.counter.count(operation, plain, stands_for, wait=wait) if known is not None else Count(readable=False)
        )
        choices = request_parameters.choices(plain)
        tools, searched, drawn = None, 0, 0
        if not _TOOLS.isdisjoint(plain) or (model is not None and model.endswith(ONLINE)):
            tools = offered(plain, model or "", by_call=bool(rates.per_call))
            searched = rates.searched(tools) if tools is not None else 0
            if (image := drawing(plain)) is not None:
                one = units.image_output(image[1], bound=self.strict)
                drawn = self.book.rates(image[0], provider).expected(0, one)
        out, out_source, bounded = self._output(
            operation, request_parameters.cap(plain), choices, session, model, rates, Source.BODY, plain
        )
        if self.strict:
            into, into_source = self._bound_input(count, plain, body_bytes, stands_for, rates), Source.BOUND
            into = min(into + searched, MAX_TOKENS)
            cost = rates.bound(into, out, media=bool(count.media_tokens) or not count.readable)
        else:
            into, into_source = self._body_input(count, body_bytes, model, session)
            into = min(into + searched, MAX_TOKENS)
            cost = rates.expected(into, out, cache_write=count.cache_write)
            bounded = False
        fee = -(-rates.per_call // PICOS_PER_NANO)
        if tools is not None:
            fee = rates.fees(tools)
            cost += fee - -(-rates.per_call // PICOS_PER_NANO)
        cost += drawn
        plain_text = count.readable and not (count.media_tokens or count.unseen or count.open_ended)
        quote = Quote(
            input_tokens=into,
            output_tokens=out,
            cost=cost,
            fee=fee,
            rates=rates,
            input_source=into_source,
            output_source=out_source,
            is_upper_bound=bounded and count.readable and not count.open_ended and rates.origin is not Origin.FALLBACK,
            model=model or "",
            choices=choices,
            counted=count.tokens if plain_text and not count.provisional else None,
            exact=count.exact,
            provisional=count.provisional and not self.strict,
        )
        if request_parameters.STAND_INS.isdisjoint(plain):
            return quote
        others = request_parameters.stand_ins(plain)
        each = [self.for_body(provider, None, operation, one, body_bytes, session, wait=wait) for one in others]
        return _with_stand_ins(quote, each, all_may_cost=self.strict and "fallbacks" in plain)

    def for_span(
        self,
        provider: str | None,
        model: str | None,
        operation: str,
        *,
        max_tokens: int | None = None,
        input_text: str | None = None,
        input_tokens: int | None = None,
        session: str = "",
        wait: bool = True,
    ) -> Quote:
        """Quote a call by what its span says at start.

        Input: `input_tokens`, else the prompt's text counted, else learned (an agent's context grows: its last input
        and last output), else default. Output as in `for_body`. A model not known is taken to be the session's last.
        Never an upper bound: a span need not show everything that is sent.

        Raises:
            UnknownModelError: the book blocks models without a price.
        """
        rates, provisional = self._rates(model, provider, session), False
        if input_tokens is not None:
            into, into_source = _clamped(input_tokens), Source.PROMPT
        elif input_text:
            stands_for = self.book.stands_for(model, provider)
            provisional = not wait and not self.counter.at_hand(stands_for)
            counted = self.counter.count_text(input_text, stands_for, wait=not provisional)
            exact = provisional or self.counter.knows(stands_for)
            into, into_source = self._learned.corrected(model, counted, exact=exact, session=session), Source.PROMPT
        else:
            into, into_source = self._grown(session, model)
        out, out_source, _ = self._output(operation, max_tokens, 1, session, model, rates, Source.PROMPT)
        quote = self._plain(_clamped(into), out, rates, into_source, out_source, model)
        return replace(quote, provisional=True) if provisional else quote

    def for_estimate(
        self,
        model: str | None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        *,
        provider: str | None = None,
        session: str = "",
    ) -> Quote:
        """Quote a call by the caller's own estimate; what it leaves out (None) is learned, else default.

        Raises:
            UnknownModelError: the book blocks models without a price.
        """
        rates = self._rates(model, provider, session)
        into, into_source = self._grown(session, model) if input_tokens is None else (input_tokens, Source.GIVEN)
        out, out_source, _ = self._output("chat", output_tokens, 1, session, model, rates, Source.GIVEN)
        return self._plain(_clamped(into), out, rates, into_source, out_source, model)

    def resized(self, quote: Quote, output_tokens: int) -> Quote:
        """The quote of the same call with so much output."""
        price = quote.rates.bound if self.strict else quote.rates.expected
        change = price(quote.input_tokens, output_tokens) - price(quote.input_tokens, quote.output_tokens)
        return replace(quote, output_tokens=output_tokens, cost=max(quote.cost + change, 0))

    def with_more_input(self, quote: Quote, tokens: int) -> Quote:
        """The quote of the same call with so much more input."""
        price = quote.rates.bound if self.strict else quote.rates.expected
        longer = quote.input_tokens + tokens
        more = price(longer, quote.output_tokens) - price(quote.input_tokens, quote.output_tokens)
        return replace(quote, input_tokens=longer, cost=quote.cost + max(more, 0))

    def learn(
        self, session: str, model: str | None, *, quoted: Quote | None, body_bytes: int | None, usage: Usage
    ) -> None:
        """Take in what a call really used. `model` may be the one that answered: dated snapshots are one model here.

        Corrects the model's count (real over counted tokens, over the last calls by their size, each new call making
        the older ones weigh a quarter less; at most x 0.8 to 1.25 where its vocabulary is known, x 0.25 to 4 where not)
        and its tokens per body byte. Keeps the session's last figures, with the input that no such factor explains:
        what the provider adds itself. Never raises.
        """
        asked = quoted.model if quoted is not None and quoted.model else model
        self._learned.learn(
            session,
            asked,
            usage,
            counted=quoted.counted if quoted is not None else None,
            exact=quoted.exact if quoted is not None else False,
            choices=quoted.choices if quoted is not None else 1,
            body_bytes=body_bytes if quoted is None or quoted.counted is not None else None,
            rates=quoted.rates if quoted is not None else None,
        )

    def _rates(self, model: str | None, provider: str | None, session: str) -> Rates:
        if not model and (last := self._learned.last(session, None)) is not None and last.rates is not None:
            return last.rates
        return self.book.rates(model or None, provider)

    def _plain(  # noqa: PLR0917
        self, into: int, out: int, rates: Rates, into_source: Source, out_source: Source, model: str | None
    ) -> Quote:
        cost = rates.bound(into, out, media=True) if self.strict else rates.expected(into, out)
        return Quote(
            input_tokens=into,
            output_tokens=out,
            cost=cost,
            rates=rates,
            input_source=into_source,
            output_source=out_source,
            model=model or "",
        )

    def _body_input(self, count: Count, body_bytes: int | None, model: str | None, session: str) -> tuple[int, Source]:
        if not count.readable:
            if body_bytes is None:
                return max(count.tokens, self._grown(session, model)[0]), Source.DEFAULT
            learned = self._learned.from_bytes(model, body_bytes)
            return (body_bytes // 3, Source.BODY) if learned is None else (learned, Source.LEARNED)
        exact = count.exact or count.provisional
        text = self._learned.corrected(model, count.tokens - count.media_tokens, exact=exact, session=session)
        into = min(text + count.media_tokens, MAX_TOKENS)
        if count.unseen and (grown := self._grown(session, model))[1] is Source.LEARNED and grown[0] > into:
            return grown
        return into, Source.BODY

    def _bound_input(
        self, count: Count, body: request_parameters.Body, body_bytes: int | None, model: str | None, rates: Rates
    ) -> int:
        size = request_parameters.size(body) if body_bytes is None else body_bytes
        if not count.readable:
            return upper_bound_tokens(size if body else max(size, request_parameters.UNREADABLE_BYTES))
        bound = upper_bound_tokens(size, count, model)
        return max(bound, rates.context_window or UNSEEN_TOKENS) if count.unseen else bound

    def _grown(self, session: str, model: str | None) -> tuple[int, Source]:
        last = self._learned.last(session, model)
        if last is None:
            return self._default_input, Source.DEFAULT
        return _clamped(last.input_tokens + last.output_tokens), Source.LEARNED

    def _output(  # noqa: PLR0917
        self,
        operation: str,
        cap: int | None,
        choices: int,
        session: str,
        model: str | None,
        rates: Rates,
        stated: Source,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[int, Source, bool]:
        """Output tokens, where they come from, and whether in strict quotes they are a bound."""
        if operation.startswith(_WITHOUT_OUTPUT):
            return 0, stated, True
        if operation.startswith("image"):
            one = units.image_output(body or {}, bound=self.strict)
            return _clamped(one * choices), Source.BODY if body else Source.DEFAULT, False
        if cap is not None:
            return _clamped(cap * choices), stated, True
        if self.strict:
            return _clamped(rates.max_output_tokens * choices), Source.BOUND, True
        last = self._learned.last(session, model)
        if last is not None and last.output_tokens:
            return _clamped(round(last.high_output * choices)), Source.LEARNED, False
        return _clamped(min(self._default_output, rates.max_output_tokens) * choices), Source.DEFAULT, False


_TOOLS = frozenset({"tools", "web_search_options", "plugins"})
_WITHOUT_OUTPUT = ("embed", "rerank", "moderation")


def _with_stand_ins(quote: Quote, others: list[Quote], *, all_may_cost: bool) -> Quote:
    """The quote of a request that other models may answer: what the dearest costs, or all of them, one after another.

    Source: Anthropic's page on refusals and fallback: an attempt that declines after it began to write is billed too.
    """
    costs = [quote.cost, *(one.cost for one in others)]
    bound = bool(others) and quote.is_upper_bound and all(one.is_upper_bound for one in others)
    return replace(quote, cost=sum(costs) if all_may_cost else max(costs), is_upper_bound=bound)


def _clamped(tokens: int) -> int:
    return 0 if tokens < 0 else min(tokens, MAX_TOKENS)
