"""The wheel that users install: what is in it, and that it stands alone."""

import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from this source, without network."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_nothing_else(wheel):
    """Every module and py.typed are in the wheel; tests, examples and caches are not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "agent_fuse/py.typed" in names
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.split("/")[0].split("-")[0] for name in names} == {"agent_fuse"}


def test_wheel_says_what_it_is(wheel):
    """The metadata carry the licence, the Python range and the entry point that opentelemetry-instrument looks for."""
    archive = zipfile.ZipFile(wheel)
    (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = message_from_string(archive.read(f"{folder}/METADATA").decode())
    assert metadata["Name"] == "agent-fuse"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "[opentelemetry_instrumentor]" in archive.read(f"{folder}/entry_points.txt").decode()


def test_wheel_imports_away_from_the_source(wheel, tmp_path, run_python):
    """Installed from the wheel, the package imports from there and knows its errors, with no source tree in sight."""
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import agent_fuse, agent_fuse.errors
print(agent_fuse.__file__)
"""
    where = run_python(script, str(target)).stdout.strip()
    assert Path(where).is_relative_to(target)
