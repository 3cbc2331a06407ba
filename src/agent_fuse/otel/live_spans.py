"""The open spans of this process, remembered only while limits' keys or several guards are looked for there."""

from typing import Any
from weakref import ref

MAX_OPEN = 50_000
"""Spans that never end are forgotten beyond this many, oldest first."""


class LiveSpans:
    """Spans by id, through weak references: a span's own attributes are read when a call asks, so late ones count."""

    def __init__(self) -> None:
        self._spans: dict[int, ref[Any]] = {}
        self.wanted = False
        """Spans are to be remembered."""

    def want(self) -> None:
        """From now on spans are remembered: a limit has a key, or several guards are at work."""
        self.wanted = True

    def started(self, key: int, span: Any) -> None:
        """A span starts, and is wanted."""
        if len(self._spans) >= MAX_OPEN:
            for old in list(self._spans)[: MAX_OPEN // 10]:
                self._spans.pop(old, None)
        self._spans[key] = ref(span)

    def ended(self, key: int) -> None:
        """A span that was wanted has ended."""
        self._spans.pop(key, None)

    def get(self, key: int) -> Any:
        """The open span with this id; None when there is none, or it was not remembered."""
        found = self._spans.get(key)
        return found() if found is not None else None


LIVE_SPANS = LiveSpans()
