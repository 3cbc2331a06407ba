"""Prices: the data's figures exactly, in integers; names of every kind; what to do about a model without a price."""

import logging
import pickle
import random
import re
import threading
import warnings
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from itertools import islice

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse import prices
from agent_fuse.calls import MAX_TOKENS, Usage
from agent_fuse.errors import ConfigurationError, UnknownModelError
from agent_fuse.prices import FALLBACK_PRICE, Price, PriceBook, model_endpoint
from agent_fuse.quoting import library
from agent_fuse.quoting.families import DEFAULT_MAX_OUTPUT, max_output
from agent_fuse.quoting.names import bare, stem
from agent_fuse.quoting.rates import Origin
from agent_fuse.quoting.tariffs import tiers

AT = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def by_tokens(model):
    entries = [one.prices for one in model.prices] if isinstance(model.prices, list) else [model.prices]
    return all(vars(one).get("input_mtok") is not None for one in entries) or model.id.endswith((":free", "moderation"))


MODELS = [(provider, model) for provider in providers for model in provider.models if by_tokens(model)]


def data_rates(provider, model, at):
    """Our rates of the library's model, which is found by its place in the provider's list."""
    ours = library.providers()[provider.id]
    place = next(number for number, one in enumerate(provider.models) if one is model)
    one = next(islice(ours.models, place, None))
    return prices._from_data(library.Listed(ours, one, own=True), one.id, at=at, tier="")


SEARCH_BY_THEMSELVES = {("openai", "gpt-4o-search-preview"), ("openai", "gpt-5-search-api")}
"""The library leaves their fee out."""
MAKES_IMAGES = {
    ("google", "gemini-2.5-flash-image"),
    ("google", "gemini-3-pro-image-preview"),
    ("google", "gemini-3.1-flash-image-preview"),
    ("google", "gemini-3.1-flash-lite-image"),
    ("google", "gemini-nano-banana-2.1"),
    ("google", "gemini-omni-1.1-flash"),
    ("google", "gemini-omni-flash-preview"),
    ("openai", "chatgpt-image-latest"),
    ("openai", "gpt-image-1.5"),
    ("quicksilverpro", "gemini-3-pro-image"),
}
"""Exception 1: these price image or video output apart; Usage has no bucket for it, so all output is at that rate."""


def finer_than_pico(model) -> bool:
    """Exception 2: prices with float noise below a pico-dollar a token (0.0833333333333333), which are rounded up."""
    entries = model.prices if isinstance(model.prices, list) else [model]
    for entry in entries:
        for value in vars(entry.prices).values():
            steps = (
                []
                if value is None
                else [value]
                if isinstance(value, Decimal)
                else [value.base, *(t.price for t in value.tiers)]
            )
            if any(step * 10**6 % 1 for step in steps):
                return True
    return False


def theirs(provider, model, usage: Usage, at: float) -> int:
    """genai-prices' figure, rounded up to the nano-dollar."""
    named = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens or None,
        "cache_write_tokens": usage.cache_write_tokens or None,
        "input_audio_tokens": usage.input_audio_tokens or None,
        "output_audio_tokens": usage.output_audio_tokens or None,
    }
    with localcontext(prec=60), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        price = model.calc_price(
            TheirUsage(**{name: value for name, value in named.items() if value is not None}),
            provider,
            genai_request_timestamp=datetime.fromtimestamp(at, UTC),
        )
        return int((price.total_price * 10**9).to_integral_value("ROUND_CEILING"))


@st.composite
def usages(draw) -> Usage:
    """A usage whose parts fit into its wholes, around the tiers' thresholds too. Cached audio is a bucket we lack."""
    top = draw(st.sampled_from([50, 5_000, 200_001, 272_001, 1_200_000]))
    whole = draw(st.integers(0, top) | st.sampled_from([100_000, 100_001, 128_000, 200_000, 200_001, 272_000, 272_001]))
    read = draw(st.integers(0, whole))
    written = draw(st.integers(0, whole - read))
    heard = draw(st.integers(0, whole - written)) if read == 0 else 0
    out = draw(st.integers(0, 200_000))
    return Usage(
        input_tokens=whole,
        output_tokens=out,
        cache_read_tokens=read,
        cache_write_tokens=written,
        input_audio_tokens=heard,
        output_audio_tokens=draw(st.integers(0, out)),
    )


