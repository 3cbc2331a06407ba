"""DSPy: its tools, which its agents tell the model of in words alone."""

from typing import Any

from agent_fuse.frameworks import Seam


def _tool(tool: Any, **arguments: object) -> tuple[str, object]:
    return str(tool.name), arguments


SEAMS = (Seam(function="Tool.__call__", tool=_tool), Seam(function="Tool.acall", tool=_tool))
