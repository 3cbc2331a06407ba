"""`agent-fuse demo`: a runaway agent, stopped."""

import typer


def demo() -> None:
    """Show two runaway agents being stopped.

    The model provider is a fake on this machine: no key, no network.
    """
    from agent_fuse.demo import run  # noqa: PLC0415 - other commands do without

    raise typer.Exit(run())
