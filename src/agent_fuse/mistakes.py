"""Mistakes of whoever sets things up: their error, and for misspelt words the one that was meant."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import fields
from difflib import get_close_matches
from types import CodeType
from typing import Any, TypeVar, cast

from agent_fuse.foreign_text import inline

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_NEAR = 0.8
"""How alike (0 to 1, difflib's ratio) a word and the one that is meant are."""
_TAKES_MORE = 0x08
"""The flag of a function's code that has `**words` (CPython's `CO_VARKEYWORDS`)."""


class ConfigurationError(ValueError):
    """A bad option. The message names it, its value, and what is allowed."""

    __module__ = "agent_fuse.errors"  # its public home, which imports the values that raise it

    def __init__(self, message: str = "") -> None:
        super().__init__(inline(message))


def near(word: str, known: Iterable[str], *, alike: float = _NEAR) -> str:
    """The known word that `word` is a misspelling of, `alike` (0 to 1) or more; empty where it is like none."""
    plain = {_plain(one): one for one in known}
    mixed = [one for one in plain if sorted(one) == sorted(_plain(word))]  # a short word's letters, in another order
    found = mixed or get_close_matches(_plain(word), plain, n=1, cutoff=alike)
    return plain[found[0]] if found else ""


def misspelt(word: str, what: str, known: Iterable[str], *, prefix: str = "") -> ConfigurationError:
    """The error for a word that is none of those known: the one that was meant, else all there are.

    Args:
        what: what it should have been, as in "option" or "argument of Limit".
        prefix: begins the word and all that are known, and is left out of `known`.
    """
    words = tuple(known)
    meant = near(word.removeprefix(prefix), words)
    there_are = f"there are {', '.join(prefix + one for one in words)}" if words else "it takes none"
    hint = f"did you mean {prefix}{meant}?" if meant else there_are
    return ConfigurationError(f"{word} is no {what}; {hint}")


def checked(kind: type[T]) -> type[T]:
    """A dataclass of public values, whose unknown and positional arguments are errors of one line."""
    made: Any = kind.__init__
    arguments = [one for one in fields(cast("Any", kind)) if one.init]
    known = tuple(one.name for one in arguments)
    by_position = len([one for one in arguments if not one.kw_only])

    @functools.wraps(made)
    def init(self: T, *args: Any, **given: Any) -> None:
        for word in given:
            if word not in known:
                raise misspelt(word, f"argument of {kind.__name__}", known)
        if len(args) > by_position:
            hint = f"write what it is, as in {kind.__name__}({known[by_position]}={args[by_position]!r})"
            raise ConfigurationError(f"{kind.__name__}({args[by_position]!r}) does not say what it is; {hint}")
        made(self, *args, **given)

    cast("Any", kind).__init__ = init
    return kind


def spelled(*more: str) -> Callable[[F], F]:
    """Decorates a function of the user's: a keyword that it does not know is an error of one line.

    Args:
        more: words that it takes besides the arguments it names, where it has `**words`.
    """

    def decorate(func: F) -> F:
        known = (*arguments_of(func), *more)
        name = func.__qualname__.removesuffix(".__init__").removesuffix(".__new__")

        @functools.wraps(func)
        def call(*args: Any, **given: Any) -> Any:
            for word in given:
                if word not in known:
                    raise misspelt(word, f"argument of {name}", known)
            return func(*args, **given)

        return cast("F", call)

    return decorate


def arguments_of(func: object) -> tuple[str, ...]:
    """What a function can be given by name, its `self` or `cls` left out."""
    code = cast("CodeType", getattr(func, "__code__", None))
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    return tuple(one for one in named if one not in ("self", "cls"))


def takes_any(func: object) -> bool:
    """Whether a function takes words that it does not name, or does not tell."""
    code: CodeType | None = getattr(func, "__code__", None)
    return code is None or bool(code.co_flags & _TAKES_MORE)


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(".", "_")
