"""The frameworks whose roads are tried, in the order of the page: each has a program, and an environment.

Where `environments/NAME.txt` of the page's other tables has what is needed, the environment is that one.
"""

from dataclasses import dataclass
from pathlib import Path

from frameworks.environments import Framework

HERE = Path(__file__).parent
UP, ROOM = "up", "room"
"""The two ways in which each call is tried: with the budget used up, and with room for it."""


@dataclass(frozen=True, kw_only=True)
class Roads(Framework):
    """The roads of one framework, at one release."""

    program: str
    """Its file in `programs`, and the name of its results."""

    @property
    def results(self) -> Path:
        return HERE / "results" / f"{self.program}.json"


def _roads(program: str, title: str, environment: str = "", *adapters: str) -> Roads:
    return Roads(name=environment or program, why=title, setups=(), program=program, adapters=adapters)


ROADS = (
    _roads("litellm", "LiteLLM"),
    _roads("litellm_proxy", "LiteLLM's proxy, by `opentelemetry-instrument`", "litellm_proxy", "litellm_proxy"),
    _roads("litellm_proxy_run", "LiteLLM's proxy, by `agent-fuse run`", "litellm_proxy"),
    _roads("google_adk", "Google ADK"),
    _roads("strands", "Strands Agents"),
    _roads("llama_index", "LlamaIndex", "llama_index_others"),
    _roads("haystack", "Haystack", "haystack_others"),
    _roads("smolagents", "smolagents"),
)

SDKS = (
    _roads("sdks", "newest"),
    _roads("sdks_old", "oldest"),
)
"""Model SDKs themselves, which docs/enforcement.md tells of."""


def named(names: list[str]) -> list[Roads]:
    """The frameworks of these names; all when there are none."""
    return [one for one in (*ROADS, *SDKS) if not names or one.program in names]
