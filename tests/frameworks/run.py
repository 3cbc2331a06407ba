"""Asks one framework in this process: `python -m frameworks.run NAME QUESTION…` prints what was found, as JSON."""

import importlib
import json
import os
import socket
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # nothing here reaches further than loopback
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "AGNO_TELEMETRY": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "false",
    "HF_HUB_OFFLINE": "1",
}
os.environ.update(QUIET)


def stay_here() -> None:
    """Let nothing leave this machine: a framework that calls home is told that there is no network."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    local = ("127.0.0.1", "::1", "localhost", None, "")

    def connect_here(one: socket.socket, address: Any) -> None:
        if one.family != socket.AF_UNIX and address[0] not in local:
            raise OSError(f"{address[0]} is not on this machine")
        connect(one, address)

    def look_up_here(host: Any, *rest: Any, **named: Any) -> Any:
        if host not in local:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not on this machine")
        return look_up(host, *rest, **named)

    socket.socket.connect = connect_here  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = look_up_here


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in packages:
        try:
            found[one] = version(one)
        except PackageNotFoundError:
            continue
    return found


def main(name: str, questions: list[str]) -> None:
    """Answer, and end as a program would."""
    stay_here()
    from .questions import QUESTIONS
    from .world import world

    program = importlib.import_module(f"frameworks.programs.{name}")
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for question in questions:
            made = world(Path(folder) / f"{question}.db")
            rows |= QUESTIONS[question](program, made)
            made.provider.stop()
        print("\nROWS" + json.dumps({"versions": versions(program.PACKAGES), "rows": rows}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
