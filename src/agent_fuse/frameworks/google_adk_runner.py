"""Google ADK: its runner for code that blocks tells of what is no Exception with a RuntimeError, the other in a group.

Agents that work side by side (ParallelAgent) run in a task group: two that are refused at once leave it together.
"""

from agent_fuse.frameworks import Seam

SEAMS = tuple(Seam(function=f"Runner.{name}", unwrap=True) for name in ("run", "run_async"))
