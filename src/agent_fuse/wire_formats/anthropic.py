"""Anthropic's Messages API, at Anthropic, at gateways, and at Vertex (`rawPredict`)."""

from agent_fuse.wire_formats.base import WireFormat

FORMAT = WireFormat(
    name="anthropic",
    source="platform.claude.com/docs/en/api/messages; cloud.google.com/vertex-ai, partner models",
    ends={"/v1/messages": "messages", ":rawPredict": "messages", ":streamRawPredict": "messages"},
    asks=("messages",),
)
