"""Which calls this process holds, as far as it remembers: it decides which way is tried first, and nothing else."""

MOST = 10_000
"""Calls remembered."""


class RecentNames:
    """Names of calls, the oldest forgotten first."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember one."""
        self._names[name] = None
        if len(self._names) > MOST:
            for oldest in list(self._names)[: MOST // 10]:
                self._names.pop(oldest, None)

    def discard(self, name: str) -> None:
        """Forget one."""
        self._names.pop(name, None)
