"""`agent-fuse run`: what is started, how it is watched over, and what every Python that it starts does first."""