@given(usages(), st.sampled_from(MODELS), st.sampled_from([AT, AT - 86_400 * 400, AT + 3_600 * 8]))
def test_cost_is_the_datas_drawn(usage, listed, at):
    """Our integers give genai-prices' Decimal rounded up to the nano-dollar, for any usage, model and time."""
    provider, model = listed
    ours = data_rates(provider, model, at).cost(usage)
    figure = theirs(provider, model, usage, at)
    if (provider.id, model.id) in MAKES_IMAGES:
        assert ours >= figure
    elif finer_than_pico(model):
        assert 0 <= ours - figure <= usage.total_tokens // 1_000 + 1
    else:
        assert ours == figure


def test_cost_is_the_datas_for_every_model():
    """The same for every one of the models, three usages each; the exceptions are those named above, and no others."""
    dice = random.Random(5)
    differing = set()
    for provider, model in MODELS:
        rates = data_rates(provider, model, AT)
        for top in (3_000, 250_000, 600_000):
            whole, out = dice.randint(1, top), dice.randint(1, 9_999)
            read = dice.randint(0, whole)
            usage = Usage(
                input_tokens=whole,
                output_tokens=out,
                cache_read_tokens=read,
                cache_write_tokens=dice.randint(0, whole - read),
            )
            if rates.cost(usage) != theirs(provider, model, usage, AT):
                differing.add((provider.id, model.id))
    noisy = {(provider.id, model.id) for provider, model in MODELS if finer_than_pico(model)}
    assert differing - noisy == MAKES_IMAGES | SEARCH_BY_THEMSELVES
    assert len(MODELS) > 2_000
    assert len(noisy) < 40


def test_reasoning_and_citations_are_priced_apart_where_the_data_does():
    """Perplexity's deep research: $8 a million tokens of answer, $3 of reasoning, $2 of what it cites."""
    usage = Usage(input_tokens=0, output_tokens=1_000, reasoning_tokens=900, citation_tokens=500)
    assert PriceBook().rates("sonar-deep-research", "perplexity").cost(usage) == 100 * 8_000 + 900 * 3_000 + 500 * 2_000
    assert PriceBook().rates("sonar-pro", "perplexity").fees(Usage(web_searches=3)) == 14_000_000


figures = st.none() | st.integers(0, 10**12)


@given(*(figures for _ in range(7)))
def test_cost_of_absurd_usage(whole, out, read, written, reasoning, heard, spoken):
    """Whatever figures come in, cost is an integer, never negative, never more than every token at the dearest rate."""
    rates = PriceBook().rates("gpt-realtime", "openai")
    usage = Usage(
        input_tokens=whole,
        output_tokens=out,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        input_audio_tokens=heard,
        output_audio_tokens=spoken,
    )
    cost = rates.cost(usage)
    assert type(cost) is int
    assert 0 <= cost <= rates.bound(MAX_TOKENS, MAX_TOKENS, media=True)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input_tokens=1_000, output_tokens=500), 7_500_000),
        (Usage(input_tokens=1_000, output_tokens=0, cache_read_tokens=400), 2_000_000),
        (Usage(input_tokens=1_000, output_tokens=0, cache_read_tokens=5_000), 1_250_000),
        (Usage(), 0),
        (Usage(cache_read_tokens=1_000), 1_250_000),
        (Usage(reasoning_tokens=100), 1_000_000),
        (Usage(input_tokens=1), 2_500),
    ],
    ids=[
        "plain",
        "cached",
        "more cached than input",
        "unknown",
        "only cached",
        "only reasoning",
        "one token",
    ],
)
def test_cost_of_gpt_4o(usage, cost):
    """gpt-4o: $2.50 in, $1.25 cached, $10 out per million; parts never pass their whole, nothing is negative."""
    assert PriceBook().rates("gpt-4o").cost(usage) == cost


def test_tiers_reprice_the_whole_request():
    """Gemini 2.5 Pro beyond 200k input tokens: every token of the call is at the higher rate, output too."""
    rates = PriceBook().rates("gemini-2.5-pro", "google")
    assert rates.cost(Usage(input_tokens=200_000, output_tokens=10)) == 200_000 * 1_250 + 10 * 10_000
    assert rates.cost(Usage(input_tokens=200_001, output_tokens=10)) == 200_001 * 2_500 + 10 * 15_000
    assert rates.expected(200_001, 10) == rates.cost(Usage(input_tokens=200_001, output_tokens=10))


