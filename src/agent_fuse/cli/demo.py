"""`agent-fuse demo`: a runaway agent, stopped."""

from importlib import import_module

import typer


def demo() -> None:
    """Show two runaway agents being stopped.

    The model provider is a fake on this machine: no key, no network.
    """
    # The demonstration stands above the commands, since it ends with what they show: it is named, not imported.
    raise typer.Exit(import_module("agent_fuse.demo").run())
