"""Loops that are near: what a session's note tells of tools that are called again and again with nothing new (pure)."""

from agent_fuse.loops.rule import LoopState, stale_actions

_FROM = 3
"""Times from which a repetition is told of."""


def repeating(note: bytes | None) -> list[tuple[str, int]]:
    """Tools, and how often each was asked for the same with nothing new since; the most often first."""
    most: dict[str, int] = {}
    for tool, times in stale_actions(LoopState.from_bytes(note)):
        most[tool] = max(times, most.get(tool, 0))
    found = [(tool, times) for tool, times in most.items() if times >= _FROM]
    return sorted(found, key=lambda one: (-one[1], one[0]))
