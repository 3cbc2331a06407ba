"""What a how-to page asks for is all it needs: its packages, its commands, its cells in a real kernel."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from packaging.requirements import Requirement

from agent_fuse import Usage
from agent_fuse.testing import LoopbackProvider

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/howto").glob("*.md"))
BIN = Path(sys.executable).parent

TYPED_ELSEWHERE = re.compile(r"pip |git |pkill ")
"""What only the reader's own machine can do: install, clone, end programs by name."""


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of one language on a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def plain(name: str) -> str:
    """A distribution's name as all spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needs(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """A distribution and all that its installation brings."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    left = [(plain(name), extras)]
    while left:
        one, wanted = left.pop()
        if (one, wanted) in found:
            continue
        found.add((one, wanted))
        for line in distribution(one).requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                left.append((plain(needed.name), tuple(sorted(needed.extras))))
    return {one for one, _ in found}


def imported(code: str) -> Iterator[str]:
    """Top-level modules that a program imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("page", [one for one in PAGES if blocks(one, "python")], ids=lambda page: page.stem)
def test_a_page_names_what_it_needs_installed(page: Path) -> None:
    """In an environment with nothing but `agent-fuse[all]` and what the page says to install, its imports are there."""
    there = needs("agent-fuse", ("all",))
    for words in re.findall(r"pip install ([a-z][\w\- ]*)`", page.read_text()):
        there |= {one for name in words.split() if name != "jupyterlab" for one in needs(name)}
    homes = packages_distributions()
    for module in set(imported("".join(blocks(page, "python")))) - sys.stdlib_module_names - {"agent_fuse"}:
        assert {plain(one) for one in homes[module]} & there, f"{page.name} imports {module}"


@pytest.mark.parametrize("page", [one for one in PAGES if blocks(one, "sh")], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """Every line that a page says to type ends well, beside an agent and tests of the reader's own."""
    (tmp_path / "agent.py").write_text("print('the agent')\n")
    (tmp_path / "tests/live").mkdir(parents=True)
    (tmp_path / "tests/live/test_agent.py").write_text("def test_agent():\n    pass\n")
    environ = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "AGENTFUSE_DB_PATH": str(tmp_path / "ledger.db"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    subprocess.run(["agent-fuse", "run", "agent.py"], cwd=tmp_path, env=environ, capture_output=True, check=True)
    for line in "".join(blocks(page, "sh")).splitlines():
        if TYPED_ELSEWHERE.match(line):
            assert shutil.which(line.partition(" ")[0], path=environ["PATH"]), line
            continue
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's cells run in a real kernel and show what it says; its claims about trips and a second budget hold."""
    page = ROOT / "docs/howto/jupyter.md"
    ask = "client.chat.completions.create(model='gpt-4o', messages=[{'role': 'user', 'content': 'hello'}])"
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        monkeypatch.setenv("AGENTFUSE_DB_PATH", str(tmp_path / "ledger.db"))
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_base_url)
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
        try:
            cells = blocks(page, "python")
            assert "".join(run(client, one)[1] for one in cells).strip() == "".join(blocks(page, "text")).strip()
            assert (
                run(client, f"import openai\nclient = openai.OpenAI(max_retries=0)\nfor _ in range(3): {ask}")[0] == ""
            )
            again = cells[0].replace("2.00", "0.02")  # the page: another budget holds, what was spent stays spent
            assert again != cells[0]
            assert run(client, again)[0] == ""
            assert run(client, ask)[0] == "SentinelBudgetExceeded"
            assert run(client, cells[1]) == ("", "0 USD left\n")
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
        assert provider.count == 3


def run(client: Any, cell: str) -> tuple[str, str]:
    """What a cell raised, and what it printed."""
    said: list[str] = []

    def told(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            said.append(message["content"]["text"])

    answer = client.execute_interactive(cell, timeout=60, output_hook=told)["content"]
    return answer.get("ename", ""), "".join(said)
