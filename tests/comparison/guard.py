"""What a peer is asked for: to let a call go, and to be told how it went. Nothing here but the standard library."""

from collections.abc import Callable
from typing import Any

MODEL, INPUT, OUTPUT, TOKENS = "gpt-4o", 1_000, 500, 1_500
PRICE = 0.0075
"""US dollars of one call."""


class Refused(Exception):
    """The peer let a call not go."""


class Guard:
    """A budget of some calls, as one peer keeps it. A peer that only knows whole calls overrides `call`."""

    def before(self) -> Any:
        """Ask for a call. Raises Refused."""
        raise NotImplementedError

    def after(self, held: Any) -> None:
        """It was made, and cost what was expected."""
        raise NotImplementedError

    def failed(self, held: Any) -> None:
        """It was never sent: the connection was refused."""

    def broken(self, held: Any) -> None:
        """Its stream was broken off half way."""

    def call(self, request: Callable[[], object]) -> None:
        """Make a call. Raises Refused, or what the request raises."""
        held = self.before()
        try:
            request()
        except ConnectionError:
            self.failed(held)
            raise
        except EOFError:
            self.broken(held)
            raise
        self.after(held)
