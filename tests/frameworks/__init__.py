"""Sixteen agent frameworks over loopback: what `agent_fuse.init()` alone does under each."""
