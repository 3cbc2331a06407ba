"""Quotes: from the body, the span, the calls before; upper bounds that hold; learning that helps."""

import json
import math
import pickle
import random
import threading
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.calls import MAX_TOKENS, Usage
from agent_fuse.errors import UnknownModelError
from agent_fuse.prices import Price, PriceBook
from agent_fuse.quotes import DEFAULT_INPUT_TOKENS, DEFAULT_OUTPUT_TOKENS, Quote, Quoter, Source
from agent_fuse.tokens import TokenCounter

MESSAGES = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Name a colour. " * 50}]
BODY = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 500}


@pytest.fixture
def quoter() -> Quoter:
    return Quoter(PriceBook())


@pytest.fixture
def strict() -> Quoter:
    return Quoter(PriceBook(), strict=True)


def body_quote(quoter: Quoter, body: object, operation: str = "chat", session: str = "s") -> Quote:
    return quoter.for_body("openai", None, operation, body, None, session)


# From a body ----------------------------------------------------------------------------------------------------------


def test_body(quoter):
    """A body is quoted by its counted input and its max_tokens, at the model's rates, rounded up."""
    quote = quoter.for_body("openai", "gpt-4o", "chat", BODY, 900, "s")
    counted = TokenCounter().count_messages("chat", BODY)
    assert (quote.input_tokens, quote.output_tokens) == (counted, 500)
    assert quote.cost == counted * 2_500 + 500 * 10_000
    assert (quote.input_source, quote.output_source) == (Source.BODY, Source.BODY)
    assert quote.exact
    assert not quote.is_upper_bound
    assert quote.rates.model == "gpt-4o"


@pytest.mark.parametrize(
    ("more", "operation", "output", "source"),
    [
        ({"max_tokens": 7}, "chat", 7, Source.BODY),
        ({"max_completion_tokens": 8, "max_tokens": 7}, "chat", 8, Source.BODY),
        ({"max_output_tokens": 9}, "responses", 9, Source.BODY),
        ({"max_tokens": 7, "n": 3}, "chat", 21, Source.BODY),
        ({"max_tokens": 7, "n": 2, "best_of": 5}, "text_completion", 35, Source.BODY),
        ({"max_tokens": 7, "prompt": ["a", "b"], "n": 2}, "text_completion", 28, Source.BODY),
        ({"max_tokens": 7, "prompt": [1, 2, 3]}, "text_completion", 7, Source.BODY),
        ({"generationConfig": {"maxOutputTokens": 6}}, "generate_content", 6, Source.BODY),
        ({}, "chat", DEFAULT_OUTPUT_TOKENS, Source.DEFAULT),
        ({"n": 4}, "chat", 4 * DEFAULT_OUTPUT_TOKENS, Source.DEFAULT),
        ({"max_tokens": None}, "chat", DEFAULT_OUTPUT_TOKENS, Source.DEFAULT),
        ({"max_tokens": "many"}, "chat", DEFAULT_OUTPUT_TOKENS, Source.DEFAULT),
        ({"max_tokens": -1}, "chat", DEFAULT_OUTPUT_TOKENS, Source.DEFAULT),
        ({"max_tokens": True}, "chat", DEFAULT_OUTPUT_TOKENS, Source.DEFAULT),
        ({"max_tokens": 10**30, "n": 10**30}, "chat", MAX_TOKENS, Source.BODY),
        ({"prompt": "a cat", "n": 2}, "image_generation", 12_480, Source.BODY),
    ],
)
def test_output_of_a_body(quoter, more, operation, output, source):
    """Output is what the body allows for one answer times the answers asked for; nonsense is no figure."""
    quote = body_quote(quoter, {"model": "gpt-4o", **more}, operation)
    assert (quote.output_tokens, quote.output_source) == (output, source)


def test_embeddings_have_no_output(quoter, strict):
    """An embedding is paid by its input alone, strict or not."""
    body = {"model": "text-embedding-3-small", "input": ["one two three", "four"]}
    for one in (quoter, strict):
        assert body_quote(one, body, "embeddings").output_tokens == 0
    assert body_quote(quoter, body, "embeddings").input_tokens == 4
    assert body_quote(strict, body, "embeddings").is_upper_bound


