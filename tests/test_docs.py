"""What the how-to pages show is run, and gives what they say; every command and option they name is there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agent_fuse import Usage
from agent_fuse.cli.app import app
from agent_fuse.cli.run import _parser as run_parser
from agent_fuse.testing import LoopbackProvider

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
HOWTOS = [page for page in PAGES if page.parent.name == "howto" and "```python" in page.read_text()]
PROGRAMS = [ROOT / "README.md", ROOT / "docs/index.md", ROOT / "docs/sessions.md", ROOT / "docs/limits.md", *HOWTOS]
ELSEWHERE = re.compile(r"https://[\w.-]+\.openai\.azure\.com|(?:https://openrouter\.ai/api|http://localhost:\d+)/v1")
"""Addresses of model providers in the pages; the provider on loopback stands for all of them."""
COMMAND = re.compile(r"agent-fuse ([a-z][a-z-]*)((?: [^`\n|&]*)?)")
PROGRAM = re.compile(r"\s(?:\S+\.py\b|--\s|-m\s)")
"""Where a command line goes over to a program and its own options."""


def blocks(page: Path, language: str) -> str:
    """All code of one language on a page, in order."""
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))


def matches(said: str, shown: str) -> bool:
    """Whether a page shows what was printed; an ellipsis stands for what differs from run to run."""
    return re.fullmatch(".*".join(map(re.escape, shown.strip().split("…"))), said.strip()) is not None


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)
def test_program(page: Path, tmp_path: Path) -> None:
    """The code of a page, copied as it stands, runs, and a how-to page's prints what it shows."""
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:

        def local(found: re.Match[str]) -> str:
            return provider.openai_base_url if found[0].endswith("/v1") else provider.openai_base_url[: -len("/v1")]

        program = tmp_path / "test_page.py"
        program.write_text(ELSEWHERE.sub(local, blocks(page, "python")))
        runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in program.read_text() else []
        done = subprocess.run(
            [sys.executable, *runner, str(program)],
            cwd=tmp_path,
            env={
                **os.environ,
                "AGENTFUSE_DB_PATH": str(tmp_path / "ledger.db"),
                "OPENAI_API_KEY": "none",
                "OPENAI_BASE_URL": provider.openai_base_url,
                "ANTHROPIC_API_KEY": "none",
                "ANTHROPIC_BASE_URL": provider.anthropic_base_url,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    if page in HOWTOS and not runner:
        assert matches(done.stdout, blocks(page, "text")), done.stdout


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_commands_exist(page: Path) -> None:
    """Every `agent-fuse` command that a page names exists, with the options it names."""
    commands: Any = typer.main.get_command(app)
    for name, rest in COMMAND.findall(page.read_text()):
        command = commands.commands.get(name)
        assert command is not None, f"agent-fuse {name}"
        group, verb = getattr(command, "commands", None), rest.split()[:1]
        if group is not None and verb and verb[0].isalpha():
            assert verb[0] in group, f"agent-fuse {name}{rest}"
            command = group[verb[0]]
        known = {text for one in command.params for text in (*one.opts, *one.secondary_opts)} | {"--help"}
        if name == "run":  # reads its own, since what follows the program is the program's
            known |= set(run_parser()._option_string_actions)
        named = re.findall(r"(?<=\s)--[a-z-]+", PROGRAM.split(rest)[0])
        assert not set(named) - known, f"agent-fuse {name}{rest}"


def test_every_page_is_found() -> None:
    """Every how-to page stands in the site's navigation and in the list of how-to pages."""
    listed = (ROOT / "docs/howto/index.md").read_text()
    nav = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs/howto").glob("*.md"):
        if page.name != "index.md":
            assert f"({page.name})" in listed, page.name
            assert f"howto/{page.name}" in nav, page.name
