"""What tools cost: a price each, or a function of their arguments and result."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from agent_fuse.calls import Entry, show_usd, to_nanos
from agent_fuse.foreign_text import name
from agent_fuse.seams import in_words, log

ToolPrice = Decimal | Callable[[Any, Any], Any]
"""US dollars of one run, or what says so of its arguments and result."""


class ToolPrices:
    """The prices of one fuse's tools."""

    def __init__(self, prices: Mapping[str, ToolPrice]) -> None:
        self._prices = prices
        self._dearest: dict[str, int] = {}
        """What one run has cost at most so far, where a function says it: the next is held at that."""
        self._failed: set[str] = set()
        """Tools whose function failed, which is told once."""

    def quote(self, tool: str) -> int | None:
        """What a run may cost, nano-dollars; None where it has no price."""
        price = self._prices.get(tool)
        if price is None:
            return None
        return to_nanos(price, tool) if isinstance(price, Decimal) else self._dearest.get(tool, 0)

    def real(self, entry: Entry, arguments: object, result: object) -> int:
        """What a run that ended cost; what it was held at where its function fails, or it has a price by hand."""
        price = self._prices.get(entry.tool)
        if price is None or isinstance(price, Decimal):
            return entry.cost
        try:
            found = to_nanos(price(arguments, result), f"tool_prices[{entry.tool!r}]")
        except Exception as error:  # noqa: BLE001  it is the user's own
            if entry.tool not in self._failed:
                self._failed.add(entry.tool)
                log.warning(
                    "tool_prices[%r] failed (%s): its run is booked at %s, the most that one has cost so far",
                    name(entry.tool),
                    in_words(error),
                    show_usd(entry.cost),
                )
            return entry.cost
        self._dearest[entry.tool] = max(found, self._dearest.get(entry.tool, 0))
        return found