def test_service_tier_is_priced():
    """A request for priority service is quoted at priority's price."""
    plain = Quoter(PriceBook()).for_body("openai", "o4-mini", "chat", {**BODY, "model": "o4-mini"})
    fast = Quoter(PriceBook()).for_body(
        "openai", "o4-mini", "chat", {**BODY, "model": "o4-mini", "service_tier": "priority"}
    )
    assert fast.cost > 1.5 * plain.cost


@pytest.mark.parametrize(
    ("model", "asked", "factor"),
    [
        ("claude-opus-4-6", {"inference_geo": "us"}, 1.1),
        ("claude-sonnet-5-5", {"inference_geo": "us"}, 1.1),
        ("claude-opus-4-6", {"inference_geo": "global"}, 1),
        ("claude-opus-4-5", {"inference_geo": "us"}, 1),
        ("us.anthropic.claude-opus-4-6-v1", {"inference_geo": "us"}, 1),
        ("claude-opus-4-6", {"speed": "fast"}, 6),
        ("claude-opus-5", {"speed": "fast", "service_tier": "auto"}, 2),
        ("claude-opus-5", {"speed": "fast", "inference_geo": "us"}, 2.2),
        ("claude-opus-5", {"speed": "standard"}, 1),
    ],
)
def test_place_and_speed_are_priced(model, asked, factor):
    """US-only inference is 1.1 times the list's price from Claude 4.6 on, beside fast mode's; Bedrock's own is its own."""
    body = {**BODY, "model": model, "max_tokens": 100}
    plain = Quoter(PriceBook()).for_body("anthropic", model, "messages", body)
    apart = Quoter(PriceBook()).for_body("anthropic", model, "messages", {**body, **asked})
    assert apart.cost == pytest.approx(plain.cost * factor, abs=1)


@pytest.mark.parametrize(
    ("model", "provider", "dearer"),
    [
        ("gpt-5.6", "openai", True),
        ("gpt-5.6", "azure", True),
        ("gpt-5.5", "openai", False),
        ("claude-sonnet-4-5", "anthropic", False),
    ],
)
def test_a_long_prompt_that_is_cached_unasked_is_held_at_what_it_is_billed(quoter, model, provider, dearer):
    """OpenAI writes prompts from 1,024 tokens on to its cache; where it charges for that, the quote covers the bill."""
    for tokens in (1_023, 1_024, 5_000):
        quote = quoter.for_estimate(model, tokens, 10, provider=provider)
        whole = {"input_tokens": tokens, "output_tokens": 10, "cache_write_tokens": tokens}
        bill = quote.rates.cost(Usage(**whole if dearer and tokens >= 1_024 else whole | {"cache_write_tokens": 0}))
        assert quote.cost == bill


