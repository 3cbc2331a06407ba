"""litellm's otel callback: spans made after the call, in a logging thread. They book and never raise."""

from agent_fuse.dialects.base import Dialect, SpanRole
from agent_fuse.dialects.otel import KEYS, KINDS

LITELLM = Dialect(
    name="litellm",
    scopes=("litellm",),
    keys=KEYS,
    kinds=KINDS,
    kind_of_name=lambda name: (SpanRole.MODEL, "chat") if name == "litellm_request" else None,
    late_names=frozenset({"litellm_request"}),
)
"""Its child `raw_gen_ai_request` tells of the same call in the provider's words, and no usage: it is not read.

The parent leaves out which input was cached, so that it is billed at the full rate unless a more exact layer saw it.
"""

DIALECTS = (LITELLM,)
