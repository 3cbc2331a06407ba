"""Whether a process asks to be guarded from outside."""

from collections.abc import Mapping

PREFIX = "AGENTFUSE_"


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether any `AGENTFUSE_*` variable is there: an empty or misspelt one too, for someone meant something by it."""
    return any(name.startswith(PREFIX) for name in environ)
