"""`python -m agent_fuse.demo`."""

import sys

from agent_fuse.demo.story import run

sys.exit(run())
