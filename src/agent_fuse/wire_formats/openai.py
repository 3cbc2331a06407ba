"""OpenAI's protocol, as it is spoken by OpenAI, Azure, Groq, Mistral, Together, OpenRouter, vLLM and Ollama's /v1."""

from agent_fuse.wire_formats.base import WireFormat

FORMAT = WireFormat(
    name="openai",
    source="developers.openai.com/api/reference; api.mistral.ai tells a stream's usage in its last choice, "
    "api.groq.com in `x_groq`",
    ends={
        "/chat/completions": "chat",
        "/completions": "text_completion",
        "/fim/completions": "text_completion",
        "/responses": "responses",
        "/embeddings": "embeddings",
    },
    asks=("messages", "prompt", "input"),
    nameless=("/chat/completions", "/embeddings"),
    streams_usage=False,
)