def test_cache_writes_are_priced():
    """A Claude prompt that is to be written to the cache is quoted at the dearer write rate."""
    text = {"type": "text", "text": "word " * 2_000}
    body = {"model": "claude-opus-4-1", "max_tokens": 10, "messages": [{"role": "user", "content": [text]}]}
    marked = {**body, "system": [{"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}]}
    plain, written = (Quoter(PriceBook()).for_body("anthropic", None, "messages", one) for one in (body, marked))
    assert plain.cost == plain.input_tokens * 15_000 + 10 * 75_000
    assert written.cost == written.input_tokens * 18_750 + 10 * 75_000


class Raising(Mapping):
    def __getitem__(self, key):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError

    def __len__(self):
        return 1


@pytest.mark.parametrize(
    "body",
    [
        None,
        3,
        "text",
        [],
        Raising(),
        {"messages": 5},
        {"messages": [Raising()]},
        {"n": Raising(), "messages": object()},
    ],
    ids=range(8),
)
@pytest.mark.parametrize("size", [None, 0, 3_000])
@pytest.mark.parametrize("is_strict", [False, True])
def test_hostile_bodies_are_quoted(body, size, is_strict):
    """A body that cannot be read is quoted by its bytes, else by the session or the default; never an upper bound."""
    quoter = Quoter(PriceBook(), strict=is_strict)
    quote = quoter.for_body("openai", "gpt-4o", "chat", body, size, "s")
    assert quote.cost > 0
    assert not quote.is_upper_bound
    assert quote.counted is None
    if not is_strict:
        assert quote.input_tokens == (DEFAULT_INPUT_TOKENS if size is None else size // 3)


# From a span, from an estimate ----------------------------------------------------------------------------------------


def test_span(quoter):
    """A span's prompt text is counted; without one the default stands; max_tokens is output."""
    quote = quoter.for_span("openai", "gpt-4o", "chat", input_text="one two three", max_tokens=50)
    assert (quote.input_tokens, quote.output_tokens) == (3, 50)
    assert (quote.input_source, quote.output_source) == (Source.PROMPT, Source.PROMPT)
    blind = quoter.for_span("openai", "gpt-4o", "chat")
    assert (blind.input_tokens, blind.output_tokens) == (DEFAULT_INPUT_TOKENS, DEFAULT_OUTPUT_TOKENS)
    assert (blind.input_source, blind.output_source) == (Source.DEFAULT, Source.DEFAULT)
    assert quoter.for_span("openai", "gpt-4o", "chat", input_tokens=77).input_tokens == 77
    assert quoter.for_span("openai", "text-embedding-3-small", "embeddings").output_tokens == 0


def test_estimate(quoter):
    """A caller's estimate is taken as it is, and what it leaves out is filled in."""
    quote = quoter.for_estimate("gpt-4o", 1_000, 500)
    assert (quote.cost, quote.input_source, quote.output_source) == (7_500_000, Source.GIVEN, Source.GIVEN)
    assert quoter.for_estimate("gpt-4o").output_tokens == DEFAULT_OUTPUT_TOKENS
    assert quoter.for_estimate("gpt-4o", 0, 0).cost == 0
    assert quoter.for_estimate("gpt-4o", -5, 10**30).output_tokens == MAX_TOKENS


def test_40_quotes_make_30_cents(quoter):
    """40 quotes of 1,000 + 500 gpt-4o tokens are exactly $0.30, to the nano-dollar."""
    assert sum(quoter.for_estimate("gpt-4o", 1_000, 500).cost for _ in range(40)) == 300_000_000


def test_model_not_known_yet(quoter):
    """A span that does not say its model is quoted at the session's last model, else at the fallback rates."""
    assert quoter.for_span("", "", "chat", session="a").rates.origin == "fallback"
    spent = quoter.for_body("openai", "gpt-4o", "chat", BODY, 900, "a")
    quoter.learn(
        "a", "gpt-4o-2024-08-06", quoted=spent, body_bytes=900, usage=Usage(input_tokens=200, output_tokens=30)
    )
    quote = quoter.for_span(None, None, "chat", session="a")
    assert (quote.rates.model, quote.input_tokens, quote.output_tokens) == ("gpt-4o", 230, 30)
    assert quoter.for_span(None, None, "chat", session="b").rates.origin == "fallback"


def test_blocked_model_raises():
    """The only thing a quote raises is UnknownModelError, where the user chose to block unknown models."""
    quoter = Quoter(PriceBook(unknown_model="block"))
    for ask in (
        lambda: quoter.for_body(None, "who-knows", "chat", {}),
        lambda: quoter.for_span(None, "who-knows", "chat"),
        lambda: quoter.for_estimate("who-knows", 1, 1),
    ):
        with pytest.raises(UnknownModelError, match="who-knows"):
            ask()


# Learning -------------------------------------------------------------------------------------------------------------


def test_context_grows(quoter):
    """Without a body, the next input is the last input and the last output, per session and model."""
    quoter.learn("s", "gpt-4o", quoted=None, body_bytes=None, usage=Usage(input_tokens=10_000, output_tokens=800))
    quote = quoter.for_span("openai", "gpt-4o", "chat", session="s")
    assert (quote.input_tokens, quote.input_source) == (10_800, Source.LEARNED)
    assert (quote.output_tokens, quote.output_source) == (800, Source.LEARNED)
    assert quoter.for_span("openai", "gpt-4o-2024-08-06", "chat", session="s").input_tokens == 10_800
    assert quoter.for_span("openai", "gpt-4o", "chat", session="other").input_source is Source.DEFAULT
    assert quoter.for_span("openai", "gpt-4o-mini", "chat", session="s").input_source is Source.DEFAULT
    assert quoter.for_estimate("gpt-4o", session="s").input_tokens == 10_800


def test_output_is_learned_on_the_high_side(quoter):
    """The learned output jumps to a new high at once and comes down slowly."""
    figures = []
    for made in (100, 1_000, 100, 100):
        quoter.learn("s", "gpt-4o", quoted=None, body_bytes=None, usage=Usage(input_tokens=1, output_tokens=made))
        figures.append(quoter.for_span("openai", "gpt-4o", "chat", session="s").output_tokens)
    assert figures == [100, 1_000, 775, 606]


def test_learned_output_is_per_answer(quoter):
    """A call for four answers teaches the length of one, and the next for two is quoted at two."""
    four = {"model": "gpt-4o", "messages": MESSAGES, "n": 4}
    quoted = body_quote(quoter, four)
    quoter.learn("s", "gpt-4o", quoted=quoted, body_bytes=None, usage=Usage(input_tokens=100, output_tokens=400))
    assert body_quote(quoter, {**four, "n": 2}).output_tokens == 200


def test_embeddings_do_not_pass_for_the_sessions_last_answer(quoter):
    """A span without a model after an embedding is not quoted at the embedding's price."""
    chat, embedding = (
        body_quote(quoter, BODY),
        body_quote(quoter, {"model": "text-embedding-3-small", "input": "x"}, "embeddings"),
    )
    quoter.learn("s", "gpt-4o", quoted=chat, body_bytes=1, usage=Usage(input_tokens=500, output_tokens=50))
    quoter.learn("s", "text-embedding-3-small", quoted=embedding, body_bytes=1, usage=Usage(input_tokens=2))
    assert quoter.for_span(None, None, "chat", session="s").rates.model == "gpt-4o"


@pytest.mark.parametrize("truth", [0.5, 0.9, 1.8, 3.5])
def test_ratio_models_are_corrected(truth):
    """For a model whose vocabulary is not published, a few calls bring the quoted input within 3 % of the real one."""
    quoter, dice = Quoter(PriceBook()), random.Random(1)

    def call(size: int) -> tuple[dict, int]:
        body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * size}]}
        return body, round(size / 2.7 * truth)

    for _ in range(5):
        body, real = call(dice.randint(20_000, 60_000))
        quoted = quoter.for_body("anthropic", None, "messages", body, len(json.dumps(body)), "s")
        quoter.learn(
            "s",
            "claude-sonnet-4-5-20250929",
            quoted=quoted,
            body_bytes=None,
            usage=Usage(input_tokens=real, output_tokens=5),
        )
    body, real = call(50_000)
    assert quoter.for_body("anthropic", None, "messages", body, None, "new").input_tokens == pytest.approx(
        real, rel=0.03
    )


def test_corrections_are_bounded(quoter):
    """A provider that reports nonsense cannot push quotes out of all proportion: x 0.8 to 1.25 where tokens are known."""
    plain = body_quote(quoter, BODY).input_tokens
    for reported, factor in ((10**9, 1.25), (1, 0.8)):
        for _ in range(200):
            quoted = body_quote(quoter, BODY)
            quoter.learn(
                "s", "gpt-4o", quoted=quoted, body_bytes=100, usage=Usage(input_tokens=reported, output_tokens=5)
            )
        assert body_quote(quoter, BODY).input_tokens == round(plain * factor)


@pytest.mark.parametrize(("model", "high"), [("gpt-4o", 1.25), ("claude-sonnet-4-5", 4)])
def test_what_a_provider_adds_is_learned_of_the_session(quoter, model, high):
    """Input that no count explains (a stored prompt) is quoted from the session's next call on, and fades when it ends."""
    body = {**BODY, "model": model}
    plain = quoter.for_body(None, None, "chat", body, session="s").counted
    adds = 5_000

    def call(added):
        quoted = quoter.for_body(None, None, "chat", body, session="s")
        usage = Usage(input_tokens=plain + added, output_tokens=5)
        quoter.learn("s", model, quoted=quoted, body_bytes=100, usage=usage)
        return quoter.for_body(None, None, "chat", body, session="s").input_tokens

    assert call(adds) == pytest.approx(plain + adds, abs=1)
    longer = {**body, "messages": [*MESSAGES, {"role": "user", "content": "word " * 1_000}]}
    more = quoter.for_body(None, None, "chat", longer, session="s")
    assert more.input_tokens - more.counted * high == pytest.approx(plain + adds - plain * high, abs=1)  # not a factor
    assert quoter.for_body(None, None, "chat", body, session="other").input_tokens <= plain * high + 1
    last = [call(0) for _ in range(40)][-1]
    assert last <= plain * high + 1


def test_correction_does_not_feed_on_itself(quoter):
    """The factor is learned from the raw count: the same truth again and again settles, it does not drift."""
    for _ in range(50):
        quoted = body_quote(quoter, BODY)
        real = math.ceil(quoted.counted * 1.1)
        quoter.learn("s", "gpt-4o", quoted=quoted, body_bytes=None, usage=Usage(input_tokens=real, output_tokens=5))
    assert body_quote(quoter, BODY).input_tokens == pytest.approx(real, abs=1)


def test_images_teach_nothing_about_text(quoter):
    """A call with an image, a stored conversation or a provider's tool does not bend the count of plain text."""
    plain = body_quote(quoter, BODY).input_tokens
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    for more in (
        {"messages": [*MESSAGES, picture]},
        {"previous_response_id": "r"},
        {"tools": [{"type": "web_search"}]},
    ):
        quoted = body_quote(quoter, {**BODY, **more})
        assert quoted.counted is None
        quoter.learn("s", "gpt-4o", quoted=quoted, body_bytes=900, usage=Usage(input_tokens=90, output_tokens=5))
    assert body_quote(quoter, BODY).input_tokens == plain


def test_stored_conversation(quoter):
    """Where earlier turns are kept at the provider, the input is at least the session's last input and output."""
    body = {"model": "gpt-4o", "input": "go on", "previous_response_id": "r", "max_output_tokens": 5}
    assert body_quote(quoter, body, "responses").input_tokens < 20
    quoter.learn("s", "gpt-4o", quoted=None, body_bytes=None, usage=Usage(input_tokens=30_000, output_tokens=500))
    quote = body_quote(quoter, body, "responses")
    assert (quote.input_tokens, quote.input_source) == (30_500, Source.LEARNED)


def test_unreadable_body_by_learned_bytes(quoter):
    """A body that cannot be walked is quoted by what the model's bodies held per byte."""
    quoter.learn("s", "gpt-4o", quoted=None, body_bytes=10_000, usage=Usage(input_tokens=2_000, output_tokens=1))
    quote = quoter.for_body("openai", "gpt-4o", "chat", {"messages": 5}, 50_000, "s")
    assert (quote.input_tokens, quote.input_source) == (10_000, Source.LEARNED)


odd = st.none() | st.integers(0, 10**15)


@given(odd, odd, st.none() | st.integers(-5, 10**12), st.booleans())
def test_learning_takes_anything(used, made, size, with_quote):
    """Whatever usage comes, learning does not raise, and the quotes after it stay in range."""
    quoter = Quoter(PriceBook(), counter=TokenCounter(vocabularies=False))
    quoted = body_quote(quoter, BODY) if with_quote else None
    quoter.learn("s", "gpt-4o", quoted=quoted, body_bytes=size, usage=Usage(input_tokens=used, output_tokens=made))
    for quote in (body_quote(quoter, BODY), quoter.for_span("openai", "gpt-4o", "chat", session="s")):
        assert 0 <= quote.input_tokens <= MAX_TOKENS
        assert 0 <= quote.output_tokens <= MAX_TOKENS
        assert quote.cost >= 0


def test_learned_memory_is_bounded():
    """Many sessions and models do not pile up."""
    quoter = Quoter(PriceBook(unknown_model="free"))
    for number in range(9_000):
        quoter.learn(
            f"s{number}", f"m{number}", quoted=None, body_bytes=10, usage=Usage(input_tokens=5, output_tokens=5)
        )
    assert len(quoter._learned._last) <= 8_192
    assert len(quoter._learned._density) <= 2_048


def test_learning_in_threads(quoter):
    """Threads that learn and quote at once leave the figures whole."""
    failures = []

    def work(session):
        try:
            for made in range(1, 400):
                quoted = body_quote(quoter, BODY, session=session)
                usage = Usage(input_tokens=quoted.counted, output_tokens=made)
                quoter.learn(session, "gpt-4o", quoted=quoted, body_bytes=900, usage=usage)
            if quoter.for_span("openai", "gpt-4o", "chat", session=session).output_tokens != 399:
                failures.append(session)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"s{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert body_quote(quoter, BODY).input_tokens == TokenCounter().count_messages("chat", BODY)


# Strict ---------------------------------------------------------------------------------------------------------------

texts = st.text(max_size=300) | st.text('🙂中\n"\\\x00', max_size=200)


@given(
    st.lists(texts, max_size=4),
    st.sampled_from(["gpt-4o", "gpt-4", "gpt-4.1-mini", "gpt-5"]),
    st.none() | st.integers(1, 5_000),
    st.integers(1, 4),
    st.data(),
)
def test_strict_text_calls_cannot_pass_their_quote(contents, model, cap, n, data):
    """What the API could at most count and answer never costs more than the strict quote of the request."""
    body = {"model": model, "messages": [{"role": "user", "content": text} for text in contents], "n": n}
    if cap is not None:
        body["max_completion_tokens"] = cap
    quoter = Quoter(PriceBook(), strict=True)
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    quote = quoter.for_body("openai", model, "chat", body, size, "s")
    assert quote.is_upper_bound
    real = TokenCounter().count_messages("chat", body)
    made = data.draw(st.integers(0, n * (cap or quote.rates.max_output_tokens)))
    read = data.draw(st.integers(0, real))
    usage = Usage(input_tokens=real, output_tokens=made, cache_read_tokens=read, cache_write_tokens=real - read)
    assert quote.rates.cost(usage) <= quote.cost
    assert usage.total_tokens <= quote.input_tokens + quote.output_tokens


def test_strict_output_without_a_cap(strict):
    """Without max_tokens, a strict quote takes the model's largest answer."""
    quote = body_quote(strict, {"model": "gpt-4o", "messages": MESSAGES, "n": 2})
    assert (quote.output_tokens, quote.output_source) == (2 * 16_384, Source.BOUND)


def test_strict_does_not_learn_downwards(strict):
    """What was learned never lowers a strict quote."""
    before = body_quote(strict, {"model": "gpt-4o", "messages": MESSAGES})
    for _ in range(20):
        strict.learn("s", "gpt-4o", quoted=before, body_bytes=900, usage=Usage(input_tokens=1, output_tokens=1))
    assert body_quote(strict, {"model": "gpt-4o", "messages": MESSAGES}) == before


def test_strict_covers_the_dearest_cache(strict):
    """Claude's one-hour cache write, twice the input rate, is inside a strict quote."""
    body = {"model": "claude-opus-4-1", "max_tokens": 10, "messages": MESSAGES}
    quote = strict.for_body("anthropic", None, "messages", body)
    assert quote.cost == quote.input_tokens * 30_000 + 10 * 75_000


@pytest.mark.parametrize(
    ("more", "bound", "least"),
    [
        ({}, True, 800),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e.com/a"}}]}
                ]
            },
            True,
            1_445,
        ),
        ({"previous_response_id": "r"}, True, 128_000),
        ({"tools": [{"type": "web_search"}]}, False, 800),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A" * 99}}]}]},
            False,
            1,
        ),
        ({"model": "my-own"}, False, 800),
    ],
    ids=["text", "image by URL", "stored conversation", "provider's tools", "audio", "unknown model"],
)
def test_what_strict_can_bound(strict, more, bound, least):
    """Text, images and stored conversations are bounded; provider's tools, sound and unknown prices are said not to be."""
    quote = body_quote(strict, {**BODY, **more})
    assert quote.is_upper_bound is bound
    assert quote.input_tokens >= least


