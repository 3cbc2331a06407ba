"""Whether the request gate will fit an SDK that is installed and not imported yet: its source is read, not run."""

import ast
import importlib.util
from pathlib import Path

from agent_fuse.otel import instrumentor


def problem(sdk: str) -> str:
    """What the gate will miss in this SDK; empty where it fits, where the SDK isn't installed, or has no source."""
    try:
        found = importlib.util.find_spec(sdk)
        folders = found.submodule_search_locations if found is not None else None
        tree = ast.parse(Path(next(iter(folders or ())), "_base_client.py").read_bytes())
    except (StopIteration, ImportError, ValueError, OSError, SyntaxError):
        return ""
    there = {
        (kind.name, method.name)
        for kind in tree.body
        if isinstance(kind, ast.ClassDef)
        for method in kind.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    lacking = [f"{owner}.{name}" for owner, name in instrumentor.seams() if (owner, name) not in there]
    return f"{sdk}._base_client has no {lacking[0]}: this version's requests cannot be gated" if lacking else ""