def test_price_by_the_call():
    """Perplexity's sonar costs $12 per thousand requests besides its tokens."""
    rates = PriceBook().rates("sonar", "perplexity")
    assert rates.cost(Usage(input_tokens=0, output_tokens=0)) == 12_000_000


@given(usages(), st.sampled_from(MODELS))
def test_bound_is_never_passed(usage, listed):
    """No split of the same tokens over the buckets costs more than `bound`."""
    rates = data_rates(*listed, AT)
    assert rates.cost(usage) <= rates.bound(usage.input_tokens, usage.output_tokens, media=True)
    assert rates.expected(usage.input_tokens, usage.output_tokens, cache_write=True) <= rates.bound(
        usage.input_tokens, usage.output_tokens
    )


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "provider", "found"),
    [
        ("gpt-4o", None, "openai:gpt-4o"),
        ("GPT-4o", "openai", "openai:gpt-4o"),
        ("gpt-4o-2024-08-06", "openai", "openai:gpt-4o"),
        ("gpt-4o-2024-05-13", None, "openai:gpt-4o-2024-05-13"),
        ("gpt-5-2025-08-07", "openai", "openai:gpt-5"),
        ("gpt-5-2031-08-07", "openai", "openai:gpt-5"),
        ("gpt-5-2031-08-07", None, "openai:gpt-5"),
        ("claude-haiku-4-5-latest", None, "anthropic:claude-haiku-4-5"),
        ("deepseek-chat-20310807", None, "deepseek:deepseek-chat"),
        ("openai/gpt-4o", None, "openai:gpt-4o"),
        ("azure/gpt-4o", None, "azure:gpt-4o"),
        ("gpt-4o", "az.ai.openai", "azure:gpt-4o"),
        ("gpt-4o", "azure.ai.openai", "azure:gpt-4o"),
        ("gpt-35-turbo", "azure", "azure:gpt-3.5-turbo"),
        ("openai/gpt-4o", "openrouter", "openrouter:openai/gpt-4o"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openai", "openrouter:anthropic/claude-sonnet-4.5"),
        ("claude-sonnet-4-5", "openai", "anthropic:claude-sonnet-4-5"),
        ("claude-3-5-haiku-20241022", "anthropic", "anthropic:claude-3-5-haiku-latest"),
        ("claude-sonnet-4-5@20250929", "gcp.vertex_ai", "google:claude-sonnet-4-5"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "aws.bedrock", "aws:"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", None, "aws:"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock", "aws:regional.anthropic.claude-sonnet-4-5"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws.bedrock",
            "aws:regional.anthropic.claude-sonnet-4-5",
        ),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic", "aws:regional.anthropic.claude-sonnet-4-5"),
        ("amazon.nova-pro-v1:0", None, "aws:amazon.nova-pro-v1:0"),
        ("models/gemini-2.5-pro", "gcp.gen_ai", "google:gemini-2.5-pro"),
        ("publishers/google/models/gemini-2.5-pro", None, "google:gemini-2.5-pro"),
        ("ft:gpt-4o-2024-08-06:org::id", "openai", "openai:ft:gpt-4o"),
        ("text-embedding-3-small", None, "openai:text-embedding-3-small"),
        ("xai/grok-4", None, "x-ai:grok-4"),
        ("sonar", "openai", "perplexity:sonar"),
        ("grok-4", "x_ai", "x-ai:grok-4"),
        ("mistral-large-latest", "mistral_ai", "mistral:mistral-large"),
        ("llama-3.3-70b-versatile", "groq", "groq:llama-3.3-70b-versatile"),
        ("deepseek/deepseek-chat", None, "deepseek:deepseek-chat"),
        ("gpt-4o", "a provider nobody knows", "openai:gpt-4o"),
    ],
)
def test_names(model, provider, found):
    """Snapshots, prefixes, clouds' ids and paths lead to the model they mean."""
    rates = PriceBook().rates(model, provider, at=AT)
    assert rates.origin is Origin.DATA
    assert f"{rates.provider}:{rates.model}".startswith(found)


