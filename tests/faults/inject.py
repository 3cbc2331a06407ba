"""Puts a fault into a function of ours: whoever calls it, however it was handed on, gets a TypeError."""

import builtins
import gc
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType

from .reach import is_ours

FAULT = "a bug of ours (simulated)"

_HOOK = "__agent_fuse_fault__"

_TEMPLATES = """
def plain(*args, **kwargs):
    raise __agent_fuse_fault__()
def generator(*args, **kwargs):
    raise __agent_fuse_fault__()
    yield
async def coroutine(*args, **kwargs):
    raise __agent_fuse_fault__()
async def async_generator(*args, **kwargs):
    raise __agent_fuse_fault__()
    yield
"""
_made: dict[str, Callable[..., object]] = {}
exec(compile(_TEMPLATES, "<fault>", "exec"), _made)


def ours() -> list[FunctionType]:
    """Functions of ours that the collector looks at."""
    return [one for one in gc.get_objects() if type(one) is FunctionType and is_ours(one.__code__)]


def lasting() -> list[FunctionType]:
    """What is alive now is here to stay: the collector, which each scene runs, looks at it no more. Ours among it.

    Nor does it after the last scene: other files run it too, and each run would take half a second.
    """
    gc.unfreeze()
    gc.collect()
    found = ours()
    gc.freeze()
    return found


class Functions:
    """The functions of ours that are alive, those that `lasting` found included, by their code."""

    def __init__(self, found: Iterable[FunctionType]) -> None:
        self._alive: dict[int, list[FunctionType]] = {}
        for one in (*found, *ours()):
            if one not in self._alive.get(id(one.__code__), ()):
                self._alive.setdefault(id(one.__code__), []).append(one)
        self._outer: dict[int, CodeType] = {}
        for functions in self._alive.values():
            self._note(functions[0].__code__)

    def _note(self, outer: CodeType) -> None:
        for inner in outer.co_consts:
            if isinstance(inner, CodeType):
                self._outer[id(inner)] = outer
                self._note(inner)

    def _with(self, old: CodeType, new: CodeType) -> Iterator[tuple[FunctionType, CodeType]]:
        """What has to be changed so that `new` runs in the place of `old`, closures yet to be made included."""
        for function in self._alive.get(id(old), ()):
            yield function, new
        outer = self._outer.get(id(old))
        if outer is not None:
            consts = tuple(new if one is old else one for one in outer.co_consts)
            yield from self._with(outer, outer.replace(co_consts=consts))

    @contextmanager
    def failing(self, code: CodeType) -> Iterator[list[int]]:
        """Inside the block the function fails each time it is called; the list grows with each."""
        hits: list[int] = []

        def fault() -> TypeError:
            hits.append(1)
            return TypeError(FAULT)

        changes = list(self._with(code, faulty(code)))
        assert changes, f"{code.co_qualname} cannot be reached: no function has its code"
        setattr(builtins, _HOOK, fault)
        before = [(function, function.__code__) for function, _ in changes]
        try:
            for function, new in changes:
                function.__code__ = new
            yield hits
        finally:
            for function, old in before:
                function.__code__ = old
            delattr(builtins, _HOOK)


def faulty(code: CodeType) -> CodeType:
    """A code of the same kind and with the same closure that raises at once."""
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        kind = "async_generator"
    elif code.co_flags & inspect.CO_COROUTINE:
        kind = "coroutine"
    elif code.co_flags & inspect.CO_GENERATOR:
        kind = "generator"
    else:
        kind = "plain"
    return _made[kind].__code__.replace(
        co_freevars=code.co_freevars,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )


def names(codes: Iterable[CodeType]) -> list[str]:
    """For messages."""
    return sorted(code.co_qualname for code in codes)
