"""Drop-in clients and the LangChain handler; each loads its library when it is first asked for."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_fuse.integrations.anthropic import AgentFuseAnthropic, AsyncAgentFuseAnthropic
    from agent_fuse.integrations.langchain import AgentFuseCallbackHandler
    from agent_fuse.integrations.openai import (
        AgentFuseAzureOpenAI,
        AgentFuseOpenAI,
        AsyncAgentFuseAzureOpenAI,
        AsyncAgentFuseOpenAI,
    )

__all__ = [
    "AgentFuseAnthropic",
    "AgentFuseAzureOpenAI",
    "AgentFuseCallbackHandler",
    "AgentFuseOpenAI",
    "AsyncAgentFuseAnthropic",
    "AsyncAgentFuseAzureOpenAI",
    "AsyncAgentFuseOpenAI",
]

_LIBRARIES = {"openai": "openai", "anthropic": "anthropic", "langchain": "langchain_core"}
"""The library that each extra, and the module of its name, stands on."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    extra = next((one for one in ("openai", "anthropic") if one in name.lower()), "langchain")
    try:
        module = importlib.import_module(f"{__name__}.{extra}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != _LIBRARIES[extra]:
            raise
        raise ImportError(f'{name} needs {extra}: pip install "agent-fuse[{extra}]"', name=missing.name) from None
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
