"""A fact about how this process is guarded: what it is, whether that is well, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class FactState(StrEnum):
    """How one thing stands."""

    OK = "ok"
    """It guards."""
    BLIND = "blind"
    """It should guard, and does not see or cannot stop something."""
    OFF = "off"
    """It is not there, or was switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of a survey."""

    what: str
    state: FactState
    fix: str = ""
    """What to do about it; empty when nothing is to be done."""


def ok(what: str) -> Fact:
    """Something guards."""
    return Fact(what=what, state=FactState.OK)


def blind(what: str, fix: str) -> Fact:
    """Something that should guard does not see, or cannot stop."""
    return Fact(what=what, state=FactState.BLIND, fix=fix)


def off(what: str, fix: str) -> Fact:
    """Something is not there, or was switched off."""
    return Fact(what=what, state=FactState.OFF, fix=fix)
