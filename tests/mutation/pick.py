"""Which tests are run against a mutant: those that run its line, the quickest first, within a budget of seconds."""

import ast
import re
from functools import cache
from pathlib import Path

from mutation.mapping import Mapping
from mutation.operators import Mutant
from mutation.targets import PACKAGE, SOURCE, home

QUICK_SECONDS, SLOW_SECONDS = 0.1, 1.0


class Pick:
    """Chooses tests among those collected."""

    def __init__(self, mapping: Mapping, collected: set[str], budget: float) -> None:
        self._mapping, self._collected, self._budget = mapping, collected, budget

    def tests(self, mutant: Mutant) -> list[str]:
        """Those of the module's own test files first, then quick ones; each file's together, for its fixtures' sake."""
        own = home(mutant.file)
        found = self._touching(mutant) & self._collected
        if not mutant.function:
            found = {one for one in found if one.startswith(own)}
        seconds = {one: self._mapping.seconds.get(one, 1.0) for one in found}
        files: dict[str, float] = {}
        for one in found:
            file = one.partition("::")[0]
            files[file] = min(files.get(file, 9e9), seconds[one])

        def place(one: str) -> tuple[object, ...]:
            file = one.partition("::")[0]
            return (
                seconds[one] > SLOW_SECONDS,
                file not in own,
                seconds[one] > QUICK_SECONDS,
                files[file],
                file,
                seconds[one],
            )

        chosen, left = [], self._budget
        for one in sorted(found, key=place):
            if seconds[one] <= left:
                chosen.append(one)
                left -= seconds[one]
        return chosen

    def _touching(self, mutant: Mutant) -> set[str]:
        if mutant.function:
            return self._mapping.tests_of(mutant.file, mutant.function, mutant.line, mutant.end_line)
        name = _named_at(mutant.file, mutant.line)
        if name:
            found: set[str] = set()
            for file, functions in _readers(name):
                for function in functions:
                    found |= set(self._mapping.functions.get(file, {}).get(function, ()))
            if found:
                return found
        return {one for tests in self._mapping.functions.get(mutant.file, {}).values() for one in tests}


def _named_at(file: str, line: int) -> str:
    """The constant or field that a line of a module's own body gives a value to."""
    for node in ast.walk(ast.parse((SOURCE / file).read_text())):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.lineno <= line <= (node.end_lineno or 0):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                return target.id
    return ""


@cache
def _readers(name: str) -> list[tuple[str, list[str]]]:
    """Functions of the package that read a name."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if re.search(rf"\b{name}\b", text):
            functions = list(_reading(ast.parse(text), name, ()))
            if functions:
                found.append((str(Path(path).relative_to(SOURCE)), functions))
    return found


def _reading(node: ast.AST, name: str, names: tuple[str, ...]) -> list[str]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(name in (getattr(one, "id", None), getattr(one, "attr", None)) for one in ast.walk(child)):
                found.append(".".join((*names, child.name)))
        elif isinstance(child, ast.ClassDef):
            found += _reading(child, name, (*names, child.name))
    return found
