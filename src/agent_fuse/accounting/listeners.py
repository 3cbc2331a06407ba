"""Listeners: everyone who wants to know of something, told in the order in which they came."""

from collections.abc import Callable
from typing import Generic, ParamSpec

from agent_fuse.errors import SentinelError
from agent_fuse.seams import GOES_ON, fault, harmless

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Calling it tells each of them; what one raises is logged, and the others are told all the same.

    Args:
        doing: what a listener does, in words for the log.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self.those: tuple[Callable[P, object], ...] = ()
        """The listeners; empty while nobody wants to know."""

    def add(self, listener: Callable[P, object]) -> Callable[[], None]:
        """Tell this one too, from now on; calling what comes back ends that."""
        self.those = (*self.those, listener)

        def remove() -> None:
            self.those = tuple(one for one in self.those if one is not listener)

        return remove

    @harmless("telling listeners", GOES_ON)
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell them."""
        for listener in self.those:
            try:
                listener(*args, **kwargs)
            except (Exception, SentinelError) as error:  # noqa: BLE001  it is no reason to stop a call
                fault(self._doing, error, GOES_ON)
