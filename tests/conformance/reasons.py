"""Why a cell is not green, and what to do: one footnote for each reason."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One footnote, and the cells it stands at: all of what is given must fit (shell patterns; `words` is searched)."""

    key: str
    text: str
    setups: str = "*"
    kinds: str = "*"
    modes: str = "*"
    columns: tuple[str, ...] = ()
    words: str = ""
    environments: str = "*"

    def fits(self, environment: str, setup: str, mode: str, kind: str, column: str, word: str) -> bool:
        return (
            _any(environment, self.environments)
            and _any(setup, self.setups)
            and _any(mode, self.modes)
            and _any(kind, self.kinds)
            and (not self.columns or column in self.columns)
            and re.search(self.words, word) is not None
        )


def _any(name: str, patterns: str) -> bool:
    """Patterns are parted by `|`."""
    return any(fnmatchcase(name, one) for one in patterns.split("|"))


def reason(environment: str, setup: str, mode: str, kind: str, column: str, word: str) -> Reason:
    """The first reason that fits.

    Raises:
        LookupError: nobody says why this cell is not green.
    """
    for one in REASONS:
        if one.fits(environment, setup, mode, kind, column, word):
            return one
    raise LookupError(f"{environment} {setup} {mode} {kind!r} {column}: {word!r} is not green, and no reason says why")


REASONS: tuple[Reason, ...] = ()
