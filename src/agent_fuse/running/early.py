"""Loaded by the command `opentelemetry-instrument` itself, before the program: puts our distro first.

An entry point `opentelemetry_environment_variables`. The command makes an option of each name in here that begins with
OTEL, so there is none. Which distro comes up first is otherwise a matter of how a folder happens to be listed.
"""

import os
import sys

from agent_fuse.otel.asking import NAME, asked_for
from agent_fuse.running.entries import WANTED

_DISTRO = "OTEL_PYTHON_DISTRO"
_OPTION = "--distro"


def _come_first(arguments: list[str]) -> None:
    """Have our distro loaded, and keep in mind which one was asked for, by variable or by the command's option."""
    wanted = taken(arguments) or os.environ.get(_DISTRO)
    if wanted is not None and wanted != NAME:
        os.environ[WANTED] = wanted
    os.environ[_DISTRO] = NAME


def taken(arguments: list[str]) -> str | None:
    """The value of the command's option `--distro`, taken out: it would override the variable."""
    at = 1
    while at < len(arguments) and arguments[at].startswith("-"):
        name, equals, value = arguments[at].partition("=")
        if len(name) > len("--dis") and _OPTION.startswith(name):  # argparse takes abbreviations
            value = value if equals else arguments[at + 1] if at + 1 < len(arguments) else ""
            del arguments[at : at + (1 if equals else 2)]
            return value
        at += 1 if equals or name in {"-h", "--help", "--version"} else 2
    return None


if asked_for(os.environ):
    _come_first(sys.argv)
