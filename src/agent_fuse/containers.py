"""Containers that were made apart from the requests which run code in them: their memory, by the ids that they got.

What names a container by its id does not tell its memory, and OpenAI bills by that. Kept for the process, newest first
to stay: whatever fuse asks, the container is the same.
"""

from collections import OrderedDict

KEPT = 1_024
"""Containers that are remembered."""

_known: OrderedDict[str, int] = OrderedDict()


def note(id: str, gigabytes: int) -> None:
    """Remember the memory of a container."""
    _known[id] = gigabytes
    try:
        while len(_known) > KEPT:
            _known.popitem(last=False)
    except KeyError:  # another thread forgot it meanwhile
        return


def memory_of(id: str) -> int | None:
    """Gigabytes of a container; None where its making was not seen."""
    return _known.get(id)