def test_strict_spans_are_no_bounds(strict):
    """A span may hide part of a request, so its quote is high, but is not called a bound."""
    quote = strict.for_span("openai", "gpt-4o", "chat", input_text="hello")
    assert quote.output_tokens == 16_384
    assert not quote.is_upper_bound
    assert not strict.for_estimate("gpt-4o", 5, 5).is_upper_bound


def test_quote_is_a_value(quoter):
    """Quotes compare, pickle and do not change; defaults are options."""
    quote = body_quote(quoter, BODY)
    assert pickle.loads(pickle.dumps(quote)) == quote
    with pytest.raises(AttributeError):
        quote.cost = 0
    book = PriceBook({"gpt-4o": Price(1, 1)})
    other = Quoter(book, default_input_tokens=5, default_output_tokens=6).for_span(None, "gpt-4o", "chat")
    assert (other.input_tokens, other.output_tokens, other.cost) == (5, 6, 11_000)


@pytest.mark.parametrize(
    ("provider", "operation", "named"),
    [
        ("anthropic", "messages", {"fallbacks": [{"model": "claude-opus-4-6", "max_tokens": None}, {"speed": "fast"}]}),
        ("anthropic", "messages", {"fallbacks": ["claude-opus-4-6", 3]}),
        ("openrouter", "chat", {"models": ["anthropic/claude-opus-4-6"]}),
    ],
)
def test_what_other_models_may_answer_is_quoted_at_the_dearest(
    provider: str, operation: str, named: dict[str, object]
) -> None:
    """The request names them; its own model's rates stay the ones it is billed at."""
    quoter = Quoter(PriceBook())
    body = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 500}
    both = quoter.for_body(provider, None, operation, {**body, **named})
    dear = quoter.for_body(provider, "claude-opus-4-6", operation, body)
    assert both.cost == dear.cost
    assert both.rates == quoter.for_body(provider, None, operation, body).rates


