"""Readers under a fuzzer that goes where the code goes: nothing but what each of them may say."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak

SECONDS = 20
HERE = Path(__file__).parent


@pytest.mark.skipif(find_spec("atheris") is None, reason="there is no atheris for this Python or machine")
@pytest.mark.parametrize("target", ["bodies", "limits", "spans", "streams"])
def test_nothing_raises(target, tmp_path):
    """Of bodies, files of limits, attributes and streams, for as long as it looks; what it found is printed."""
    command = [sys.executable, str(HERE / "guided.py"), target, str(SECONDS), str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environ)
    found = [repr(one.read_bytes()) for kind in ("crash", "timeout", "oom") for one in tmp_path.glob(f"{kind}-*")]
    assert (done.returncode, found) == (0, []), done.stderr[-3_000:]
