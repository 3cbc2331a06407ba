"""Where providers put the figures of usage in their answers: a table, each row with its source."""

from dataclasses import dataclass

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One way to tell usage: where its figures are, below `root` (empty: at the top).

    Of several paths the first that is there counts. A list of figures, each under a label (`modality`, `ttl`), is read
    as what holds them by these.
    """

    source: str
    """Who tells it so, and where that is written."""
    root: str = "usage"
    needs: tuple[Path, ...] = ()
    """It is this shape when any of these is there as well; empty: when an input or output figure is."""
    input: tuple[Path, ...] = ()
    output: tuple[Path, ...] = ()
    total: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    read_audio: tuple[Path, ...] = ()
    """In `read` and in `input_audio`; images likewise."""
    read_image: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()
    """At least its parts, by how long they are kept: some gateways tell these alone."""
    written_5m: tuple[Path, ...] = ()
    written_1h: tuple[Path, ...] = ()
    reasoning: tuple[Path, ...] = ()
    input_audio: tuple[Path, ...] = ()
    output_audio: tuple[Path, ...] = ()
    input_image: tuple[Path, ...] = ()
    output_image: tuple[Path, ...] = ()
    beside_input: tuple[Path, ...] = ()
    """Told beside the input, and added to it."""
    beside_output: tuple[Path, ...] = ()
    """Told beside the output, and added to it."""
    seconds: tuple[Path, ...] = ()
    """What is billed where there is neither input nor output, or beside them (a total holds tokens of these then)."""
    pages: tuple[Path, ...] = ()
    """What is billed where there are no tokens."""
    citations: tuple[Path, ...] = ()
    """Tokens of what was cited, told outside the rest."""
    searches: tuple[Path, ...] = ()
    """Searches that ran at the provider, billed beside the tokens."""
    searches_alone: bool = False
    """They may be all that is told."""
    parts: tuple[Path, ...] = ()
    """Where parts of the answer are listed that all of the above leaves out."""
    cached_outside: bool = False
    """The input leaves out what was read from the cache and written to it."""


def _one(*names: str) -> tuple[Path, ...]:
    return (names,)


_SEARCHES = _one("server_tool_use", "web_search_requests")
"""Anthropic's; gateways that speak OpenAI's protocol hand it on as it is."""
_PARTS = _one("iterations")
"""Anthropic's BetaUsage: compactions, and advice of another model."""

