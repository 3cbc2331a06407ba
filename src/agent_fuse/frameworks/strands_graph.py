"""Strands' graphs: a node's Exception ends the graph; anything else is lost, and the graph goes on."""

from agent_fuse.frameworks import Seam

SEAMS = (Seam(function="Graph.stream_async", soft=True, unwrap=True),)
