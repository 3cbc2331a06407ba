"""Whether a process asks to be guarded from outside."""

import re
import sys
from collections.abc import Mapping

PREFIX = "AGENTFUSE_"

NAME = "agent_fuse"
"""Ours among OpenTelemetry's entry points."""

_ALIKE = re.compile(r"agent[_-]?fuse", re.IGNORECASE).match
"""Tells quickly which names may be misspelt."""

_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_ZERO_CODE = "opentelemetry.instrumentation.auto_instrumentation"


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether any `AGENTFUSE_*` variable is there: an empty or misspelt one too, for someone meant something by it."""
    return any(name.startswith(PREFIX) or (_ALIKE(name) and bool(_meant_by(name))) for name in environ)


def _meant_by(name: str) -> str:
    from agent_fuse.settings import meant_by  # noqa: PLC0415  every Python of a run comes here

    return meant_by(name)


def turned_off(environ: Mapping[str, str]) -> str:
    """Why zero-code is to leave this process alone although it is asked for; empty when it isn't."""
    names = environ.get(_DISABLED, "").split(",")
    return f"{_DISABLED} names {NAME}" if NAME in (one.strip() for one in names) else ""


def under_zero_code() -> bool:
    """Whether `opentelemetry-instrument`, or whoever stands for it, has been at this process."""
    return _ZERO_CODE in sys.modules