CHAT = Shape(
    source="OpenAI chat completions, and all who speak it. `cached_tokens` at the top: Moonshot; "
    "`cached_prompt_text_tokens`: xAI's own SDK; "
    "`prompt_cache_hit_tokens`: DeepSeek; `cache_write_tokens`: OpenRouter, and OpenAI from gpt-5.6 on; "
    "`cache_creation_…`: LiteLLM, Alibaba's Model Studio; `prompt_audio_seconds`: Mistral. xAI's `num_sources_used` is "
    "not billed since its live search was retired (2026-01)",
    input=_one("prompt_tokens"),
    output=_one("completion_tokens"),
    total=_one("total_tokens"),
    read=(
        ("prompt_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cached_tokens",),
        ("cache_read_input_tokens",),
        ("cached_prompt_text_tokens",),
    ),
    written=(
        ("prompt_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
        ("prompt_tokens_details", "cache_creation_tokens"),
        ("prompt_tokens_details", "cache_creation_input_tokens"),
    ),
    written_5m=(
        ("cache_creation", "ephemeral_5m_input_tokens"),
        ("prompt_tokens_details", "cache_creation_token_details", "ephemeral_5m_input_tokens"),
        ("prompt_tokens_details", "cache_creation", "ephemeral_5m_input_tokens"),
    ),
    written_1h=(
        ("cache_creation", "ephemeral_1h_input_tokens"),
        ("prompt_tokens_details", "cache_creation_token_details", "ephemeral_1h_input_tokens"),
        ("prompt_tokens_details", "cache_creation", "ephemeral_1h_input_tokens"),
    ),
    reasoning=(("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)),
    input_audio=_one("prompt_tokens_details", "audio_tokens"),
    output_audio=_one("completion_tokens_details", "audio_tokens"),
    input_image=_one("prompt_tokens_details", "image_tokens"),
    output_image=_one("completion_tokens_details", "image_tokens"),
    seconds=_one("prompt_audio_seconds"),
    searches=_SEARCHES,
    parts=_PARTS,
)
_PERPLEXITY = Shape(
    source="Perplexity's deep research: reasoning and citations outside the completion, and outside the total",
    needs=_one("citation_tokens"),
    input=_one("prompt_tokens"),
    output=_one("completion_tokens"),
    reasoning=_one("reasoning_tokens"),
    beside_output=_one("reasoning_tokens"),
    citations=_one("citation_tokens"),
    searches=_one("num_search_queries"),
)
ANTHROPIC = Shape(
    source="Anthropic messages: the input leaves out cached tokens",
    needs=(("cache_read_input_tokens",), ("cache_creation_input_tokens",), ("cache_creation",)),
    input=_one("input_tokens"),
    output=_one("output_tokens"),
    read=_one("cache_read_input_tokens"),
    written=_one("cache_creation_input_tokens"),
    written_5m=_one("cache_creation", "ephemeral_5m_input_tokens"),
    written_1h=_one("cache_creation", "ephemeral_1h_input_tokens"),
    reasoning=_one("output_tokens_details", "thinking_tokens"),
    searches=_SEARCHES,
    parts=_PARTS,
    cached_outside=True,
)
RESPONSES = Shape(
    source="OpenAI Responses, images, audio and realtime (`input_token_details` in the singular); "
    "transcriptions by the minute: `seconds`; `cache_read_input_tokens`, `tool_calls_details`: Perplexity's agents",
    input=_one("input_tokens"),
    output=_one("output_tokens"),
    total=_one("total_tokens"),
    read=(
        ("input_tokens_details", "cached_tokens"),
        ("input_token_details", "cached_tokens"),
        ("input_tokens_details", "cache_read_input_tokens"),
    ),
    read_audio=(
        ("input_token_details", "cached_tokens_details", "audio_tokens"),
        ("input_tokens_details", "cached_tokens_details", "audio_tokens"),
    ),
    read_image=(
        ("input_token_details", "cached_tokens_details", "image_tokens"),
        ("input_tokens_details", "cached_tokens_details", "image_tokens"),
    ),
    written=_one("input_tokens_details", "cache_write_tokens"),
    reasoning=(("output_tokens_details", "reasoning_tokens"), ("output_tokens_details", "thinking_tokens")),
    input_audio=(("input_tokens_details", "audio_tokens"), ("input_token_details", "audio_tokens")),
    output_audio=(("output_tokens_details", "audio_tokens"), ("output_token_details", "audio_tokens")),
    input_image=(("input_tokens_details", "image_tokens"), ("input_token_details", "image_tokens")),
    output_image=(("output_tokens_details", "image_tokens"), ("output_token_details", "image_tokens")),
    seconds=_one("seconds"),
    searches=(*_SEARCHES, ("tool_calls_details", "search_web", "invocation")),
    parts=_PARTS,
)
_LANGCHAIN = Shape(
    source="LangChain's UsageMetadata",
    root="usage_metadata",
    input=_one("input_tokens"),
    output=_one("output_tokens"),
    total=_one("total_tokens"),
    read=_one("input_token_details", "cache_read"),
    written=_one("input_token_details", "cache_creation"),
    reasoning=_one("output_token_details", "reasoning"),
    input_audio=_one("input_token_details", "audio"),
    output_audio=_one("output_token_details", "audio"),
)
_GOOGLE_SDK = Shape(
    source="google-genai's GenerateContentResponseUsageMetadata: thoughts are outside candidates",
    root="usage_metadata",
    input=_one("prompt_token_count"),
    output=_one("candidates_token_count"),
    total=_one("total_token_count"),
    read=_one("cached_content_token_count"),
    reasoning=_one("thoughts_token_count"),
    beside_input=_one("tool_use_prompt_token_count"),
    beside_output=_one("thoughts_token_count"),
    read_audio=_one("cache_tokens_details", "AUDIO"),
    read_image=_one("cache_tokens_details", "IMAGE"),
    input_audio=_one("prompt_tokens_details", "AUDIO"),
    input_image=_one("prompt_tokens_details", "IMAGE"),
    output_audio=_one("candidates_tokens_details", "AUDIO"),
    output_image=_one("candidates_tokens_details", "IMAGE"),
)
_GOOGLE = Shape(
    source="Gemini API, GenerateContentResponse.usageMetadata: thoughts are outside candidates",
    root="usageMetadata",
    input=_one("promptTokenCount"),
    output=_one("candidatesTokenCount"),
    total=_one("totalTokenCount"),
    read=_one("cachedContentTokenCount"),
    reasoning=_one("thoughtsTokenCount"),
    beside_input=_one("toolUsePromptTokenCount"),
    beside_output=_one("thoughtsTokenCount"),
    read_audio=_one("cacheTokensDetails", "AUDIO"),
    read_image=_one("cacheTokensDetails", "IMAGE"),
    input_audio=_one("promptTokensDetails", "AUDIO"),
    input_image=_one("promptTokensDetails", "IMAGE"),
    output_audio=_one("candidatesTokensDetails", "AUDIO"),
    output_image=_one("candidatesTokensDetails", "IMAGE"),
)
_INTERACTIONS = Shape(
    source="Gemini's Interactions API, Usage of google-genai 3.6: thoughts and tools' results are outside the rest",
    input=_one("total_input_tokens"),
    output=_one("total_output_tokens"),
    total=_one("total_tokens"),
    read=_one("total_cached_tokens"),
    reasoning=_one("total_thought_tokens"),
    beside_input=_one("total_tool_use_tokens"),
    beside_output=_one("total_thought_tokens"),
    read_audio=_one("cached_tokens_by_modality", "AUDIO"),
    read_image=_one("cached_tokens_by_modality", "IMAGE"),
    input_audio=_one("input_tokens_by_modality", "AUDIO"),
    input_image=_one("input_tokens_by_modality", "IMAGE"),
    output_audio=_one("output_tokens_by_modality", "AUDIO"),
    output_image=_one("output_tokens_by_modality", "IMAGE"),
    searches=_one("grounding_tool_count", "GOOGLE_SEARCH"),
)
_BEDROCK = Shape(
    source="Amazon Bedrock Converse, TokenUsage: cached tokens are outside inputTokens, and inside totalTokens; "
    "`cacheReadInputTokenCount`: InvokeModel of Amazon Nova (its guide, prompt caching)",
    input=_one("inputTokens"),
    output=_one("outputTokens"),
    read=(("cacheReadInputTokens",), ("cacheReadInputTokenCount",)),
    written=(("cacheWriteInputTokens",), ("cacheWriteInputTokenCount",)),
    written_5m=_one("cacheDetails", "5m"),
    written_1h=_one("cacheDetails", "1h"),
    cached_outside=True,
)
_BEDROCK_METRICS = Shape(
    source="Amazon Bedrock InvokeModelWithResponseStream: the last chunk, whosever model it is",
    root="amazon-bedrock-invocationMetrics",
    input=_one("inputTokenCount"),
    output=_one("outputTokenCount"),
    read=_one("cacheReadInputTokenCount"),
    written=_one("cacheWriteInputTokenCount"),
    cached_outside=True,
)
_LLAMA = Shape(
    source="Meta's models at Amazon Bedrock, InvokeModel",
    root="",
    input=_one("prompt_token_count"),
    output=_one("generation_token_count"),
)
_COHERE = Shape(
    source="Cohere v2 chat: billed units, else tokens",
    read=_one("cached_tokens"),
    input=(("billed_units", "input_tokens"), ("tokens", "input_tokens")),
    output=(("billed_units", "output_tokens"), ("tokens", "output_tokens")),
)
_COHERE_META = Shape(
    source="Cohere v1 chat, embed, rerank: as v2's usage, in `meta`; `search_units`: what rerankings are billed by",
    root="meta",
    searches=_one("billed_units", "search_units"),
    searches_alone=True,
    input=(("billed_units", "input_tokens"), ("tokens", "input_tokens")),
    output=(("billed_units", "output_tokens"), ("tokens", "output_tokens")),
)
_OLLAMA = Shape(
    source="Ollama /api/chat and /api/generate", root="", input=_one("prompt_eval_count"), output=_one("eval_count")
)
_TITAN = Shape(
    source="Amazon Titan embeddings at Bedrock, InvokeModel: text in, a vector out",
    root="",
    needs=_one("embedding") + _one("embeddingsByType"),
    input=_one("inputTextTokenCount"),
)
_PAGES = Shape(source="Mistral's /ocr, OCRUsageInfo of mistralai 3.7", root="usage_info", pages=_one("pages_processed"))
_RECORDING = Shape(
    source="OpenAI's transcriptions, TranscriptionVerbose of the openai SDK 3.57: how long the recording is",
    root="",
    needs=_one("task") + _one("segments"),
    seconds=_one("duration"),
)
_TOTAL = Shape(
    source="Voyage AI's embeddings and rerankings: a total alone",
    root="",
    needs=_one("data") + _one("results"),
    input=_one("usage", "total_tokens"),
)

SHAPES: tuple[Shape, ...] = (
    _PERPLEXITY,
    CHAT,
    ANTHROPIC,
    RESPONSES,
    _GOOGLE_SDK,
    _LANGCHAIN,
    _GOOGLE,
    _INTERACTIONS,
    _BEDROCK,
    _BEDROCK_METRICS,
    _COHERE,
    _COHERE_META,
    _OLLAMA,
    _LLAMA,
    _TITAN,
    _RECORDING,
    _PAGES,
    _TOTAL,
)
"""In the order in which they are tried: the first that finds an input or output figure is the answer's."""

DRAWS = "gpt-image-1"
"""The model that draws where none is named (the openai SDK's `ImageGeneration.model`)."""
