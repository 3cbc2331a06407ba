"""How large a part of a slice is: what the largest of twenty calls asks for."""

from collections import deque

from agent_fuse.ledgers.codec import Figures

CALLS = 64
"""Calls that are looked back at."""

_OF = 20


class Sizes:
    """What the last calls asked for."""

    def __init__(self) -> None:
        self._last: deque[Figures] = deque(maxlen=CALLS)

    def add(self, asked: Figures) -> None:
        """Remember one."""
        self._last.append(asked)

    def part(self) -> Figures:
        """The 95th percentile, meter by meter."""
        return tuple(_percentile(sorted(each)) for each in zip(*self._last, strict=True))


def _percentile(sizes: list[int]) -> int:
    return sizes[len(sizes) - 1 - len(sizes) // _OF]
