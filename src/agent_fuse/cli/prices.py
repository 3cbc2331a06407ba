"""`agent-fuse prices MODEL`: what a model is reckoned at."""

import logging
import os
from decimal import Decimal
from typing import Annotated

import typer

from agent_fuse.cli.options import Json
from agent_fuse.cli.show import clean, console, emit, say
from agent_fuse.cli.tables import Column, Row, draw
from agent_fuse.quoting.rates import Origin, Rates

_BUCKETS = ("input", "output", "cache_read", "cache_write", "input_audio", "output_audio")
_PICOS_PER_TOKEN_OF_USD_PER_MILLION = 1_000_000
_PICOS_PER_USD = 10**12

_ORIGINS = {
    Origin.DATA: "from the bundled price data",
    Origin.FALLBACK: "no price is known: reckoned at the fallback; give it one with prices={...}",
    Origin.FREE: "no price is known: free, since AGENTFUSE_UNKNOWN_MODEL=free",
    Origin.OVERRIDE: "your own price",
}


def prices(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, as requests have it.")],
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Whose: openai, azure, ...")
    ] = None,
    json: Json = False,
) -> None:
    """What a model costs, USD per million tokens.

    From the bundled data, without network. An unknown model shows what AGENTFUSE_UNKNOWN_MODEL makes of it; where that
    is `block`, the exit code is 2.
    """
    from agent_fuse.prices import PriceBook  # noqa: PLC0415 - other commands do without
    from agent_fuse.settings import settings  # noqa: PLC0415

    logging.getLogger("agent_fuse").addHandler(logging.NullHandler())  # what it would warn of is what is shown
    chosen = settings({name: os.environ[name] for name in ("AGENTFUSE_UNKNOWN_MODEL",) if name in os.environ})
    rates = PriceBook({}, chosen.unknown_model).rates(model, provider)
    if json:
        emit(
            "prices",
            model=model,
            provider=rates.provider or provider,
            known_as=rates.model or None,
            origin=str(rates.origin),
            per_call_usd=_text(rates.per_call, _PICOS_PER_USD),
            tiers=[
                {
                    "above_input_tokens": max(tier.above, 0),
                    **{f"{name}_usd_per_mtok": _text(getattr(tier, name)) for name in _BUCKETS},
                }
                for tier in rates.tiers
            ],
            context_window=rates.context_window,
            max_output_tokens=rates.max_output_tokens,
        )
        return
    _print(model, rates)


def _print(model: str, rates: Rates) -> None:
    out = console()
    known = f" is {rates.model} of {rates.provider}" if rates.model else ""
    say(out, clean(f"{model}{known}"), style="bold")
    say(out, _ORIGINS[rates.origin], style="yellow" if rates.origin is Origin.FALLBACK else "")
    say(out)
    columns = [Column(title="USD per million tokens")]
    columns += [
        Column(title=f"above {tier.above:,} in" if tier.above > 0 else "price", right=True) for tier in rates.tiers
    ]
    rows = [Row((name.replace("_", " "), *(_usd(getattr(tier, name)) for tier in rates.tiers))) for name in _BUCKETS]
    draw(out, columns, rows)
    say(out)
    if rates.per_call:
        say(out, f"and ${_text(rates.per_call, _PICOS_PER_USD)} a call")
    window = f"; context window {rates.context_window:,} tokens" if rates.context_window else ""
    say(out, f"longest answer {rates.max_output_tokens:,} tokens{window}")


def _usd(picos: int) -> str:
    whole, _, part = _text(picos).partition(".")
    return f"${whole}.{part:0<2}"


def _text(picos: int, one: int = _PICOS_PER_TOKEN_OF_USD_PER_MILLION) -> str:
    return f"{(Decimal(picos) / one).normalize():f}"
