"""Why nothing guards this process, and the mend that fits the way in which it was started."""

import os

from agent_fuse.otel.asking import NAME, asked_for, turned_off, under_zero_code
from agent_fuse.otel.facts import Fact, blind, off

_INIT = "call agent_fuse.init(budget=...)"
_RUN = "start it with `agent-fuse run SCRIPT`"


def unguarded() -> Fact:
    """What is said of a process without any guard."""
    nothing = "no AgentFuseSpanProcessor is at work: nothing is guarded"
    if not under_zero_code():
        if asked_for(os.environ):
            return off(f"{nothing}, though AGENTFUSE_* options are set: they alone load nothing", f"{_RUN}, or {_INIT}")
        return off(nothing, f"{_INIT}, or {_RUN}")
    if not asked_for(os.environ):
        return off(
            f"{nothing}: zero-code limits nothing while no AGENTFUSE_* option is set",
            f"set AGENTFUSE_BUDGET=5 or another option beside opentelemetry-instrument, or {_INIT}",
        )
    disabled = turned_off(os.environ)
    if disabled:
        variable = disabled.partition(" ")[0]
        return off(f"{nothing}: {disabled}", f"take {NAME} out of {variable}, or {_RUN}")
    return blind(f"{nothing}: zero-code did not reach AgentFuse's entry points", f"{_RUN}, which needs none of them")
