"""`agent-fuse doctor`: is this set-up guarded, and if not, what is the fix?"""

import json as encoding
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer
from rich.console import Console

from agent_fuse.cli import FINE, LIMIT_REACHED
from agent_fuse.cli.options import Json, ledger_url
from agent_fuse.cli.show import clean, console, emit, say
from agent_fuse.errors import ConfigurationError

_GRACE = 30.0
_STYLES = {"ok": "green", "blind": "bold red", "off": "yellow"}
_INDENT = 8
_INSIDE = "What agent_fuse.init() sets up here. For your own program: agent-fuse doctor SCRIPT"
_NEVER_SEEN = "Seen in no set-up: calls over gRPC without an instrumentation, and those of other programs (curl)."
_OUTSIDE = "What guards this process from outside, with nothing in its code. For a program: agent-fuse doctor SCRIPT"


def doctor(
    *,
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCRIPT", help="A Python program whose set-up to look at, and its arguments."),
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Start it as opentelemetry-instrument would.")] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, metavar="N", help="Look after so long, if it still runs.")
    ] = 20.0,
    db: Annotated[
        str | None, typer.Option("--db", metavar="PATH", help="Ledger to look at, in place of the program's own.")
    ] = None,
    json: Json = False,
) -> None:
    """Is this set-up guarded, and if not, what is the fix?

    Looks at each instrumentation, gate, sampler, switch, the ledger, the tokenizer.

    With a SCRIPT: runs it in a process of its own, from which nothing can leave this machine (a model call fails as
    if the network were down), and looks when it ends. Without: looks at what init() sets up in this environment.
    Exits with 1 when anything is blind or off. Options come before SCRIPT.
    """
    script = list(program or [])
    if script and not Path(script[0]).is_file():
        raise ConfigurationError(f"SCRIPT is {script[0]!r}, and there is no such file")
    given = [] if script and db is None else ["--db", ledger_url(db)]
    with tempfile.TemporaryDirectory(prefix="agent-fuse-doctor-") as folder:
        result = Path(folder) / "facts.json"
        command = [sys.executable, "-m", "agent_fuse.cli.probe", f"--seconds={seconds}", *given]
        command += [*(["--auto"] if auto else []), str(result), *script]
        ended = subprocess.run(command, stdout=sys.stderr.fileno(), timeout=seconds + _GRACE, check=False)  # noqa: S603
        if not result.exists():
            raise ConfigurationError(f"the program ended by force (status {ended.returncode}) before it could be seen")
        found: dict[str, Any] = encoding.loads(result.read_text("utf-8"))
    facts: list[dict[str, str]] = found["facts"]
    guarded = all(one["state"] == "ok" for one in facts)
    if json:
        emit("doctor", script=script or None, ended=found["ended"] or None, guarded=guarded, facts=facts)
    else:
        what = f"{' '.join(script)}: {found['ended']}" if script else _OUTSIDE if found["outside"] else _INSIDE
        _print(console(), clean(what), facts)
    raise typer.Exit(FINE if guarded else LIMIT_REACHED)


def _print(out: Console, what: str, facts: list[dict[str, str]]) -> None:
    say(out, what, style="bold")
    say(out)
    for one in facts:
        _lines(out, f"{one['state']:<{_INDENT - 2}}", clean(one["what"]), _STYLES[one["state"]])
        if one["fix"]:
            _lines(out, "  fix:", clean(one["fix"]), "")
    wrong = sum(one["state"] != "ok" for one in facts)
    say(out)
    if wrong:
        say(out, f"{wrong} of {len(facts)} to look at.", style="bold red")
    else:
        say(out, "All is well: this set-up is guarded.", style="bold green")
    say(out, _NEVER_SEEN)


def _lines(out: Console, mark: str, text: str, style: str) -> None:
    width = out.width - _INDENT
    for number, line in enumerate(wrap(text, width, break_on_hyphens=False) or [""]):
        say(out, f"{'' if number else mark:<{_INDENT}}{line}", style="" if number else style)