def test_a_model_is_quoted_once_however_often_it_is_named_and_of_very_many_some(monkeypatch) -> None:
    """Thousands of names cost no second each; those that are not looked at are quoted as a model that is not known."""
    quoter, asked = Quoter(PriceBook()), []
    one_of = quoter.for_body
    monkeypatch.setattr(quoter, "for_body", lambda *args, **named: (asked.append(args), one_of(*args, **named))[1])
    body = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 500}
    again = quoter.for_body("openrouter", None, "chat", {**body, "models": ["openai/gpt-4o"] * 5_000})
    assert (len(asked), again.cost) == (2, one_of("openrouter", "openai/gpt-4o", "chat", body).cost)
    asked.clear()
    many = quoter.for_body("openrouter", None, "chat", {**body, "models": [f"cheap-{n}" for n in range(5_000)]})
    assert (len(asked), many.cost) == (34, one_of("openrouter", None, "chat", {**body, "model": None}).cost)


def test_attempts_that_may_all_be_billed_are_all_in_the_bound(strict: Quoter) -> None:
    """One that declined while it wrote is paid, and so is the next; which models stand in unnamed is not known."""
    body = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 500}
    named = [{"model": "claude-opus-4-6", "max_tokens": 900}]
    both = strict.for_body("anthropic", None, "messages", {**body, "fallbacks": named}, 3_000)
    one = strict.for_body("anthropic", None, "messages", body, 3_000)
    two = strict.for_body("anthropic", None, "messages", {**body, **named[0]}, 3_000)
    assert (both.cost, both.is_upper_bound) == (one.cost + two.cost, True)
    assert not strict.for_body("anthropic", None, "messages", {**body, "fallbacks": "default"}).is_upper_bound