def test_fine_tune_the_data_does_not_know():
    """A fine-tune without a price of its own costs twice its base, no fine-tune in the data being dearer than that."""
    book = PriceBook()
    assert book.rates("ft:gpt-4.1-2025-04-14:org::id").tiers[0].input == 2 * book.rates("gpt-4.1").tiers[0].input
    for tuned, base in (("ft:gpt-4o-2024-08-06:o::1", "gpt-4o"), ("ft:gpt-4o-mini-2024-07-18:o::1", "gpt-4o-mini")):
        assert book.rates(tuned).tiers[0].output <= 2 * book.rates(base).tiers[0].output
    assert book.rates("ft:nobodys-model:org::id").origin is Origin.FALLBACK


@pytest.mark.parametrize("name", ["", " ", "/", "ft:", ":", "a/b/c/", "us.", "\0", "x" * 100_000, "ft::", "é🙂"])
def test_odd_names_are_unknown_models(name):
    """Any text may come as a model's name; it is rated, not raised about."""
    assert PriceBook().rates(name, name).origin is Origin.FALLBACK


@pytest.mark.parametrize(
    ("model", "plain", "stemmed"),
    [
        ("openai/gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "gpt-4o"),
        ("ft:gpt-4o:org::id", "gpt-4o", "gpt-4o"),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4@20250514", "claude-sonnet-4"),
    ],
)
def test_bare_and_stem(model, plain, stemmed):
    """`bare` leaves the model alone, `stem` its family without a snapshot's date."""
    assert (bare(model), stem(model)) == (plain, stemmed)


# Own prices and unknown models ----------------------------------------------------------------------------------------


def test_overrides_win():
    """A user's own price is taken before the data's: by name, and for one provider by `provider/name`, in any case."""
    book = PriceBook({"gpt-4o": Price(1, 2), "groq/Llama-X": Price("0.5", 1), "own": Price(3, 4, per_call="0.01")})
    assert book.rates("gpt-4o", "openai").cost(Usage(input_tokens=10, output_tokens=10)) == 30_000
    assert book.rates("openai/gpt-4o").origin is Origin.OVERRIDE
    assert book.rates("gpt-4o").max_output_tokens == 16_384
    assert book.rates("gpt-4o").context_window == 128_000
    assert book.rates("llama-x", "groq").origin is Origin.OVERRIDE
    assert book.rates("llama-x", "together").origin is Origin.FALLBACK
    assert book.rates("own").cost(Usage(input_tokens=0, output_tokens=0)) == 10_000_000
    assert book.rates("gpt-4o-mini").origin is Origin.DATA


def test_override_buckets():
    """None bills a part like its whole; a given figure bills it apart."""
    plain = PriceBook({"m": Price(2, 4)}).rates("m")
    apart = PriceBook({"m": Price(2, 4, cache_read=1, cache_write=3, input_audio=5, output_audio=6)}).rates("m")
    usage = Usage(
        input_tokens=100,
        output_tokens=10,
        cache_read_tokens=10,
        cache_write_tokens=20,
        input_audio_tokens=30,
        output_audio_tokens=5,
    )
    assert plain.cost(usage) == 240_000
    assert apart.cost(usage) == 40 * 2_000 + 10 * 1_000 + 20 * 3_000 + 30 * 5_000 + 5 * 4_000 + 5 * 6_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": float("nan"), "output": 1}, r"Price\.input is nan"),
        ({"input": 1, "output": -1}, r"Price\.output is -1"),
        ({"input": 1, "output": 10**7}, r"Price\.output is 10000000; the largest"),
        ({"input": 1, "output": 1, "cache_read": "cheap"}, r"Price\.cache_read is 'cheap'"),
        ({"input": None, "output": 1}, r"Price\.input is None"),
        ({"input": True, "output": 1}, r"Price\.input is True"),
        ({"input": 1, "output": 1, "per_call": Decimal("Infinity")}, r"Price\.per_call is"),
    ],
)
def test_bad_price(fields, message):
    """A price that is no price is refused where it is written, by the field's name, as a ValueError."""
    with pytest.raises(ConfigurationError, match=message):
        Price(**fields)


def test_price_is_a_value():
    """Prices compare, hash, pickle and do not change."""
    price = Price("0.10", 2)
    assert price == Price("0.10", 2)
    assert pickle.loads(pickle.dumps(price)) == price
    with pytest.raises(AttributeError):
        price.input = 5
    assert PriceBook({"m": Price(0.1, "$2")}).rates("m").cost(Usage(input_tokens=3, output_tokens=1)) == 2_300


