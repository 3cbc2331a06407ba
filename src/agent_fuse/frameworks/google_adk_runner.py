"""Google ADK: its runner for code that blocks tells of what is no Exception with a RuntimeError."""

from agent_fuse.frameworks import Seam

SEAMS = (Seam(function="Runner.run", unwrap=True),)
