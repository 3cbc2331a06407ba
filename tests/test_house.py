"""The house rules that tests rely on: a clean environment, and nothing of one machine in the repository."""

import ast
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import at_rest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MACHINE = re.compile(
    r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work)/"  # a folder of whoever wrote it
    r"|https?://[\w.-]+/(?:simple|packages)/"  # a package index
    r"|--(?:extra-)?(?:index)-url|--trusted-host|--find-links"
)


def committed() -> list[Path]:
    """Files that git tracks; in an unpacked release, every file there is."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_machine_in_the_repository():
    """Nothing committed names a folder of one machine or a registry's address: a fresh clone works anywhere."""
    found = []
    for path in committed():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in MACHINE.finditer(text)]
    assert not found


@pytest.mark.parametrize(
    "line",
    ["cd {}root/thing", "open('{}home/ann/x')", "https:{}{}index.invalid/simple/", "pip install --trusted-host=x"],
)
def test_machine_pattern_sees(line):
    """The pattern above finds what it is for."""
    assert MACHINE.search(line.replace("{}", "/"))  # spelled out here, the lines would be found themselves


def test_constraints_are_exact_pins():
    """constraints.txt holds one exact release a line, nothing editable, no path, no URL."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 50
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


def test_a_class_has_a_name_of_its_own():
    """One word, one meaning: who reads a class's name knows which. What one module keeps to itself may be called anything."""
    homes: dict[str, list[str]] = {}
    for path in SOURCES:
        if "testing" not in path.parts:  # a package for users' tests, with words of its own
            for one in ast.parse(path.read_text()).body:
                if isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
                    homes.setdefault(one.name, []).append(path.name)
    del homes["AgentFuseMiddleware"]  # what every framework's users look for, one for WSGI and one for ASGI
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}
    assert len(homes) > 300


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_source_file_is_one_concept(path):
    """A source file has at most 350 lines, and its first line says what the concept is."""
    lines = path.read_text().splitlines()
    assert len(lines) <= 350, "ask what concept hides in it"
    assert not lines or lines[0].startswith(('"""', "#!"))


def test_environment_is_clean(home):
    """No variable of the developer's shell reaches the libraries under test, and home is a folder of the test's own."""
    assert [name for name in os.environ if name.startswith(("OTEL_", "AGENTFUSE_", "OPENAI_", "ANTHROPIC_"))] == [
        "AGENTFUSE_BUSY_WAIT"  # a refusal is waited for in tests of waiting alone
    ]
    assert Path.home() == home
    assert list(home.iterdir()) == []


def test_network_is_loopback_only():
    """Reaching for another machine fails the test, even under `except Exception`."""

    def careless(host):
        try:
            socket.create_connection((host, 80), timeout=1)
        except Exception as swallowed:
            return swallowed

    for host in ("198.51.100.7", "example.invalid", "2001:db8::1"):
        with pytest.raises(pytest.fail.Exception, match="loopback only"):
            careless(host)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


CHANGES = {
    "add",
    "append",
    "clear",
    "extend",
    "insert",
    "move_to_end",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "update",
}


def state(tree: ast.Module) -> Iterator[str]:
    """What a module holds for the whole process, and a function of it changes."""
    assigned = [one for one in tree.body if isinstance(one, ast.Assign | ast.AnnAssign)]
    targets = [one.target if isinstance(one, ast.AnnAssign) else one.targets[0] for one in assigned]
    own = {one.id for one in targets if isinstance(one, ast.Name)}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for one in ast.walk(function):
                if isinstance(one, ast.Global):
                    yield from one.names
                elif isinstance(one, ast.Attribute | ast.Subscript) and isinstance(one.value, ast.Name):
                    changes = one.attr in CHANGES if isinstance(one, ast.Attribute) else type(one.ctx) is not ast.Load
                    if changes and one.value.id in own:
                        yield one.value.id


def test_what_a_process_remembers_is_forgotten_between_tests():
    """Whatever a module keeps and changes: a test that relies on what another one left passes or fails by their order."""
    beside = ("cli", "dashboard", "demo", "testing")  # programs, in processes of their own
    package = ROOT / "src" / "agent_fuse"
    found = {
        ".".join(path.relative_to(package).with_suffix("").parts): sorted(set(state(ast.parse(path.read_text()))))
        for path in SOURCES
        if path.relative_to(package).parts[0] not in beside
    }
    keeping = {module for module, names in found.items() if names}
    assert len(keeping) > 30
    assert {one: found[one] for one in keeping - set(at_rest.FORGOTTEN) - set(at_rest.STAYS)} == {}
    assert set(at_rest.STAYS) - keeping == set()
