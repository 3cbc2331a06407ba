"""The demonstration: two agents that would run for ever, stopped before they spend. No key, no network."""

from agent_fuse.demo.story import run

__all__ = ["run"]
