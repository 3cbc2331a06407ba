"""What a measured word means on the page: as good as it can be, short of that, or not at all."""

import re

from conformance.cells import GREEN, HALF, NONE, RED, Cell

FITS = 6
"""Calls that the budget of `stops` has room for, and requests of a loop before its trip: the threshold and one."""
RUNS = {"stops": "run", "awaited": "awaited", "streamed": "streamed", "team": "in a team", "spans": "with spans on"}
"""The ways in which an agent runs away."""
HOLDS = {
    "loop": "tool loop",
    "session": "sessions",
    "beside": "side by side",
    "agent": "agents",
    "streamed agent": "streamed",
    "forms": "other teams",
    "ends": "ends",
}

_TRIP = re.compile(r"(Sentinel\w+) \((BaseException|Exception)\)")
_FORM = re.compile(rf"[1-{FITS}] sent, Sentinel\w+ \(\w+\), (?:[A-Z]\w+ )?alpha beta(?: inner| lead)?")
"""Beside both there may be a team's own manager, or who leads or is led."""
_SENT = re.compile(r"(\d+) sent, exact")
_STREAM = re.compile(r"(\d+) sent, billed (\d+)% of the budget, (exact|counted \d+%)")


def cell(column: str, word: str | None) -> Cell:
    """Judge what was measured."""
    if not word:
        return Cell(NONE)
    if column.endswith(" raised"):
        return _raised(word)
    if column == "streamed":
        return _streamed(word)
    if column in RUNS:
        found = _SENT.fullmatch(word)
        return Cell(GREEN if found and int(found[1]) <= FITS else RED, word)
    if column == "loop":
        return _loop(word)
    if column in ("agent", "streamed agent"):
        return _agent(column, word)
    if column == "forms":
        return _forms(word)
    if column == "ends":
        return _ends(word)
    return Cell(GREEN) if word == "each its own" else Cell(RED, word)


def _raised(word: str) -> Cell:
    found = _TRIP.fullmatch(word)
    if found:
        return Cell(GREEN, "soft" if found[2] == "Exception" else "hard")
    return Cell(HALF if " around Sentinel" in word else RED, f"`{word.partition(' ')[0].rstrip(',')}`")


def _streamed(word: str) -> Cell:
    found = _STREAM.fullmatch(word)
    if not found or int(found[2]) > 100:
        return Cell(RED, word)
    return Cell(GREEN, f"{found[1]} sent, exact") if found[3] == "exact" else Cell(HALF, f"{found[1]} sent, counted")


def _loop(word: str) -> Cell:
    sent, _, raised = word.partition(" sent, ")
    if not sent.isdecimal() or int(sent) > FITS:
        return Cell(RED, word)
    return Cell(GREEN if "SentinelLoopError" in raised else HALF, f"{sent} sent")


def _agent(column: str, word: str) -> Cell:
    if word == "no names":
        return Cell(NONE)
    names = set(re.findall(r"[a-z]\w+", word))
    return Cell(GREEN) if names == ({"alpha", "beta"} if column == "agent" else {"alpha"}) else Cell(RED, word)


def _forms(word: str) -> Cell:
    found = dict(one.split(": ", 1) for one in word.split("; "))
    good = all(_FORM.fullmatch(one) for one in found.values())
    return Cell(GREEN, ", ".join(found)) if good else Cell(RED, word)


def _ends(word: str) -> Cell:
    if word == "by itself":
        return Cell(GREEN)
    hung = re.search(r"did not end|no answer|ended with", word)
    return Cell(RED, word) if hung else Cell(HALF, "by itself")
