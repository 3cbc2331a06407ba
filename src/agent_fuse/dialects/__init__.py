"""The instrumentations that AgentFuse understands, by instrumentation scope."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import cast

from agent_fuse.dialects import (
    anthropic_sdk,
    google_adk,
    http,
    litellm,
    openinference,
    otel,
    pydantic_ai,
    strands,
    traceloop,
)
from agent_fuse.dialects.base import Dialect

log = logging.getLogger("agent_fuse")

MAX_SCOPES = 10_000
"""Scopes whose dialect is remembered."""

GROUP = "agent_fuse.dialects"
"""Entry point group of other packages' dialects: each entry is a Dialect, or a sequence of them."""

BUILT_IN: tuple[Dialect, ...] = (
    *traceloop.DIALECTS,
    *otel.DIALECTS,
    *openinference.DIALECTS,
    *pydantic_ai.DIALECTS,
    *anthropic_sdk.DIALECTS,
    *litellm.DIALECTS,
    *google_adk.DIALECTS,
    *strands.DIALECTS,
    *http.DIALECTS,
)


@cache
def third_party() -> tuple[Dialect, ...]:
    """The dialects that installed packages add. One that cannot be loaded is left out, with a warning."""
    return tuple(_load())


def _load() -> Iterator[Dialect]:
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
        except Exception:
            log.warning("the dialect %s of %s could not be loaded", entry.name, entry.value, exc_info=True)
            continue
        many = cast("Iterable[object]", loaded) if isinstance(loaded, list | tuple) else (cast("object", loaded),)
        for one in many:
            if isinstance(one, Dialect):
                yield one
            else:
                log.warning("the dialect %s of %s is %r; it must be a Dialect", entry.name, entry.value, one)


class Dialects:
    """Finds the dialect of a scope: an exact name first, then the longest prefix; a later dialect wins.

    `endpoints` are the user's own model endpoints, for the wire gate.
    """

    def __init__(self, extra: Iterable[Dialect] = (), *, endpoints: Iterable[str] = ()) -> None:
        self._exact: dict[str, Dialect | None] = {}
        self._prefixes: list[tuple[str, Dialect]] = []
        for dialect in (*BUILT_IN, *http.dialects(endpoints), *third_party(), *extra):
            for scope in dialect.scopes:
                if scope.endswith("*"):
                    self._prefixes.insert(0, (scope[:-1], dialect))
                else:
                    self._exact[scope] = dialect
        self._prefixes.sort(key=lambda item: -len(item[0]))

    def of(self, scope: str) -> Dialect | None:
        """The dialect of an instrumentation scope."""
        try:
            return self._exact[scope]
        except KeyError:
            found = next((dialect for prefix, dialect in self._prefixes if scope.startswith(prefix)), None)
            if len(self._exact) < MAX_SCOPES:
                self._exact[scope] = found
            return found

    def all(self) -> Sequence[Dialect]:
        """Every dialect known, each once."""
        return list(dict.fromkeys([d for d in self._exact.values() if d] + [d for _, d in self._prefixes]))
