"""The anthropic SDK's own spans, on by default since anthropic 2 (off with ANTHROPIC_OPEN_TELEMETRY=false)."""

from agent_fuse.dialects.base import Dialect
from agent_fuse.dialects.otel import KEYS, KINDS

ANTHROPIC_SDK = Dialect(
    name="anthropic-sdk",
    scopes=("com.anthropic.sdk.python",),
    keys=KEYS,
    kinds=KINDS,
    gate_follows=True,
    swallows=True,
)

DIALECTS = (ANTHROPIC_SDK,)
