"""One small program a framework: how an agent, and a team of two, is made and run there."""
