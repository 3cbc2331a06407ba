"""`agent-fuse prices MODEL`: what a model is reckoned at, and why."""

import logging
import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from agent_fuse.cli.options import Json
from agent_fuse.cli.show import clean, console, emit, paragraph, say
from agent_fuse.cli.tables import Column, TableRow, draw
from agent_fuse.quoting.rates import Origin, Rates

if TYPE_CHECKING:
    from agent_fuse.prices import Why
    from agent_fuse.quoting.unit_prices import UnitPrice

_BUCKETS = ("input", "output", "cache_read", "cache_write", "input_audio", "output_audio")
_RARE = {
    "cache_write_1h": "cache_write",
    "cache_read_audio": "cache_read",
    "cache_read_image": "cache_read",
    "input_image": "input",
    "output_image": "output",
    "output_text": "output",
    "reasoning": "output",
}
"""Buckets that are shown where they are not as dear as the ones beside them."""
_UNITS = (("per_character", "a character of speech"), ("per_second", "a second of a recording"), ("per_page", "a page"))
_FEES = (
    ("per_web_search", "a web search"),
    ("per_preview_search", "a search by web_search_preview"),
    ("per_file_search", "a file search"),
    ("per_container", "a GB of a container for code, for 20 minutes"),
)
_ASKED = {
    "priority": 'service_tier="priority"',
    "flex": 'service_tier="flex"',
    "batch": "a batch",
    "fast": 'speed or service_tier "fast"',
    "annotated": "an annotation format",
    "@us": 'inference_geo="us"',
    "@regional": "a regional endpoint",
}
"""How tiers are asked for that may be priced apart (`request_parameters.tier`)."""
_PICOS_PER_TOKEN_OF_USD_PER_MILLION = 1_000_000
_PICOS_PER_USD = 10**12
_NANOS_PER_USD = 10**9

_BY_UNIT = "not in the bundled price data, but priced by the unit; tokens would be reckoned at the fallback"
_UNKNOWN = {
    Origin.FALLBACK: "no price is known: reckoned at the fallback; give it one with prices={...}",
    Origin.FREE: "no price is known: free, since AGENTFUSE_UNKNOWN_MODEL=free",
}
_SETTINGS = ("AGENTFUSE_UNKNOWN_MODEL", "AGENTFUSE_PRICES")


def prices(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, as requests have it.")],
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Whose: openai, azure, ...")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--prices", metavar="FILE", help="Your own prices: TOML or JSON. [AGENTFUSE_PRICES]"),
    ] = None,
    json: Json = False,
) -> None:
    """What a model costs, USD per million tokens, and why.

    From your own prices and the bundled data, without network. An unknown model shows what AGENTFUSE_UNKNOWN_MODEL
    makes of it; where that is `block`, the exit code is 2.
    """
    from agent_fuse.prices import PriceBook, provider_named  # noqa: PLC0415 - other commands do without
    from agent_fuse.quoting import library  # noqa: PLC0415
    from agent_fuse.quoting.sources import price_data, sources, tier_source  # noqa: PLC0415
    from agent_fuse.quoting.unit_prices import unit_prices  # noqa: PLC0415
    from agent_fuse.settings import settings  # noqa: PLC0415

    logging.getLogger("agent_fuse").addHandler(logging.NullHandler())  # what it would warn of is what is shown
    given = {name: os.environ[name] for name in _SETTINGS if name in os.environ}
    chosen = settings(given | ({"AGENTFUSE_PRICES": file} if file else {}))
    host = provider_named("--provider", provider) if provider is not None else None
    book = PriceBook(chosen.prices, chosen.unknown_model)
    rates, why = book.rates(model, host), book.why(model, host)
    listed = library.listed(why.model, why.provider) if why.model else None
    units, origins = unit_prices(book.stands_for(model, host) or model, rates), sources(rates, listed)
    apart: dict[str, tuple[Rates, str]] = {}
    for tier in _ASKED:
        if listed is not None and (other := book.rates(model, host, tier=tier)).tiers != rates.tiers:
            apart[tier] = other, tier_source(tier, listed)
    words = _words(rates, why, file or given.get("AGENTFUSE_PRICES", ""), by_unit=bool(units))
    if json:
        emit(
            "prices",
            model=model,
            provider=rates.provider or host,
            known_as=rates.model or None,
            origin=str(rates.origin),
            why=words,
            entry=why.key or None,
            alias_of=why.alias or None,
            per_call_usd=_text(rates.per_call, _PICOS_PER_USD),
            **{f"{name}_usd": _text(getattr(rates, name), _PICOS_PER_USD) for name, _ in (*_UNITS, *_FEES)},
            search_tokens=rates.search_tokens,
            units=[{"unit": one.unit, "usd": _text(one.nanos, _NANOS_PER_USD), "source": one.source} for one in units],
            sources=[{"source": source, "rates": names} for source, names in _by_source(origins)],
            price_data=price_data(),
            tiers=_tiers(rates),
            apart=[
                {"asked": _ASKED[tier], "tiers": _tiers(other), "source": source}
                for tier, (other, source) in apart.items()
            ],
            context_window=rates.context_window,
            max_output_tokens=rates.max_output_tokens,
        )
        return
    _print(model, rates, words, units)
    _print_apart(apart)
    _print_sources(origins, units)


