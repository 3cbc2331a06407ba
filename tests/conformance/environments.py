"""The environments: releases that are tried together, each in a virtual environment of its own.

`environments/NAME.txt` pins every package of one exactly; to move one, change its line, or empty the file but for the
packages that matter and run `python -m conformance.matrix --refreeze NAME`.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENVS = ROOT / ".venv-matrix"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Releases that can be installed together, and the set-ups tried there."""

    name: str
    why: str
    setups: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        return HERE / "environments" / f"{self.name}.txt"

    @property
    def venv(self) -> Path:
        return VENVS / self.name

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def install(self) -> None:
        """Make the virtual environment, unless it is as its file says."""
        stamp = self.venv / "installed"
        wanted = hashlib.sha256(self.requirements.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.venv], check=True)
        subprocess.run([*self._pip("install"), "-qq", "-r", self.requirements, "-e", ROOT], check=True)
        stamp.write_text(wanted)

    def freeze(self) -> None:
        """Write down what is installed."""
        freeze = [*self._pip("freeze"), "--exclude-editable"]
        found = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
        self.requirements.write_text("\n".join(sorted(found.splitlines(), key=str.lower)) + "\n")

    def _pip(self, command: str) -> list[str | Path]:
        """A command of pip for this environment; of uv, which is quicker, where there is one."""
        uv = shutil.which("uv")
        if uv is not None:
            return [uv, "pip", command, "--python", self.python]
        return [self.python, "-m", "pip", "--disable-pip-version-check", command]


ENVIRONMENTS: tuple[Environment, ...] = (
    Environment(
        name="newest",
        why="every instrumentation at its newest; openai 3 and anthropic 2, which send through httpx2",
        setups=(
            "sdks",
            "tl-openai",
            "tl-anthropic",
            "tl-langchain",
            "tl-langchain+openai",
            "tl-agents",
            "tl-agents+openai",
            "genai-openai",
            "genai-anthropic",
            "genai-langchain",
            "genai-langchain-content",
            "genai-langchain+openai",
            "genai-agents",
            "genai-agents+openai",
            "oi-openai",
            "oi-anthropic",
            "oi-langchain",
            "oi-langchain+openai",
            "anthropic-own",
            "anthropic-own+tl",
            "anthropic-own+genai",
            "anthropic-own+oi",
            "pydantic-ai",
            "pydantic-ai-2",
            "pydantic-ai-3",
            "pydantic-ai-4",
            "pydantic-ai-6",
            "pydantic-ai+genai",
            "httpx",
            "tl-openai+httpx",
            "tl+genai-openai",
            "all-langchain",
        ),
    ),
    Environment(
        name="openai-2",
        why="about a year old; openai 2 and anthropic 0.75, which send through httpx",
        setups=(
            "sdks",
            "tl-openai",
            "tl-anthropic",
            "tl-langchain",
            "tl-langchain+openai",
            "tl-agents",
            "tl-agents+openai",
            "oi-openai",
            "oi-anthropic",
            "oi-langchain",
            "oi-langchain+openai",
            "pydantic-ai",
            "pydantic-ai-1",
            "httpx",
            "tl-openai+httpx",
        ),
    ),
    Environment(
        name="openai-1",
        why="the oldest supported; openai 1, anthropic 0.49, LangChain 0.3",
        setups=(
            "sdks",
            "tl-openai",
            "tl-anthropic",
            "tl-langchain",
            "tl-langchain+openai",
            "oi-openai",
            "oi-anthropic",
            "oi-langchain",
            "oi-langchain+openai",
            "httpx",
        ),
    ),
    Environment(
        name="genai-old",
        why="the first releases of OpenTelemetry's genai-* packages, over openai 2",
        setups=(
            "genai-openai",
            "genai-anthropic",
            "genai-langchain",
            "genai-langchain+openai",
            "genai-agents",
            "genai-agents+openai",
        ),
    ),
    Environment(
        name="openai-v2", why="openai-v2 cannot be imported beside the newest util-genai", setups=("openai-v2",)
    ),
    Environment(name="openai-v2-old", why="openai-v2's first stable release", setups=("openai-v2",)),
    Environment(name="litellm", why="litellm pins its own openai", setups=("litellm",)),
    Environment(name="litellm-old", why="an older litellm", setups=("litellm",)),
    Environment(name="google", why="google-genai 3, over httpx2", setups=("tl-google", "httpx-google")),
    Environment(
        name="google-2",
        why="google-genai 2, the newest that OpenTelemetry's google-genai takes",
        setups=("tl-google", "genai-google", "httpx-google"),
    ),
    Environment(name="google-old", why="google-genai 1", setups=("tl-google", "httpx-google")),
)


def named(names: list[str]) -> Iterator[Environment]:
    """The environments of these names; all when there are none."""
    for one in ENVIRONMENTS:
        if not names or one.name in names:
            yield one
