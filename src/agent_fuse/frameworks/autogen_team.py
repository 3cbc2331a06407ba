"""AutoGen's teams: they report nothing but an Exception; on anything else whoever runs one waits for ever."""

from agent_fuse.frameworks import Seam

SEAMS = (Seam(function="BaseGroupChat.run_stream", soft=True),)
"""What comes out of one is a RuntimeError without a cause: the trip is raised in its stead."""
