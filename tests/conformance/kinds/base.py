"""A kind of call, and how it is made: to its end, or broken off after its first piece."""

import asyncio
import gc
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conformance.place import Place

Call = Callable[[Place, str], Any]

LOOP = asyncio.new_event_loop()
"""One loop for all: async clients are bound to theirs."""


@dataclass(frozen=True)
class Kind:
    """One way to call. A generator function streams."""

    name: str
    call: Call
    requests: int = 1
    """Model requests that it makes."""
    told: bool = True
    """The provider tells its usage."""
    agent: bool = False
    """It is given the tool."""
    many: bool = False
    """Equal calls at once."""

    @property
    def stream(self) -> bool:
        return inspect.isgeneratorfunction(self.call) or inspect.isasyncgenfunction(self.call)

    def run(self, place: Place, prompt: str) -> None:
        """Make the call, and read all of it."""
        made = self.call(place, prompt)
        if inspect.iscoroutine(made):
            LOOP.run_until_complete(made)
        elif inspect.isasyncgen(made):
            LOOP.run_until_complete(_all(made))
        elif inspect.isgenerator(made):
            for _ in made:
                pass

    def abandon(self, place: Place, prompt: str) -> None:
        """Make the call, read its first piece, and leave."""
        made = self.call(place, prompt)
        if inspect.isasyncgen(made):
            LOOP.run_until_complete(_first(made))
        else:
            next(made)
            made.close()
        del made
        gc.collect()


async def _all(pieces: Any) -> None:
    async for _ in pieces:
        pass


async def _first(pieces: Any) -> None:
    await anext(pieces)
    await pieces.aclose()


class Kinds:
    """A group's kinds, in the order of definition."""

    def __init__(self) -> None:
        self.all: list[Kind] = []

    def add(self, name: str, **facts: Any) -> Callable[[Call], Call]:
        """Register a function as a kind."""

        def register(call: Call) -> Call:
            self.all.append(Kind(name, call, **facts))
            return call

        return register
