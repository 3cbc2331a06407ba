"""The frameworks, in the order of the page: each has a program, and a virtual environment of its own.

`environments/NAME.txt` pins every package of one exactly; to move one, leave in the file the packages that matter alone,
without versions, and run `python -m frameworks.matrix --refreeze NAME`.
"""

from dataclasses import dataclass
from pathlib import Path

from conformance.environments import ROOT, Environment

HERE = Path(__file__).parent
VENVS = ROOT / ".venv-frameworks"


@dataclass(frozen=True, kw_only=True)
class Framework(Environment):
    """One framework at one release."""

    adapters: tuple[str, ...] = ()
    """Our files in `agent_fuse.frameworks` that are for it."""

    @property
    def requirements(self) -> Path:
        return HERE / "environments" / f"{self.name}.txt"

    @property
    def results(self) -> Path:
        return HERE / "results" / f"{self.name}.json"

    @property
    def venv(self) -> Path:
        return VENVS / self.name


def _framework(name: str, title: str, *adapters: str) -> Framework:
    return Framework(name=name, why=title, setups=(), adapters=adapters)


FRAMEWORKS = (
    _framework("langgraph", "LangGraph", "langgraph"),
    _framework("openai_agents", "openai-agents", "openai_agents"),
    _framework("pydantic_ai", "pydantic-ai", "pydantic_ai"),
    _framework("crewai", "CrewAI", "crewai"),
    _framework("autogen", "AutoGen", "autogen", "autogen_team"),
    _framework("ag2", "AG2", "ag2"),
    _framework("agent_framework", "Microsoft agent framework", "agent_framework"),
    _framework("llama_index", "LlamaIndex", "llama_index"),
    _framework("smolagents", "smolagents", "smolagents", "smolagents_tools"),
    _framework("dspy", "DSPy", "dspy"),
    _framework("agno", "Agno", "agno", "agno_team"),
    _framework("strands", "Strands Agents", "strands", "strands_graph", "strands_tools"),
    _framework("google_adk", "Google ADK", "google_adk", "google_adk_runner"),
    _framework("haystack", "Haystack", "haystack"),
    _framework("instructor", "Instructor"),
    _framework("litellm", "LiteLLM"),
)


def named(names: list[str]) -> list[Framework]:
    """The frameworks of these names; all when there are none."""
    return [one for one in FRAMEWORKS if not names or one.name in names]
