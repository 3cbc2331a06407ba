"""Strands Agents: a run of a tool, whose task keeps to itself what is no Exception; an Exception ends the agent."""

from agent_fuse.errors import soften
from agent_fuse.frameworks import Seam

SEAMS = (Seam(function="ToolExecutor._stream_with_trace", instead=soften),)
