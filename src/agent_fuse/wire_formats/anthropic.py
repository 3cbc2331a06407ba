"""Anthropic's Messages API and its batches, at Anthropic, at gateways, and at Vertex (`rawPredict`)."""

from agent_fuse.wire_formats.base import WireFormat

FORMAT = WireFormat(
    name="anthropic",
    source="platform.claude.com/docs/en/api/messages; cloud.google.com/vertex-ai, partner models",
    ends={
        "/v1/messages": "messages",
        ":rawPredict": "messages",
        ":streamRawPredict": "messages",
    },
    asks=("messages",),
)

BATCHES = WireFormat(
    name="anthropic batches",
    source="platform.claude.com/docs/en/api/creating-message-batches",
    ends={"/v1/messages/batches": "message_batch"},
    asks=("requests",),
    model_in_body=False,
)
"""Each request in one names its own model."""
