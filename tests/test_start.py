"""What a process imports for AgentFuse: the package, `init()`, the first calls. Counts, not times, and none may grow."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agent_fuse.testing import LoopbackProvider

OURS = 175
"""Modules of AgentFuse that `init()` imports, at most."""
OTHERS = 75
"""Modules of other packages, at most: OpenTelemetry's API and SDK, wrapt, apsw."""
OF_OPENAI = 12
"""Modules of openai, at most, that a chat imports for its instrumentation."""

LISTED = """
import json, sys
before = set(sys.modules)
{}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
INIT = "import agent_fuse\nagent_fuse.init(budget=1, db_path='memory://')\n"


@pytest.fixture
def imported(run_python: Callable[..., Any]) -> Callable[..., set[str]]:
    """The modules that a script imports in a fresh interpreter."""

    def run(script: str, *args: str) -> set[str]:
        return set(json.loads(run_python(LISTED.format(script), *args).stdout.splitlines()[-1]))

    return run


def top(modules: set[str]) -> set[str]:
    """Packages outside the standard library and ours, without what OpenTelemetry's SDK takes where it happens to be."""
    known = {*sys.stdlib_module_names, "agent_fuse", "__mp_main__", "psutil"}
    return {name for name in modules if name.partition(".")[0] not in known and not name.startswith("_sysconfig")}


def test_the_package_alone_imports_next_to_nothing(imported: Callable[..., set[str]]) -> None:
    """Its names are looked up when they are asked for."""
    found = imported("import agent_fuse")
    assert {name for name in found if name.startswith("agent_fuse")} == {"agent_fuse", "agent_fuse.last_word"}
    assert not top(found)


def test_init_imports_what_it_uses(imported: Callable[..., set[str]]) -> None:
    """No SDK, no instrumentation, no price library, no vocabulary, no command line."""
    found = imported(INIT)
    assert {name.partition(".")[0] for name in top(found)} <= {"opentelemetry", "wrapt", "apsw", "typing_extensions"}
    assert {name.split(".")[2] for name in found if name.startswith("opentelemetry.instrumentation.")} <= {"utils"}
    assert not [name for name in found if name.startswith(("agent_fuse.cli", "agent_fuse.report", "agent_fuse.views"))]
    assert len([name for name in found if name.startswith("agent_fuse")]) <= OURS
    assert len(top(found)) <= OTHERS


def test_a_chat_imports_little_more_than_without(imported: Callable[..., set[str]]) -> None:
    """Of the SDK, its instrumentation adds some modules; the first gate adds the vocabulary's library."""
    chat = """
import openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="test")
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
"""
    with LoopbackProvider() as provider:
        guarded = imported(INIT + chat, provider.openai_base_url)
        bare = imported(chat, provider.openai_base_url)
    added = top(guarded) - bare
    assert len([name for name in added if name.startswith("openai")]) <= OF_OPENAI
    assert {name.partition(".")[0] for name in added} <= {
        *("opentelemetry", "wrapt", "apsw", "openai", "packaging", "tiktoken", "tiktoken_ext", "regex")
    }
    assert {name.split(".")[2] for name in added if name.startswith("opentelemetry.instrumentation.")} <= {
        *("utils", "openai", "instrumentor", "dependencies", "_semconv", "environment_variables", "version")
    }


def test_a_model_without_a_vocabulary_imports_none(imported: Callable[..., set[str]]) -> None:
    """A Claude is counted by bytes and what its calls used."""
    found = imported(INIT + "agent_fuse.pre_flight('claude-sonnet-4-5', prompt='hello there')")
    assert not {"tiktoken", "genai_prices", "pydantic"} & found
