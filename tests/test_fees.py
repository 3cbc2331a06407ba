"""Fees: what a call costs beside its tokens is booked with it, told apart in the journal, and exported so."""

import pytest

from agent_fuse.calls import Usage
from agent_fuse.prices import PriceBook
from agent_fuse.quoting.rates import Price
from agent_fuse.report.tables import spenders
from agent_fuse.report.tally import ReportTally
from agent_fuse.views.focus_export import charges
from fuses import PRICE, Desk

SEARCH, PREVIEW, CONTAINER, FILES = 10_000_000, 25_000_000, 30_000_000, 2_500_000


def booked(usage, **options):
    """The journal's line of one call of gpt-4o that used this."""
    desk = Desk(**options)
    seen = desk.open()
    desk.fuse.close_call(seen, usage=usage)
    return next(iter(desk.ledger.journal()))


@pytest.mark.parametrize(
    ("tools", "fee"),
    [
        ({}, 0),
        ({"web_searches": 2}, 2 * SEARCH),
        ({"preview_searches": 2}, 2 * PREVIEW),
        ({"file_searches": 3}, 3 * FILES),
        ({"containers": 1}, CONTAINER),
        ({"web_searches": 1, "file_searches": 1, "containers": 1}, SEARCH + FILES + CONTAINER),
    ],
)
def test_fees_are_booked_and_told_apart(tools, fee):
    """The cost is tokens and fees, and the line says how much of it is fees."""
    entry = booked(Usage(input_tokens=1000, output_tokens=500, **tools))
    assert (entry.cost, entry.fee) == (PRICE + fee, fee)


@pytest.mark.parametrize(
    ("model", "fee"),
    [
        ("gpt-4o", PREVIEW),
        ("gpt-4.1-mini", PREVIEW),
        ("gpt-5", SEARCH),
        ("o4-mini", SEARCH),
        ("claude-sonnet-4-5", SEARCH),
    ],
)
def test_searches_of_the_preview_tool(model, fee):
    """OpenAI asks $25 for 1,000 of models that do not reason, $10 of those that do."""
    assert PriceBook().rates(model).fees(Usage(preview_searches=1)) == fee


@pytest.mark.parametrize(
    ("model", "fee"),
    [
        ("gpt-4o-search-preview", PREVIEW),
        ("gpt-4o-mini-search-preview-2025-03-11", PREVIEW),
        ("openai/gpt-5-search-api", SEARCH),
        ("gpt-5-search-api-2025-10-14", SEARCH),
    ],
)
def test_models_that_search_by_themselves(model, fee):
    """They search before each answer, which tells nothing of it: the fee is quoted and booked with each call, once."""
    desk = Desk()
    request = desk.ask(body={"model": model, "messages": [], "web_search_options": {}}, model=model, estimate=None)
    assert desk.fuse.accounting.quote(request).fee == fee
    assert PriceBook().rates(model).fees(Usage(input_tokens=1)) == fee


@pytest.mark.parametrize(
    ("model", "told", "billed"),
    [
        ("gpt-4o-mini", 400, 16_400),
        ("gpt-4.1-mini-2025-04-14", 15_999, 31_999),
        ("gpt-4o-mini", 16_000, 16_000),
        ("gpt-4o", 400, 400),
    ],
)
def test_search_content_of_small_models_is_a_block(model, told, billed):
    """Two searches are billed as 16,000 tokens of input, which may be among those that the usage tells."""
    rates = PriceBook().rates(model)
    bill = rates.bill(Usage(input_tokens=told, output_tokens=0, web_searches=2))
    assert bill == (rates.cost(Usage(input_tokens=billed, output_tokens=0)) + 2 * SEARCH, 2 * SEARCH)


@pytest.mark.parametrize("strict", [False, True])
def test_search_content_of_small_models_is_quoted(strict):
    """A search that is offered may put its block in front of the model."""
    plain, searching = (
        desk.fuse.accounting.quote(
            desk.ask(
                body={"model": "gpt-4o-mini", "input": "hi", "max_output_tokens": 9, **tools},
                model="gpt-4o-mini",
                operation="responses",
                estimate=None,
            )
        )
        for desk, tools in ((Desk(strict=strict), {}), (Desk(strict=strict), {"tools": [{"type": "web_search"}]}))
    )
    assert searching.input_tokens >= plain.input_tokens + 8_000


