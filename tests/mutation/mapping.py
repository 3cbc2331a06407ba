"""A pytest plugin that maps lines to the tests which run them: `AGENT_FUSE_MAP=file.json pytest -p mutation.mapping …`."""

import ast
import hashlib
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "agent_fuse"


OVERHEAD = 0.005
"""Seconds that any test costs, however little it computes."""


class Mapping:
    """Which tests run which lines and functions, and how long each takes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = json.loads(path.read_text()) if path.exists() else {}
        names: list[str] = found.get("tests", [])
        self.seconds: dict[str, float] = found.get("seconds", {})
        self.hashes: dict[str, str] = found.get("hashes", {})
        self.lines = _spelled(found.get("lines", {}), names)
        self.functions = _spelled(found.get("functions", {}), names)

    def save(self) -> None:
        names = sorted(
            {
                one
                for table in (*self.lines.values(), *self.functions.values())
                for known in table.values()
                for one in known
            }
        )
        numbers = {name: number for number, name in enumerate(names)}
        told = {
            "tests": names,
            "seconds": self.seconds,
            "hashes": self.hashes,
            "lines": _numbered(self.lines, numbers),
            "functions": _numbered(self.functions, numbers),
        }
        self.path.write_text(json.dumps(told))

    def forget(self, tests: set[str]) -> None:
        """What these tests ran is about to be told anew."""
        for table in (*self.lines.values(), *self.functions.values()):
            for key, known in table.items():
                table[key] = [one for one in known if one not in tests]

    def tell(self, file: str, lines: dict[int, set[str]]) -> None:
        """Which tests ran which lines of a file."""
        text = (SOURCE / file).read_bytes()
        self.hashes[file] = digest(text)
        by_line = self.lines.setdefault(file, {})
        by_function = self.functions.setdefault(file, {})
        owners = dict(owned_lines(text))
        for line, tests in lines.items():
            by_line[str(line)] = sorted({*by_line.get(str(line), ()), *tests})
            if line in owners:
                name = owners[line]
                by_function[name] = sorted({*by_function.get(name, ()), *tests})

    def tests_of(self, file: str, function: str, first: int, last: int) -> set[str]:
        """Tests that run these lines; where the file has changed since, those that run the function."""
        if self.hashes.get(file) == digest((SOURCE / file).read_bytes()):
            found = {one for line in range(first, last + 1) for one in self.lines[file].get(str(line), ())}
            if found or not function:
                return found
        return set(self.functions.get(file, {}).get(function, ()))


Table = dict[str, dict[str, list[str]]]
"""Test names by file, and by line or function."""


def _numbered(table: Table, numbers: dict[str, int]) -> dict[str, dict[str, list[int]]]:
    return {file: {key: [numbers[one] for one in known] for key, known in rows.items()} for file, rows in table.items()}


def _spelled(table: dict[str, dict[str, list[int]]], names: list[str]) -> Table:
    return {file: {key: [names[one] for one in known] for key, known in rows.items()} for file, rows in table.items()}


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def owned_lines(text: bytes) -> Iterator[tuple[int, str]]:
    """Each line inside a function, with the qualified name of the outermost one."""

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                for line in range(child.body[0].lineno, (child.end_lineno or 0) + 1):
                    yield line, ".".join((*names, child.name))
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, (*names, child.name))

    yield from walk(ast.parse(text), ())


class Recorder:
    """Switches coverage's context from test to test."""

    def __init__(self, path: Path) -> None:
        self.mapping = Mapping(path)
        self.ran: set[str] = set()
        self.folder = tempfile.mkdtemp(prefix="map-")
        os.environ["AGENT_FUSE_MAP_DIR"] = self.folder
        os.environ["AGENT_FUSE_MAP_SOURCE"] = str(PACKAGE)
        self.coverage = coverage.Coverage(data_file=None, include=[f"{PACKAGE}/*"])
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Generator[None, Any, Any]:
        self.coverage.switch_context(item.nodeid)
        began = time.process_time()
        answer = yield
        self.ran.add(item.nodeid)
        self.mapping.seconds[item.nodeid] = round(time.process_time() - began + OVERHEAD, 3)
        self.coverage.switch_context("")
        return answer

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        self.mapping.forget(self.ran)
        found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        data = self.coverage.get_data()
        for file in data.measured_files():
            for line, tests in data.contexts_by_lineno(file).items():
                found[file][line] |= {one for one in tests if one}
        for path in Path(self.folder).glob("*.json"):
            told = json.loads(path.read_text())
            for file, lines in told["files"].items():
                for line in lines:
                    found[file][line].add(told["test"])
        for file, lines in found.items():
            self.mapping.tell(str(Path(file).relative_to(SOURCE)), lines)
        self.mapping.save()


def pytest_configure(config: Any) -> None:
    config.pluginmanager.register(Recorder(Path(os.environ["AGENT_FUSE_MAP"])), "mutation-map")
