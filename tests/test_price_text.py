"""The price data read as text says what the library says of itself; where it is written in another way, that is seen."""

import re
from datetime import UTC, datetime
from pathlib import Path

import genai_prices.data
import pytest

from agent_fuse.prices import PriceBook, model_endpoint
from agent_fuse.quoting import library, price_import, price_text

TEXT = Path(genai_prices.data.__file__).read_text(encoding="latin-1")
THEIRS = genai_prices.data.providers
TIMES = [datetime(2026, month, day, hour, tzinfo=UTC) for month, day in ((1, 5), (8, 18), (11, 26)) for hour in (2, 12)]
CONTEXTS = [{}, *({"service_tier": tier, "speed": tier} for tier in ("batch", "priority", "flex", "fast"))]


def flat(prices):
    """A model's prices as plain figures."""
    return {
        name: price if not hasattr(price, "tiers") else (price.base, [(step.start, step.price) for step in price.tiers])
        for name, price in prices.items()
        if price is not None
    }


@pytest.mark.parametrize("read", [price_text.read, price_import.read])
def test_every_model_says_what_the_library_says(read):
    """Ids, windows, and the prices of every model at every time and tier, in the library's order."""
    ours = read()
    assert [(one.id, one.api_pattern) for one in ours] == [(one.id, one.api_pattern) for one in THEIRS]
    for provider, their_provider in zip(ours, THEIRS, strict=True):
        for model, theirs in zip(provider.models, their_provider.models, strict=True):
            assert (model.id, model.context_window) == (theirs.id, theirs.context_window)
            assert model.changes == isinstance(theirs.prices, list)
            for now in TIMES if model.changes or model.variants else TIMES[:1]:
                for asked in CONTEXTS if model.variants else CONTEXTS[:1]:
                    assert flat(model.at(now, asked)) == flat(vars(theirs.get_prices(now, asked)))


def names_of(provider):
    """Names that may mean a model of a provider: as listed, with a date of either writing, in capitals, and others."""
    for model in provider.models:
        yield from (model.id, model.id.upper(), f"{model.id}-2026-01-31", f"{model.id}-20260131", model.id[:-1])
    yield from ("gpt-4o", "claude-sonnet-4-5-20250929", "gemini-2.5-pro", "gpt-5.2-20251399", "nothing", "")


@pytest.mark.parametrize("theirs", THEIRS, ids=lambda one: one.id)
def test_a_name_means_the_model_that_the_library_means(theirs):
    """Of every provider, for every name, through the providers whose models it offers too."""
    everyone = library.providers()
    ours = everyone[theirs.id]
    for name in names_of(theirs):
        found, wanted = ours.find(name, everyone), theirs.find_model(name, all_providers=THEIRS)
        assert (found[0].id if found else None) == (wanted.id if wanted else None), name
        assert found is None or found[1] == any(wanted is one for one in theirs.models), name


def test_a_provider_goes_by_the_names_that_the_library_knows():
    """By its id before any pattern."""
    for theirs in THEIRS:
        for name in (theirs.id, theirs.id.upper(), f"my-{theirs.id}"):
            wanted = genai_prices.data_snapshot.find_provider_by_id(THEIRS, name)
            found = library._provider(name)
            assert (found.id if found else None) == (wanted.id if wanted else None), name


OTHERWISE = {
    "indented by two": re.sub(r"^( +)\1", r"\1", TEXT, flags=re.MULTILINE),
    "no providers": "providers = []\n",
    "models on one line": TEXT.replace("            ModelInfo(\n", "            ModelInfo("[4:], 1),
    "no models": TEXT.replace("        models=[\n", "        models=make([\n", 1),
    "a provider of another kind": TEXT.replace("provider_match=Clause", "provider_match=Rule", 1),
}


@pytest.mark.parametrize("text", OTHERWISE.values(), ids=OTHERWISE)
def test_another_way_of_writing_is_seen(text):
    """Rather than read into something else."""
    assert text != TEXT
    with pytest.raises(price_text.Unfamiliar):
        price_text.parse(text)


def test_a_new_kind_of_clause_is_seen_by_whatever_name_it_may_mean():
    """It is no clause of words, so its model may be meant by any name: it is looked at, not passed over."""
    text = TEXT.replace("match=ClauseEquals(equals='", "match=ClauseLike(like='", 1)
    providers = {one.id: one for one in price_text.parse(text)}
    changed = next(one for one in THEIRS if any(type(model.match).__name__ == "ClauseEquals" for model in one.models))
    with pytest.raises(price_text.Unfamiliar):
        providers[changed.id].find("no-such-model", providers)


@pytest.fixture
def unread(monkeypatch):
    """Nothing of the data is read yet, and nothing of what a test reads stays."""
    monkeypatch.setattr(library, "_by_import", False)
    forget = (library.providers.cache_clear, library._patterns.cache_clear, library._endpoints.__init__)
    for one in (*forget[:2], lambda: forget[2](1_024)):
        one()
    yield
    for one in (*forget[:2], lambda: forget[2](1_024)):
        one()


@pytest.mark.parametrize(
    "text",
    [
        "providers = []\n",
        TEXT.replace("ModelPrice(", "Charge("),
        TEXT.replace("ClauseStartsWith(starts_with=", "ClauseBegins(begins="),
    ],
    ids=["at once", "at the first price", "at the first name"],
)
def test_the_library_is_imported_where_the_text_is_unfamiliar(unread, monkeypatch, text):
    """Whenever that shows, prices and endpoints are those of the library."""
    before = PriceBook().rates("gpt-4o", "openai"), PriceBook().rates("claude-sonnet-4-5", "anthropic", tier="batch")
    library.providers.cache_clear()
    monkeypatch.setattr(price_text, "read", lambda: price_text.parse(text))
    book = PriceBook()
    assert (book.rates("gpt-4o", "openai"), book.rates("claude-sonnet-4-5", "anthropic", tier="batch")) == before
    assert library._by_import
    assert model_endpoint("https://api.openai.com/v1/chat/completions") == "openai"


def test_a_missing_text_is_unfamiliar(monkeypatch):
    """A package in an archive, or compiled, has none."""
    monkeypatch.setattr(price_text, "find_spec", lambda name: None)
    with pytest.raises(price_text.Unfamiliar):
        price_text.read()