@pytest.mark.parametrize(("model", "fee"), [("gpt-4o", 2 * SEARCH), ("of-our-own", 0)])
def test_own_price_of_tokens_leaves_the_fees(model, fee):
    """A discount on a model's tokens is none on the provider's tools; a model that may run anywhere has no fees."""
    own = {model: Price(input="1", output="1")}
    assert PriceBook(own).rates(model).fees(Usage(web_searches=2)) == fee


def test_model_without_a_price_has_fees_too():
    """The fallback is no cheaper than any: its searches are the dearest known."""
    assert PriceBook().rates("nobody-knows").fees(Usage(preview_searches=1, containers=1)) == PREVIEW + CONTAINER


def test_charge_for_each_call_is_a_fee():
    """A price of one's own with a charge for each call: that charge is no tokens."""
    own = {"gpt-4o": Price(input="2.5", output="10", per_call="0.005")}
    entry = booked(Usage(input_tokens=1000, output_tokens=500), prices=own)
    assert (entry.cost, entry.fee) == (PRICE + 5_000_000, 5_000_000)


def test_export_shows_the_fee():
    """A FOCUS row says what of its cost is a fee, and whose figure it is."""
    row = next(charges([booked(Usage(input_tokens=1000, output_tokens=500, web_searches=1))]))
    assert (row["BilledCost"], row["x_Fee"], row["x_CostSource"], row["x_ComputedCost"]) == (
        "0.0175",
        "0.01",
        "prices",
        None,
    )


def test_report_sums_fees():
    """The report's sums tell fees; those of refused calls were never paid."""
    told = ("s", "", "gpt-4o", "chat", "", 9, 1, 1, "", 4)
    tally = ReportTally(step=60)
    tally.add_all([("a", 0.0, "settled", *told), ("b", 1.0, "settled", *told), ("c", 2.0, "refused", *told)])
    assert (tally.total.cost, tally.total.fees, tally.models["gpt-4o"].fees) == (18, 8, 8)


@pytest.mark.parametrize("fee", [0, 10_000_000])
def test_report_tables_tell_fees(fee):
    """A column of its own, where there are any."""
    tally = ReportTally(step=60)
    tally.add_all([("a", 0.0, "settled", "s", "", "gpt-4o", "chat", "", 90_000_000, 1, 1, "", fee)])
    drawn = spenders("Spend by model", "model", tally.models, empty="")
    assert ("of it fees" in drawn, "$0.0100<" in drawn) == (bool(fee), bool(fee))


@pytest.mark.parametrize(
    ("body", "fee"),
    [
        ({"tools": [{"type": "web_search_20250305", "max_uses": 3}]}, 3 * SEARCH),
        ({"tools": [{"type": "web_search_preview"}]}, PREVIEW),
        ({"tools": [{"type": "web_search_preview_2025_03_11"}], "max_tool_calls": 2}, 2 * PREVIEW),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 4}, 4 * SEARCH),
        ({"tools": [{"type": "web_search"}, {"type": "file_search"}]}, SEARCH + FILES),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}], "max_tool_calls": 4}, CONTAINER),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}]}, 4 * CONTAINER),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_of_whom"}]}, 64 * CONTAINER),
        (
            {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "9t"}}]},
            64 * CONTAINER,
        ),
        (
            {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_?"}}]},
            64 * CONTAINER,
        ),
        (
            {"tools": [{"type": "shell", "environment": {"type": "container_auto", "memory_limit": "64g"}}]},
            64 * CONTAINER,
        ),
        ({"tools": [{"type": "shell", "environment": {"type": "local"}}]}, 0),
        ({"tools": [{"type": "shell"}]}, 0),
        ({"web_search_options": {}}, SEARCH),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, 0),
        ({"tools": [{"type": "web_search", "max_uses": -1}, None, "x"]}, SEARCH),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_fees_of_tools_offered_are_quoted(body, fee, strict):
    """A request that offers tools run at the provider is quoted their fees, above what its tokens come to."""
    desk = Desk(strict=strict)
    request = desk.ask(body={"model": "gpt-4o", "messages": [], "max_tokens": 10, **body}, estimate=None)
    quote = desk.fuse.accounting.quote(request)
    tokens = quote.rates.bound if strict else quote.rates.expected
    assert quote.fee == fee
    assert quote.cost - fee == tokens(quote.input_tokens, quote.output_tokens)