def test_bad_book():
    """A book with something else for a price, or an unknown policy, is refused, named."""
    with pytest.raises(ConfigurationError, match="the price of 'm' is 5"):
        PriceBook({"m": 5})
    with pytest.raises(ConfigurationError, match="unknown_model is 'maybe'"):
        PriceBook(unknown_model="maybe")


def test_unknown_model_falls_back_with_one_warning(caplog):
    """A model nobody knows costs the fallback price, and says so once, with the cure."""
    book = PriceBook()
    with caplog.at_level(logging.WARNING):
        for provider in (None, "openai", "groq"):
            assert book.rates("brand-new", provider).origin is Origin.FALLBACK
    (record,) = caplog.records
    assert record.getMessage() == (
        "no price for model 'brand-new': reckoned at $20/$75 per million tokens; "
        "give it one with prices={'brand-new': Price(...)}"
    )


def test_unknown_model_blocked_or_free(caplog):
    """`block` raises UnknownModelError naming the model and the cure; `free` costs nothing; neither warns."""
    with pytest.raises(UnknownModelError, match=r"no price for model 'brand-new' at 'groq' .* Price\(\.\.\.\)"):
        PriceBook(unknown_model="block").rates("brand-new", "groq")
    free = PriceBook(unknown_model="free").rates("brand-new")
    assert free.origin is Origin.FREE
    assert free.cost(Usage(input_tokens=10**6, output_tokens=10**6)) == 0
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["fallback", "block", "free"])
def test_model_not_known_yet(policy, caplog):
    """No model is not an unknown model: fallback rates, silently, under every policy."""
    book = PriceBook(unknown_model=policy)
    assert book.rates(None) == book.rates("") == book.rates(7) == book.rates(None, "openai")
    assert book.rates(None).origin is Origin.FALLBACK
    assert caplog.records == []


def test_listed_without_a_token_price_is_unknown():
    """A model priced by the hour, the page or the character, or listed with no price at all, is not free by accident."""
    book = PriceBook()
    tokens = Usage(input_tokens=9_999, output_tokens=9_999)
    for model, provider in (("whisper-1", "openai"), ("tts-1", "openai"), ("qwen-3-coder-480b", "cerebras")):
        assert book.rates(model, provider).cost(tokens) == book.rates(None).cost(tokens)
    free = next(model.id for provider, model in MODELS if provider.id == "openrouter" and model.id.endswith(":free"))
    assert book.rates(free, "openrouter").cost(Usage(input_tokens=9_999, output_tokens=9_999)) == 0


NICHE = re.compile(r"-pro$|^gpt-4(-32k)?$|gpt-4\.5|cyber|rosalind|davinci|realtime|image|omni")
MAKERS = ("openai", "anthropic", "google", "x-ai", "mistral", "deepseek", "cohere", "zai")


@given(usages())
def test_fallback_is_no_cheaper_than_any_flagship(usage):
    """No mainstream model of the big makers costs more than the fallback, for any usage; the niche ones are named."""

    def tokens(rates):
        cost, fee = rates.bill(usage)
        return cost - fee

    fallback = tokens(PriceBook().rates(None))
    mainstream = [pair for pair in MODELS if pair[0].id in MAKERS and not NICHE.search(pair[1].id)]
    for provider, model in mainstream:
        assert tokens(data_rates(provider, model, AT)) <= fallback, model.id
    assert len(mainstream) > 200
    assert Price(20, 75, cache_write=40, input_audio=40, output_audio=80) == FALLBACK_PRICE


# Time, tiers of service, caching --------------------------------------------------------------------------------------


def test_prices_change_in_time():
    """A cached model is priced as of the time asked: deepseek's hours, and prices before a change."""
    book = PriceBook()
    model = next(model for provider, model in MODELS if (provider.id, model.id) == ("deepseek", "deepseek-reasoner"))
    seen = set()
    for hour in (3, 20, 3, 20):
        at = datetime(2025, 6, 1, hour, tzinfo=UTC).timestamp()
        rates = book.rates("deepseek-reasoner", "deepseek", at=at)
        assert rates.tiers == tiers(vars(model.get_prices(datetime.fromtimestamp(at, UTC))))
        seen.add(rates)
    assert len(seen) == 2


