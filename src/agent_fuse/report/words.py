"""How the report writes money, counts and times, and how it makes any text safe in HTML."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape

from agent_fuse.calls import show_usd, to_usd
from agent_fuse.foreign_text import escaped

_SMALL = Decimal("0.0001")
_LARGE = Decimal(1_000)

REASONS = {
    "budget": ("A limit was reached", "the call did not fit under a cap any more"),
    "loop": ("A tool loop was cut", "the same action again and again, without progress"),
    "system": ("The ledger could not answer", "calls are blocked rather than left uncounted (fail_safe)"),
    "unpriced": ("No price was known", "the model has no price, and unknown_model is 'block'"),
}
"""What the reasons of refusals mean."""


def safe(text: str) -> str:
    """Text for HTML, in an element or an attribute; control characters are shown as escapes."""
    return escape(escaped(text), quote=True)


def name(text: str, empty: str = "(none)") -> str:
    """A name, or a word for its absence, for HTML."""
    return safe(text) if text else f'<span class="none">{safe(empty)}</span>'


def money(nanos: int) -> str:
    """Dollars: cents, four digits below a dollar, and all of them below a hundredth of a cent."""
    usd = to_usd(nanos)
    if usd == 0 or usd >= 1:
        return f"${usd.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"
    return f"${usd.quantize(_SMALL, ROUND_HALF_EVEN)}" if usd >= _SMALL else show_usd(nanos)


def rounded(nanos: int) -> str:
    """Dollars for a headline: to the cent from ten cents on, to the dollar from a thousand on."""
    usd = to_usd(nanos)
    if usd >= _LARGE:
        return f"${usd.quantize(Decimal(1), ROUND_HALF_EVEN):,}"
    return f"${usd.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}" if usd >= Decimal("0.1") else money(nanos)


def count(number: int, one: str = "", many: str = "") -> str:
    """A number with its noun."""
    noun = one if number == 1 else many or f"{one}s"
    return f"{number:,} {noun}".rstrip() if one else f"{number:,}"


def short(number: int) -> str:
    """A large number, to three digits: `186k`, `1.24M`."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size * 10 or (number >= size and unit != "k"):
            return f"{number / size:.3g}{unit}"
    return f"{number:,}"


def time(at: float) -> str:
    """Date and time to the second, UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def day(at: float) -> str:
    """Date and time to the minute, UTC, as a person writes it."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M}"
