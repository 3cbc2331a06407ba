"""A test that guards its own process: whatever guard an earlier test left in it judges nothing any more."""

import gc

from agent_fuse.otel.span_processor import AgentFuseSpanProcessor


def leave_nobody() -> None:
    """Shut every guard of this process down, also those that stand on a provider which nobody names any more."""
    for one in gc.get_objects():
        if type(one) is AgentFuseSpanProcessor:
            one.shutdown()
