"""Where a kind of call is made: the loopback providers, the clients, the tool, and the session to name."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent_fuse.testing import LoopbackProvider

from .gemini import GeminiProvider

MODEL = "gpt-4o"
EMBEDDER = "text-embedding-3-small"
CLAUDE = "claude-opus-4-6"
GEMINI = "gemini-2.5-flash"


@dataclass(eq=False)
class Place:
    """What every kind of call gets."""

    openai: LoopbackProvider
    google: GeminiProvider
    session: str = ""
    """Session id to name in the library's own way; empty for none."""
    bodies: int = 0
    """Times that the tool's body ran."""
    cities: list[str] = field(default_factory=list)

    @functools.lru_cache(maxsize=64)  # noqa: B019  one place lives as long as its process
    def once(self, make: Callable[["Place"], Any]) -> Any:
        """Make a client once: making one costs more than a call."""
        return make(self)

    def weather(self, city: str) -> str:
        """The tool that agents are given."""
        self.bodies += 1
        return f"Rain in {city}."

    @property
    def requests(self) -> int:
        """Model requests that arrived."""
        return self.openai.count + self.google.count

    def reset(self) -> None:
        self.openai.reset()
        self.google.reset()
        self.bodies = 0

    @contextmanager
    def naming(self, session: str) -> Iterator[None]:
        """Calls inside name this session in the library's own way."""
        self.session = session
        try:
            yield
        finally:
            self.session = ""
