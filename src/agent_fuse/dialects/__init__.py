"""The instrumentations that AgentFuse understands, by instrumentation scope."""

from collections.abc import Iterable, Sequence

from agent_fuse.dialects import otel, traceloop
from agent_fuse.dialects.base import Dialect

BUILT_IN: tuple[Dialect, ...] = (*traceloop.DIALECTS, *otel.DIALECTS)


class Dialects:
    """Finds the dialect of a scope: an exact name first, then the longest prefix."""

    def __init__(self, extra: Iterable[Dialect] = ()) -> None:
        self._exact: dict[str, Dialect | None] = {}
        self._prefixes: list[tuple[str, Dialect]] = []
        for dialect in (*BUILT_IN, *extra):
            for scope in dialect.scopes:
                if scope.endswith("*"):
                    self._prefixes.append((scope[:-1], dialect))
                else:
                    self._exact[scope] = dialect
        self._prefixes.sort(key=lambda item: -len(item[0]))

    def of(self, scope: str) -> Dialect | None:
        """The dialect of an instrumentation scope."""
        try:
            return self._exact[scope]
        except KeyError:
            found = next((dialect for prefix, dialect in self._prefixes if scope.startswith(prefix)), None)
            if len(self._exact) < 10_000:
                self._exact[scope] = found
            return found

    def all(self) -> Sequence[Dialect]:
        """Every dialect known, each once."""
        return list(dict.fromkeys([d for d in self._exact.values() if d] + [d for _, d in self._prefixes]))
