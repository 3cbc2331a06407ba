"""Awaits a judgement: where a limit says to wait, the event loop goes on meanwhile, and then it is judged again."""

from collections.abc import Callable
from typing import TypeVar

from agent_fuse.accounting.waits import AWAITED, Waited, WaitFor
from agent_fuse.ledgers.waiting import rest
from agent_fuse.seams import GOES_ON, quietly

T = TypeVar("T")


async def awaited(judged: Callable[[], T]) -> T:
    """What `judged` gives, as soon as no limit lets it wait any longer; it raises what that raises.

    Only the judgement may wait so: what runs after it has waits of its own.
    """
    waited = quietly("letting a call wait", "a limit refuses it at once", Waited)
    if waited is None:
        return judged()
    try:
        while True:
            token = AWAITED.set(waited)
            try:
                return judged()
            except WaitFor as limit:
                seconds = limit.seconds
            finally:
                AWAITED.reset(token)
            await rest(seconds)
    finally:
        quietly("ending a wait", GOES_ON, waited.end)
