"""The entry points of zero-code: where `opentelemetry-instrument` calls us, from the earliest to the last.

It loads a distro, then a configurator, then the instrumentors, and where one of these raises it runs the program
without the rest. So the process is guarded by the first of our entry points that is reached, before any telemetry is
set up. None does anything where no `AGENTFUSE_*` variable is set: merely being installed surprises nobody.
"""

import os

from agent_fuse.otel.asking import NAME, asked_for, turned_off

WANTED = "_AGENTFUSE_WANTED_DISTRO"
"""Which distro was asked for, when ours took its place to come first."""

_DISTRO = "OTEL_PYTHON_DISTRO"


def distro() -> object:
    """Entry point `opentelemetry_distro`: guards the process, then hands on to the distro that was asked for."""
    chosen = os.environ.get(_DISTRO) == NAME
    if asked_for(os.environ):
        _guard()
    elif not chosen:
        return None  # no distro: OpenTelemetry goes on to the next
    from agent_fuse.otel.distros import next_distro  # noqa: PLC0415

    return next_distro(but=NAME, wanted=os.environ.get(WANTED))


def pre_instrument() -> None:
    """Entry point `opentelemetry_pre_instrument`: guards the process, where the distro was loaded without us."""
    if asked_for(os.environ):
        _guard()


def _guard() -> None:
    from agent_fuse.running.inside import start  # noqa: PLC0415 - an installed, unused AgentFuse costs no start-up time

    start(instead=turned_off(os.environ))