def test_every_constraint_falls_on_a_minute():
    """Rates that change in time are kept for the minute asked, which is right only if no price changes inside one."""
    for _, model in MODELS:
        for entry in model.prices if isinstance(model.prices, list) else []:
            for moment in (getattr(entry.constraint, "start_time", None), getattr(entry.constraint, "end_time", None)):
                assert moment is None or (moment.second, moment.microsecond) == (0, 0)


def test_service_tier():
    """A request for priority service is rated at its own price where the data has one, at the standard one elsewhere."""
    book = PriceBook()
    assert book.rates("o4-mini", "openai", at=AT, tier="priority").tiers[0].input == 2_000_000
    assert book.rates("o4-mini", "openai", at=AT).tiers[0].input == 1_100_000
    assert book.rates("o4-mini", "openai", at=AT, tier="flex").tiers[0].input == 550_000
    assert book.rates("gpt-3.5-turbo", "openai", at=AT, tier="priority") == book.rates("gpt-3.5-turbo", "openai", at=AT)


def test_book_is_bounded():
    """Ten thousand made-up names do not pile up."""
    book = PriceBook(unknown_model="free")
    for number in range(10_000):
        book.rates(f"made-up-{number}")
    assert len(book._resolved) <= 4_096


def test_book_in_threads():
    """Many threads asking a fresh book at once get the same rates."""
    book = PriceBook()
    found, gate = [], threading.Barrier(16)

    def ask():
        gate.wait()
        found.extend(book.rates(name) for name in ("gpt-4o", "claude-opus-4-1", "brand-new"))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 48
    assert len(set(found)) == 3


def test_price_data_is_lazy_and_offline(run_python):
    """A model's price is read without importing the price library, which brings an HTTP client and pydantic."""
    script = """
import socket, sys
socket.getaddrinfo = socket.socket.connect = lambda *a, **k: sys.exit("network")
from agent_fuse.prices import PriceBook
assert PriceBook().rates("gpt-4o").tiers[0].input == 2_500_000
assert not {"genai_prices", "pydantic", "httpx2"} & set(sys.modules)
"""
    run_python(script)


# Largest outputs, endpoints -------------------------------------------------------------------------------------------


def profiles():
    """What langchain's packages say of OpenAI's and Anthropic's models (from models.dev)."""
    anthropic = pytest.importorskip("langchain_anthropic.data._profiles")
    openai = pytest.importorskip("langchain_openai.data._profiles")
    for module in (openai, anthropic):
        for name, profile in module._PROFILES.items():
            if profile.get("text_outputs") and profile.get("max_output_tokens"):
                yield name, profile["max_output_tokens"]


def test_largest_outputs_agree_with_langchains_profiles():
    """No model's largest answer is larger than ours, and for the models in use today it is the same."""
    compared = {
        name: (max_output(name, None), tokens) for name, tokens in profiles() if not name.startswith("text-embedding")
    }
    assert {name: pair for name, pair in compared.items() if pair[0] < pair[1]} == {}
    same = [name for name, (ours, theirs_) in compared.items() if ours == theirs_]
    assert len(same) >= 0.9 * len(compared) > 30


def test_largest_output_without_a_family():
    """A model of no known family: its context window, else the default."""
    assert max_output("llama-9", 64_000) == 64_000
    assert max_output("llama-9", None) == DEFAULT_MAX_OUTPUT == 128_000


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai"),
        ("HTTPS://API.OPENAI.COM:443/v1/responses?x=1", "openai"),
        ("https://api.openai.com.example.net/v1", None),
        ("https://example.net/https://api.openai.com/v1", None),
        ("https://mine.openai.azure.com/openai/deployments/d/chat/completions?api-version=1", "azure"),
        ("https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke", "aws"),
        ("https://s3.us-east-1.amazonaws.com/bucket", None),
        ("https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent", "google"),
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p", "google"),
        ("https://storage.googleapis.com/bucket/object", None),
        ("https://api.moonshot.cn/v1/chat/completions", "moonshotai"),
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter"),
        ("https://router.huggingface.co/groq/openai/v1", "huggingface_groq"),
        ("http://127.0.0.1:8080/v1/chat/completions", None),
        ("/v1/chat/completions", None),
        ("", None),
        ("http://[::1", None),
        (None, None),
        (b"https://api.openai.com", None),
    ],
)
def test_model_endpoint(url, provider):
    """Whose model API a URL is: host and path up to a boundary; other services of a cloud are not model APIs."""
    assert model_endpoint(url) == provider
    assert model_endpoint(url) == provider
