"""The probe of `doctor`: runs a program's start in a process of its own, lets nothing out, and surveys it there."""

import argparse
import json
import os
import runpy
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_LOCAL = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104 - compared with, not bound to
_WHY = "agent-fuse doctor lets nothing leave this machine"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program, or set up what `init()` would, survey, write the facts to the result file, and end."""
    parser = argparse.ArgumentParser(prog="python -m agent_fuse.cli.probe")
    parser.add_argument("result", type=Path)
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--db")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    _let_nothing_out()
    done = threading.Lock()

    def finish(ended: str) -> None:
        if done.acquire(blocking=False):
            _survey(options.result, options.db, ended)
            sys.stdout.flush()
            os._exit(0)

    timer = threading.Timer(options.seconds, finish, [f"it was still running after {options.seconds:g} s"])
    timer.daemon = True
    timer.start()
    if options.auto:
        import_module("opentelemetry.instrumentation.auto_instrumentation").initialize()
    finish(_run(options.program) if options.program else _bare())
    timer.join()  # it looks already, and ends the process when it has


def _run(program: Sequence[str]) -> str:
    sys.argv = list(program)
    sys.path[0] = str(Path(program[0]).resolve().parent)
    try:
        runpy.run_path(program[0], run_name="__main__")
    except SystemExit as left:
        return f"it ended with exit status {left.code or 0}"
    except BaseException as error:  # noqa: BLE001 - whatever the program ends with, what it set up stands
        traceback.print_exc()
        return f"it ended with {type(error).__name__}"
    return "it ended by itself"


def _bare() -> str:
    import agent_fuse  # noqa: PLC0415

    if not _from_outside():
        agent_fuse.init(db_path="memory://")
    for sdk in ("openai", "anthropic"):
        try:
            __import__(sdk)
        except ImportError:
            continue
    return ""


def _from_outside() -> bool:
    """Whether this process is to be guarded from outside: what stands then is looked at, be it nothing."""
    from agent_fuse.otel.asking import under_zero_code  # noqa: PLC0415 - the program comes first
    from agent_fuse.otel.process_guard import process_guard  # noqa: PLC0415

    return process_guard() is not None or under_zero_code()


def _survey(result: Path, db: str | None, ended: str) -> None:
    from agent_fuse.views.checkup import doctor  # noqa: PLC0415 - the program comes first

    facts = [{"what": one.what, "state": str(one.state), "fix": one.fix} for one in doctor(db_path=db)]
    result.write_text(json.dumps({"ended": ended, "outside": _from_outside(), "facts": facts}), "utf-8")


def _let_nothing_out() -> None:
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    connect_ex = socket.socket.connect_ex

    def local(address: Any) -> bool:
        return not isinstance(address, tuple) or str(address[0]).startswith(_LOCAL)  # pyright: ignore[reportUnknownArgumentType]

    def guarded(self: socket.socket, address: Any) -> None:
        if not local(address):
            raise ConnectionRefusedError(_WHY)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        if not local(address):
            raise ConnectionRefusedError(_WHY)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not str(name).startswith(_LOCAL):
            raise socket.gaierror(socket.EAI_FAIL, _WHY)
        return look_up(host, *args, **more)

    patched: Any = socket
    patched.socket.connect, patched.socket.connect_ex = guarded, guarded_ex
    patched.getaddrinfo = guarded_look_up


if __name__ == "__main__":
    main()
