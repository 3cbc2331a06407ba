"""A program that PyInstaller froze is guarded as it was before, with no option named."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PROGRAM = """
import openai
import agent_fuse
from agent_fuse.testing import LoopbackProvider

with LoopbackProvider() as provider:
    agent_fuse.init(budget="0.002", db_path="frozen.db")
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="none", max_retries=0)
    try:
        while True:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=90)
    except agent_fuse.SentinelBudgetExceeded as trip:
        print("tripped", trip.budget_limit, len(provider.served) > 1)
"""


def test_pyinstaller_finds_the_hook():
    """The entry point leads to a folder with the hook of the package's name."""
    (found,) = entry_points(group="pyinstaller40", name="hook-dirs").select(value="agent_fuse.frozen:hook_dirs")
    (folder,) = found.load()()
    assert (Path(folder) / "hook-agent_fuse.py").is_file()


@pytest.mark.soak
def test_a_frozen_program_trips(tmp_path):
    """Frozen without a word about AgentFuse, it starts, calls, and is refused at its budget."""
    pytest.importorskip("PyInstaller", reason="pip install pyinstaller")
    (tmp_path / "app.py").write_text(PROGRAM)
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", "-y", "--log-level", "ERROR", "app.py"], cwd=tmp_path, check=True
    )
    done = subprocess.run(
        [str(tmp_path / "dist/app/app")], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "tripped 0.002 True\n", done.stderr
