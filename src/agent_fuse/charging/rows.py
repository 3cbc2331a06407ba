"""A row of the table of errors: what a class says about its request, of which library, and why."""

from dataclasses import dataclass
from enum import Enum, auto


class Says(Enum):
    """What the class of an error says about its request."""

    NOTHING = auto()
    """It was not sent, or was answered with an error: nothing was charged."""
    MAYBE = auto()
    """It was sent, or may have been sent whole: it may have been charged."""
    STATUS = auto()
    """Nothing by itself: the HTTP status that the error carries does, else what caused it, else its words."""
    CAUSE = auto()
    """Nothing by itself, and a status on it is made up: what caused it does, else its words."""
    UNSAID = auto()
    """Nothing, and what it happened during is another matter: it comes from code around the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorClasses:
    """Classes of one library that say the same for the same reason."""

    says: Says
    library: str
    why: str
    names: tuple[str, ...]
    """Class names without their module: spans often tell no more."""
    otherwise: Says = Says.UNSAID
    """What it says when neither status, cause nor words do: NOTHING, MAYBE or UNSAID."""


def row(says: Says, library: str, why: str, names: str, *, otherwise: Says = Says.UNSAID) -> ErrorClasses:
    """A row; `names` are separated by spaces."""
    return ErrorClasses(says=says, library=library, why=why, names=tuple(names.split()), otherwise=otherwise)
