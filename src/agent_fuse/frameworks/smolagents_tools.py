"""smolagents: its tools, which its agents tell the model of in words alone."""

from typing import Any

from agent_fuse.frameworks import Seam


def _tool(tool: Any, *given: object, sanitize_inputs_outputs: bool = False, **named: object) -> tuple[str, object]:
    del sanitize_inputs_outputs
    return str(tool.name), {**{str(place): one for place, one in enumerate(given)}, **named}


SEAMS = (Seam(function="Tool.__call__", tool=_tool),)
