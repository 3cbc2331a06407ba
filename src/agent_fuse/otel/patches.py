"""Methods of other libraries that AgentFuse stands around: put there once, whoever else wraps them, asleep when off.

Others wrap the same classes before and after us and put back what they found. So a wrapper of ours is taken out only
where it is the outermost; anywhere else it stays, and does nothing until it is wanted again.
"""

import functools
from collections.abc import Callable
from typing import Any

MARK = "_agent_fuse_original"
"""On each wrapper of ours, and seen through wrappers of others that copy or proxy its attributes: what it wraps."""

Method = Callable[..., Any]
Wrap = Callable[[Method], Method]

_stand: list[tuple[type[Any], str, Method]] = []
"""Class, name and wrapper of all that was put anywhere."""


def stands(kind: type[Any] | None, name: str) -> bool:
    """Whether a call of this method passes a wrapper of ours, as far as its wrappers tell."""
    return hasattr(getattr(kind, name, None), MARK)


def owner_of(kind: type[Any], name: str) -> type[Any] | None:
    """The class that a method of `kind` comes from."""
    return next((one for one in kind.__mro__ if name in one.__dict__), None)


def put(kind: type[Any], name: str, wrap: Wrap) -> bool:
    """Put a wrapper around a method that `kind` itself defines, unless ours is there. False where it defines none."""
    original = kind.__dict__.get(name)
    if not callable(original):
        return False
    if not hasattr(original, MARK):
        wrapper = functools.wraps(original)(wrap(original))
        setattr(wrapper, MARK, original)
        setattr(kind, name, wrapper)
        _stand.append((kind, name, wrapper))
    return True


def put_back() -> None:
    """Take out every wrapper that is the outermost, and whatever stands right under it."""
    for at in reversed(range(len(_stand))):
        kind, name, wrapper = _stand[at]
        if kind.__dict__.get(name) is wrapper:
            setattr(kind, name, getattr(wrapper, MARK))
            del _stand[at]
