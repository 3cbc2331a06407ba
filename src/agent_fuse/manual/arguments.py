"""The arguments of a call by the names of the function's parameters, without the `self` of a method."""

import inspect
from collections.abc import Callable
from typing import Any

_OWNERS = frozenset({"self", "cls", "mcs"})
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """Binds calls of one function. The same call written otherwise (by position, with defaults) binds to the same."""

    def __init__(self, func: Callable[..., Any]) -> None:
        try:
            self._signature: inspect.Signature | None = inspect.signature(func)
        except (TypeError, ValueError):  # a builtin that does not tell
            self._signature = None
        first = next(iter(self._signature.parameters), "") if self._signature is not None else ""
        self._owner = first if first in _OWNERS else ""

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Arguments by name; None where the function does not take them (and will say so itself)."""
        if self._signature is None:
            return {"args": list(args), **kwargs} if args else dict(kwargs)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name == self._owner:
                continue
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                found |= value
            elif kind not in _VARIADIC or value:
                found[name] = value
        return found
