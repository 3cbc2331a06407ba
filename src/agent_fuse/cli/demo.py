"""`agent-fuse demo`: a runaway agent, stopped."""

import typer


def demo() -> None:
    """Show two runaway agents being stopped, on a model provider that is a fake on this machine. No key, no network."""
    from agent_fuse.demo import run  # noqa: PLC0415 - other commands do without

    raise typer.Exit(run())
