"""Every way to call a model that the matrix tries, as one small function each, by group."""

import importlib

from .base import Kind

MODULES = {
    "openai": "openai_sdk",
    "anthropic": "anthropic_sdk",
    "langchain": "langchain",
    "pydantic-ai": "pydantic_ai",
    "openai-agents": "openai_agents",
    "litellm": "litellm",
    "google": "google",
}


def of_group(group: str) -> list[Kind]:
    """The kinds of one group; loads its library."""
    found: list[Kind] = importlib.import_module(f".{MODULES[group]}", __name__).KINDS.all
    return found