def _tiers(rates: Rates) -> list[dict[str, object]]:
    """Its prices in JSON."""
    return [
        {
            "above_input_tokens": max(tier.above, 0),
            **{f"{name}_usd_per_mtok": _text(getattr(tier, name)) for name in (*_BUCKETS, *_RARE)},
        }
        for tier in rates.tiers
    ]


def _words(rates: Rates, why: "Why", source: str, *, by_unit: bool) -> str:
    """Where the price comes from, in one line."""
    steps: list[str] = []
    if why.key:
        kind = "pattern" if why.pattern else "entry"
        place = f" in {source}" if source else ""
        steps.append(f"your own {kind} {why.key!r}{place}{f', another name of {why.alias}' if why.alias else ''}")
    if why.own and why.alias:
        steps.append(f"whose price is your own, too: {why.alias!r}")
    if why.model:
        base = f"twice its base {why.fine_tune_of}, " if why.fine_tune_of else ""
        steps.append(f"{base}{why.model} of {why.provider} in the bundled price data")
    if rates.origin is Origin.FALLBACK and by_unit:
        steps.append(_BY_UNIT)
    elif rates.origin in _UNKNOWN:
        steps.append(_UNKNOWN[rates.origin])
    return "; ".join(steps)


def _print(model: str, rates: Rates, words: str, units: "list[UnitPrice]") -> None:
    out = console()
    known = f" is {rates.model} of {rates.provider}" if rates.model else ""
    say(out, clean(f"{model}{known}"), style="bold")
    paragraph(out, clean(f"Why: {words}"), style="yellow" if rates.origin is Origin.FALLBACK else "")
    say(out)
    columns = [Column(title="USD per million tokens")]
    columns += [
        Column(title=f"above {tier.above:,} in" if tier.above > 0 else "price", right=True) for tier in rates.tiers
    ]
    apart = [
        name for name, like in _RARE.items() if any(getattr(one, name) != getattr(one, like) for one in rates.tiers)
    ]
    shown = (*_BUCKETS, *apart)
    rows = [TableRow((name.replace("_", " "), *(_usd(getattr(tier, name)) for tier in rates.tiers))) for name in shown]
    draw(out, columns, rows)
    say(out)
    if rates.per_call:
        say(out, f"and ${_text(rates.per_call, _PICOS_PER_USD)} a call")
    for name, what in _UNITS:
        if unit := getattr(rates, name):
            say(out, f"and ${_text(unit, _PICOS_PER_USD)} {what}")
    for one in units:
        say(out, f"and ${_text(one.nanos, _NANOS_PER_USD)} {one.unit}")
    same = {"per_preview_search"} if rates.per_preview_search == rates.per_web_search else set[str]()
    fees = [
        f"${_text(fee, _PICOS_PER_USD)} {what}"
        for name, what in _FEES
        if name not in same and (fee := getattr(rates, name))
    ]
    if fees:
        paragraph(out, f"tools run at the provider: {', '.join(fees)}")
    if rates.search_tokens:
        paragraph(out, f"a web search is billed as {rates.search_tokens:,} tokens of input, too")
    window = f"; context window {rates.context_window:,} tokens" if rates.context_window else ""
    say(out, f"longest answer {rates.max_output_tokens:,} tokens{window}")


def _print_apart(apart: Mapping[str, tuple[Rates, str]]) -> None:
    """A line for each way to ask that is priced apart."""
    out = console()
    if apart:
        say(out)
        say(out, "Priced apart, per million tokens:")
    for tier, (rates, source) in apart.items():
        for one in rates.tiers:
            above = f", above {one.above:,} tokens of input" if one.above > 0 else ""
            prices = ", ".join(f"{name.replace('_', ' ')} {_usd(getattr(one, name))}" for name in _BUCKETS[:4])
            paragraph(out, f"{_ASKED[tier]}{above}: {prices}", indent=2)
        paragraph(out, clean(f"from {source}"), indent=4, style="dim")


def _print_sources(origins: Mapping[str, str], units: "Iterable[UnitPrice]") -> None:
    """A line for each source, and what is from it."""
    out = console()
    say(out)
    say(out, "Sources:")
    for source, names in _by_source(origins):
        paragraph(out, clean(f"{', '.join(names).replace('_', ' ')}: {source}"), indent=2, style="dim")
    for source in dict.fromkeys(one.source for one in units):
        what = "; ".join(one.unit for one in units if one.source == source)
        paragraph(out, f"{what}: {source}", indent=2, style="dim")


def _by_source(origins: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """The sources in the order of the rates, each with the names of those that are from it."""
    return [
        (source, [name for name, its in origins.items() if its == source]) for source in dict.fromkeys(origins.values())
    ]


def _usd(picos: int) -> str:
    whole, _, part = _text(picos).partition(".")
    return f"${whole}.{part:0<2}"


def _text(picos: int, one: int = _PICOS_PER_TOKEN_OF_USD_PER_MILLION) -> str:
    return f"{(Decimal(picos) / one).normalize():f}"
