"""What is to be run: a Python script, a module, or a command that is a Python program; the words to start it with."""

import difflib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_fuse.errors import ConfigurationError

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?", re.IGNORECASE)
_SCRIPT = (".py", ".pyw", ".pyc", ".pyz", ".zip")
_LOOKED_AT = 4096
_EXEC_TRICK = re.compile(rb"""'''exec' (?:"([^"]+)"|(\S+))""")
"""How installers write a script whose interpreter has too long a path for its first line."""

_VALUE_OPTIONS = "cmXW"
_BLIND_OPTIONS = "IES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start."""

    words: tuple[str, ...]
    blind: str = ""
    """Why the guard can't get into it, and the mend; empty where it can."""


def program(given: Sequence[str]) -> Program:
    """The program that these words name, as Python or a shell would take them.

    A command is looked for beside this Python first: a virtual environment need not be active.

    Raises:
        ConfigurationError: there is no such program.
    """
    first = given[0]
    if first in {"-m", "-c"}:
        if len(given) == 1:
            raise ConfigurationError(f"{first} needs a value, such as: agent-fuse run -m my_agent")
        return Program(words=(sys.executable, *given))
    path = Path(first)
    if path.is_dir() and (path / "__main__.py").is_file():
        return Program(words=(sys.executable, *given))
    if path.is_file() and (path.suffix.lower() in _SCRIPT or not os.access(path, os.X_OK)):
        return Program(words=(sys.executable, *given))
    found = str(path) if path.is_file() and os.sep in first else _command(first)
    if found is None:
        raise ConfigurationError(_missing(first))
    words = (found, *given[1:])
    return Program(words=words, blind=_blind(Path(found), given[1:]))


def _command(name: str) -> str | None:
    if os.sep in name:
        return None
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def _missing(name: str) -> str:
    nearest = difflib.get_close_matches(name, [one.name for one in Path(name).parent.glob("*.py")], n=1)
    hint = f"; did you mean {Path(name).parent / nearest[0]}?" if nearest else ""
    return f"there is no program {name!r} here, beside {sys.executable}, or on PATH{hint}"


def _blind(found: Path, arguments: Sequence[str]) -> str:
    """Why the guard can't get into a command."""
    if _PYTHON.fullmatch(found.name):
        return _blind_options(arguments)
    with found.open("rb") as file:
        head = file.read(_LOOKED_AT)
    line = head.partition(b"\n")[0].decode(errors="replace")
    words = line[2:].split() if line.startswith("#!") else []
    trick = _EXEC_TRICK.search(head)
    if trick:
        words = [(trick[1] or trick[2]).decode(errors="replace")]
    if words and Path(words[0]).name == "env":
        words = [one for one in words[1:] if "=" not in one and one != "-S"]
    if not words or not _PYTHON.fullmatch(Path(words[0]).name):
        return (
            f"{found.name} is no Python program, so it can't be guarded; put agent-fuse run before the Python command "
            "that it starts"
        )
    return _blind_options(words[1:])


def _blind_options(arguments: Sequence[str]) -> str:
    """Options that keep Python from loading the guard."""
    rest = iter(arguments)
    for one in rest:
        if not one.startswith("-") or one == "-":
            break
        if one.startswith("--"):
            if one == "--check-hash-based-pycs":
                next(rest, None)
            continue
        for at, letter in enumerate(one[1:], 2):
            if letter in _BLIND_OPTIONS:
                return f"with -{letter} Python does not load the guard; leave it out"
            if letter in _VALUE_OPTIONS:
                if at == len(one) and letter in "XW":
                    next(rest, None)
                break
        if one[1] in "cm":
            break
    return ""
