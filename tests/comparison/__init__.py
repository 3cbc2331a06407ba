"""AgentFuse beside the field: one workload, each peer in an environment of its own, docs/comparison.md from what was found."""
