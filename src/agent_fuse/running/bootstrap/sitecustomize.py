"""Loaded first by every Python that `agent-fuse run` starts: guards the process, then gives way to the next so named.

This folder is first on PYTHONPATH, so any Python 3 may come here, also one that has no AgentFuse, or an old one.
"""

import json
import os
import sys
from importlib import import_module


def _guard() -> None:
    try:
        from agent_fuse.running.inside import start  # noqa: PLC0415 - it may be missing
    except ImportError as missing:
        _cannot(missing)
    else:
        start()


def _cannot(missing: ImportError) -> None:
    """Another Python: as what was to be run it is refused; as a helper of what runs it is told of, once."""
    run = json.loads(os.environ.get("_AGENTFUSE_RUN") or "{}")
    folder = run.get("folder", "")
    fatal = not os.path.exists(folder + "/guarded") and not run.get("anyway")  # noqa: PTH110
    try:
        os.close(os.open(folder + ("/refused" if fatal else "/unguarded"), os.O_CREAT | os.O_EXCL))
    except OSError:
        if not fatal:
            return
    why = f"{sys.executable} cannot load agent-fuse ({missing})"
    if not fatal:
        sys.stderr.write(f"agent-fuse: NOT guarding this process: {why}\n")
        return
    sys.stderr.write(f"agent-fuse: {why}; install it there, or start it unguarded with --anyway\n")
    sys.stderr.flush()
    os._exit(2)


def _give_way() -> None:
    """Import the sitecustomize that would have been found without this one."""
    own = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [one for one in sys.path if not one or os.path.abspath(one) != own]  # noqa: PTH100
    this = sys.modules.pop("sitecustomize")
    try:
        import_module("sitecustomize")
    except ImportError as missing:
        if missing.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", this)


if __name__ == "sitecustomize":
    _guard()
    _give_way()
