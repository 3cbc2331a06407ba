"""What a tool is likely to do to the world, by its name and, for a shell, by the command's first word (pure)."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, cast


class Effect(StrEnum):
    """What an action does."""

    IDLE = "idle"
    """It changes nothing and asks nothing: thinking, planning, a note to oneself, a pause."""
    READS = "reads"
    """It asks a question."""
    ACTS = "acts"
    """It changes something."""
    UNKNOWN = "unknown"
    """Its name does not tell: it read where it gave an answer, and acted where it only said that it is done."""


_IDLE = "think thinking thought thoughts reflect reflection reason reasoning ponder brainstorm plan planning scratchpad"
_IDLE_FIRST = f"{_IDLE} note notes todo todos memo remark comment say echo sequentialthinking true pwd date"
_READS = (
    "ls list read get fetch search find lookup look query view show cat head tail grep rg status check inspect "
    "describe open poll watch peek count stat test tests pytest lint build compile verify validate browse retrieve "
    "select explain load glob tree diff scan ask recall history info details exists monitor ping wc sed awk which"
)
_ACTS = (
    "edit write create update delete remove patch apply commit push move rename copy send post put add insert set save "
    "attach upload append replace click press type fill scroll next previous back go goto navigate step "
    "advance continue wait sleep pause delay refresh submit book buy pay cancel install start stop restart kill deploy "
    "merge rebase checkout reset schedule reply close mkdir rm mv cp touch tee"
)
_WORDS: dict[str, Effect] = {
    **dict.fromkeys(_READS.split(), Effect.READS),
    **dict.fromkeys(_ACTS.split(), Effect.ACTS),
    **dict.fromkeys(_IDLE.split(), Effect.IDLE),
}
_FIRST: dict[str, Effect] = {**_WORDS, **dict.fromkeys(_IDLE_FIRST.split(), Effect.IDLE)}
_BY_COMMAND = frozenset(
    ["bash", "shell", "sh", "zsh", "terminal", "execute", "exec", "run", "cmd", "command", "powershell", "sql"]
)
_COMMAND_KEYS = ("command", "cmd", "script", "sql", "statement", "query", "input")
_PAUSES = frozenset(["sleep", "wait", "pause", "delay"])
_OF_PAUSES = _PAUSES | {"seconds", "secs", "minutes", "ms", "milliseconds", "time", "for", "a", "browser", "page"}
"""A tool of such words alone lets time pass; `wait_for_job` tells of the job."""
_LISTS = frozenset(["todo", "todos", "scratchpad"])
"""What an agent writes down for itself, whatever the verb."""
_SEARCHES = frozenset(["search", "find", "lookup", "query", "grep", "glob", "rg", "websearch", "googlesearch"])
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_QUIET = re.compile(r"[12&]?>\s*(?:&1|/dev/null)")
_WRITES = re.compile(r">|\s-i\b")
_PAUSE = re.compile(r"\s*sleep\s+[\d.]+[smh]?\s*")
_COMMAND = re.compile(r"\s*(?:cd\s+[^&;|]+(?:&&|;)\s*)?(?:sudo\s+|timeout\s+\S+\s+)?(?:git\s+)?([\w./-]+)")


def effect_of(tool: str, args: object) -> Effect:
    """What this action does."""
    named = _by_name(tool)
    return named if named is not None else _by_command(args)


@lru_cache(maxsize=256)
def _by_name(tool: str) -> Effect | None:
    """By the tool's name; None for a shell, whose command tells."""
    words = [word.lower() for word in _SPLIT.findall(tool)]
    if not words:
        return Effect.UNKNOWN
    if not _LISTS.isdisjoint(words) or (not _PAUSES.isdisjoint(words) and _OF_PAUSES.issuperset(words)):
        return Effect.IDLE
    if words[0] in _FIRST:
        return _FIRST[words[0]]
    for effect in (Effect.ACTS, Effect.READS, Effect.IDLE):
        if any(_WORDS.get(word) is effect for word in words):
            return effect
    return None if _BY_COMMAND.intersection(words) else Effect.UNKNOWN


@lru_cache(maxsize=256)
def searches(tool: str) -> bool:
    """Whether the tool looks for something by words."""
    return not _SEARCHES.isdisjoint(word.lower() for word in _SPLIT.findall(tool))


def _by_command(args: object) -> Effect:
    if isinstance(args, Mapping):
        given = cast("Mapping[Any, Any]", args)
        args = next((given[key] for key in _COMMAND_KEYS if key in given), None)
    if not isinstance(args, str):
        return Effect.UNKNOWN
    if _PAUSE.fullmatch(args):
        return Effect.IDLE
    found = None if _WRITES.search(_QUIET.sub("", args)) else _COMMAND.match(args)
    return _FIRST.get(str(found[1]).rpartition("/")[2].lower(), Effect.ACTS) if found else Effect.ACTS
