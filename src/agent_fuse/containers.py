"""Containers in which code runs at the provider: their memory, told by a tool, or by the ids of those made apart.

What names a container by its id does not tell its memory, and OpenAI bills by that. Kept for the process, newest first
to stay: whatever fuse asks, the container is the same.
"""

from collections import OrderedDict

from agent_fuse.calls import fields_of

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


def gigabytes(tool: object, *, unseen: int = 1) -> int:
    """Memory of the container that a tool runs in at the provider, 1 where it names none; 0 where it runs in none.

    Where it names a container by its id, that one's memory, or `unseen` where its making was not seen.
    Source: OpenAI's guides "Code interpreter" and "Shell"; the openai SDK's `ContainerAuto.memory_limit`.
    """
    field = fields_of(tool)
    named = field("container" if field("type") == "code_interpreter" else "environment")
    place = fields_of(named)
    if field("type") != "code_interpreter" and not (
        field("type") == "shell" and place("type") in ("container_auto", "container_reference")
    ):
        return 0
    made, told = named if isinstance(named, str) else place("container_id"), place("memory_limit")
    if isinstance(made, str):
        return memory_of(made) or unseen
    return GIGABYTES.get(told, unseen) if isinstance(told, str) else 1


GIGABYTES = {"1g": 1, "4g": 4, "16g": 16, "64g": 64}
"""What a container's `memory_limit` may be (the openai SDK's `ContainerAuto`, 2026-11)."""
MOST_GIGABYTES = max(GIGABYTES.values())
