"""`agent-fuse run` starts nothing that it can't guard: exit status 2, one line that says why, and the mend."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent_fuse.cli import main
from agent_fuse.running.programs import program
from running.conftest import BIN


def refused(capsys, *words):
    """The one line that `agent-fuse run` ends with."""
    with pytest.raises(SystemExit) as ended:
        main(["run", *words])
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err.removeprefix("agent-fuse: ").rstrip()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a few programs, none of which may be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name, text in {
        "agent.py": "raise SystemExit('started')",
        "bin/node": "#!/bin/sh\nexit 1",
        "bin/isolated": f"#!{sys.executable} -Es\nexit(1)",
        "bin/frozen": "\x7fELF...",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


SAID = {
    (): "say what to run, such as: agent-fuse run --budget 5 agent.py",
    ("--budget", "5"): "say what to run",
    ("--budget", "five", "agent.py"): "--budget is 'five', which is not an amount of USD; write a number such as 5.00",
    ("--budget=-1", "agent.py"): "--budget is '-1'",
    ("--loop-threshold", "0", "agent.py"): "--loop-threshold is '0'; it must be a whole number from 1 to",
    ("--bugdet=5", "agent.py"): "--bugdet is no option of agent-fuse run; did you mean --budget?",
    ("--budget",): "argument --budget: expected one argument",
    ("-m",): "-m needs a value, such as: agent-fuse run -m my_agent",
    ("agnet.py",): "there is no program 'agnet.py' here, beside",
    ("./agnet.py",): "did you mean agent.py?",
    ("nothing-of-the-kind",): "or on PATH",
    ("--", "node", "x.js"): "node is no Python program, so it can't be guarded; put agent-fuse run before the Python",
    ("frozen",): "frozen is no Python program",
    ("isolated",): "with -E Python does not load the guard; leave it out, or start it all the same with --anyway",
    ("--", "python", "-X", "dev", "-BI", "agent.py"): "with -I Python does not load the guard",
    ("python3", "-S", "agent.py"): "with -S Python does not load the guard",
}
"""What is asked for, and what is said of it."""


@pytest.mark.parametrize("words", SAID, ids=" ".join)
def test_what_is_not_started(here, capsys, words):
    """Nothing is started, and the line names what is wrong."""
    assert SAID[words] in refused(capsys, *words)


def test_a_bad_variable(here, capsys, monkeypatch):
    """An option in the environment is checked as one on the command line, under its own name."""
    monkeypatch.setenv("AGENTFUSE_STRICT", "maybe")
    assert refused(capsys, "agent.py") == "AGENTFUSE_STRICT is 'maybe'; it must be true or false"


def test_what_is_started():
    """The words to start a program with: scripts and modules by this Python, commands beside it before those on PATH."""
    assert program(["-m", "mod", "-x"]).words == (sys.executable, "-m", "mod", "-x")
    assert program([__file__, "-I"]).words == (sys.executable, __file__, "-I")
    assert program(["pytest", "-q"]).words == (str(BIN / "pytest"), "-q")
    for words in (["pytest"], ["python", "-u", "x.py", "-I"], ["python", "-W", "I", "-c", "E"], ["python", "-m", "S"]):
        assert program(words).blind == "", words


@pytest.mark.parametrize(
    ("first", "blind"),
    [
        ("#!/usr/bin/env python3\n", False),
        ("#!/usr/bin/env -S python3.12 -u\n", False),
        ("#!/bin/sh\n'''exec' \"/a long path/bin/python3.11\" \"$0\" \"$@\"\n' '''\n", False),
        ("#!/bin/sh\n'''exec' /long/bin/python \"$0\" \"$@\"\n' '''\n", False),
        ("#!/usr/bin/env node\n", True),
        ("#!/bin/bash\nexec python3 -m x\n", True),
        ("echo\n", True),
    ],
)
def test_how_a_python_program_is_known(tmp_path, first, blind):
    """By its first line, also where installers write it across two."""
    path = tmp_path / "tool"
    path.write_text(first)
    path.chmod(0o755)
    assert bool(program([str(path)]).blind) is blind


def test_a_ledger_that_cannot_be_opened(place):
    """The program is not run; with `--anyway` it is, and that nothing guards it is said."""
    place.write("ran.py", "print('ran')")
    ran = place.run("--db", str(place.folder / "agent.py" / "x.db"), "ran.py")
    assert (ran.status, ran.out) == (2, "")
    (line,) = ran.lines
    assert line.startswith(f"cannot guard: ledger {place.folder}/agent.py/x.db: open failed: Not a directory")
    assert line.endswith("; or start it unguarded with --anyway")
    assert ran.err.count("\n") == 1
    ran = place.run("--anyway", "--db", str(place.folder / "agent.py" / "x.db"), "ran.py")
    assert (ran.status, ran.out) == (0, "ran\n")
    assert ran.lines[0].startswith("NOT guarding this process: cannot guard: ledger ")
    assert ran.lines[1:] == ["NOTHING was guarded: no Python that has agent-fuse was started"]


def test_an_sdk_that_the_gate_does_not_fit(place):
    """An SDK without the places where it is gated is found before the program starts."""
    place.write("sdk/openai/__init__.py", "")
    place.write("sdk/openai/_base_client.py", "class BaseClient:\n    def request(self): ...\n")
    place.write("ran.py", "print('ran')")
    environ = {"PYTHONPATH": str(place.folder / "sdk")}
    ran = place.run("ran.py", environ=environ)
    assert (ran.status, ran.out) == (2, "")
    (line,) = ran.lines
    assert line.startswith("openai._base_client has no BaseClient._build_request: this version's requests cannot be")
    assert line.endswith("; install another openai; or start it unguarded with --anyway")


def test_an_sdk_that_only_shows_when_it_is_imported(place):
    """An SDK that has them, and not as they were, ends the program where it is imported; `--anyway` lets it go on."""
    both = "    def _process_response(self, *, response): ...\n"
    kinds = "".join(f"class {kind}Client:\n{more}" for kind, more in {
        "Base": "    def _build_request(self, asked): ...\n", "SyncAPI": both, "AsyncAPI": both,
    }.items())  # fmt: skip
    place.write("sdk/openai/__init__.py", "")
    place.write("sdk/openai/_base_client.py", kinds)
    place.write(
        "ran.py", "print('ran', flush=True)\ntry:\n    import openai._base_client\nexcept Exception: pass\nprint('on')"
    )
    environ = {"PYTHONPATH": str(place.folder / "sdk")}
    ran = place.run("ran.py", environ=environ)
    assert (ran.status, ran.out) == (2, "ran\n"), ran.err
    assert "openai._base_client has BaseClient._build_request, but it takes no 'options': this" in ran.lines[1]
    ran = place.run("--anyway", "ran.py", environ=environ)
    assert (ran.status, ran.out) == (0, "ran\non\n"), ran.err
    assert "this version's requests are not gated; spans still are" in ran.err


def test_a_python_without_agent_fuse(place):
    """As the program it is refused; as a helper that a guarded program starts it runs, and is told of once."""
    other = place.folder / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    ran = place.run("--", str(other / "bin" / "python"), "-c", "print('ran')")
    assert (ran.status, ran.out) == (2, "")
    why = f"{other}/bin/python cannot load agent-fuse (No module named 'agent_fuse')"
    assert ran.lines == [f"{why}; install it there, or start it unguarded with --anyway"]
    place.write(
        "starts.py",
        f"import subprocess\nfor _ in 'ab': subprocess.run([{str(other / 'bin' / 'python')!r}, '-c', 'print(1)'])",
    )
    ran = place.run("starts.py")
    assert ran.out == "1\n1\n"
    assert ran.lines[1:] == [
        f"NOT guarding this process: {why}",
        "spent $0.00 in 0 calls; 0 refused; some of its processes were NOT guarded",
    ]


def test_anyway_guards_the_pythons_that_something_else_starts(place):
    """`--anyway` before a shell guards the agents that the shell starts."""
    place.write(
        "spend.py", "import agent_fuse\nwith agent_fuse.call('gpt-4o', 1000, 500) as made: made.usage(1000, 500)"
    )
    ran = place.run("--anyway", "--", "sh", "-c", f"{sys.executable} spend.py && {sys.executable} spend.py")
    assert ran.status == 0, ran.err
    assert ran.lines[-1] == "spent $0.015 in 2 calls; 0 refused"
    assert not list(Path(place.folder).glob("agent-fuse-run-*"))
