"""Puts a mutant into code that is loaded already: its functions get the mutated functions' code."""

import gc
from collections.abc import Iterator
from types import CodeType, FunctionType

from mutation.operators import Mutant


def functions_of(file: str) -> dict[str, list[FunctionType]]:
    """Every live function whose code is from this file, by qualified name."""
    found: dict[str, list[FunctionType]] = {}
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__code__.co_filename == file:
            found.setdefault(one.__code__.co_qualname, []).append(one)
    return found


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object's own code objects, at any depth."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from codes(one)


def patch(mutant: Mutant, text: bytes, path: str, functions: dict[str, list[FunctionType]]) -> bool:
    """Put it in; False where it does not lie in a function that is loaded, or changes what the function closes over."""
    done = False
    for code in codes(compile(mutant.apply(text), path, "exec", dont_inherit=True)):
        name = code.co_qualname
        if name != mutant.function and not name.startswith(f"{mutant.function}.<locals>."):
            continue
        for one in functions.get(name, ()):
            if one.__code__.co_freevars != code.co_freevars:
                return False
            one.__code__ = code
            done = done or name == mutant.function
    return done
