"""What is known of model families: their largest answer, their vocabulary or bytes per token, tokens per image."""

from enum import StrEnum

DEFAULT_MAX_OUTPUT = 128_000
"""For models of which neither the largest output nor the context window is known: what most large families have."""


class Vocabulary(StrEnum):
    """Vocabularies that OpenAI publishes, by tiktoken's names."""

    O200K = "o200k_base"
    CL100K = "cl100k_base"


_LARGEST: tuple[tuple[str, int], ...] = (
    ("gpt-3.5", 4_096),
    ("gpt-35", 4_096),
    ("gpt-4o-2024-05-13", 4_096),
    ("gpt-4o", 16_384),
    ("chatgpt-4o", 16_384),
    ("gpt-4.1", 32_768),
    ("gpt-4.5", 16_384),
    ("gpt-4-turbo", 4_096),
    ("gpt-4-1106", 4_096),
    ("gpt-4-0125", 4_096),
    ("gpt-4-vision", 4_096),
    ("gpt-4-32k", 32_768),
    ("gpt-4", 8_192),
    ("gpt-5-pro", 272_000),
    ("gpt-5", 128_000),
    ("gpt-6", 128_000),
    ("gpt-realtime", 32_000),
    ("gpt-audio", 16_384),
    ("o1-mini", 65_536),
    ("o1-preview", 32_768),
    ("o1", 100_000),
    ("o3", 100_000),
    ("o4", 100_000),
    ("claude-3-haiku", 4_096),
    ("claude-3-opus", 4_096),
    ("claude-3-sonnet", 4_096),
    ("claude-3-5", 8_192),
    ("claude-3.5", 8_192),
    ("claude-opus-4-0", 32_000),
    ("claude-opus-4-1", 32_000),
    ("claude-opus-4.1", 32_000),
    ("claude-opus-4-2", 32_000),
    ("claude-opus-4-5", 64_000),
    ("claude-opus-4.5", 64_000),
    ("claude-sonnet-4-6", 128_000),
    ("claude-sonnet-4.6", 128_000),
    ("claude-sonnet-4", 64_000),
    ("claude-haiku-4", 64_000),
    ("claude-", 128_000),
    ("gemini-1.5", 8_192),
    ("gemini-2.0", 8_192),
    ("gemini-", 65_536),
)
"""First match counts. Figures: the makers' model pages; for OpenAI and Anthropic a test compares them with the profiles
that langchain-openai and langchain-anthropic ship. Claude 3.7 counts with its long-output beta."""

_IMAGES: tuple[tuple[str, int, int], ...] = (
    ("gpt-4o-mini", 2_833, 48_169),
    ("gpt-4.1-mini", 3_779, 3_779),
    ("gpt-4.1-nano", 3_779, 3_779),
    ("gpt-5-mini", 3_779, 3_779),
    ("gpt-5-nano", 3_779, 3_779),
    ("o4-mini", 3_779, 3_779),
    ("gpt-4", 85, 1_445),
    ("chatgpt-4o", 85, 1_445),
    ("o1", 75, 1_275),
    ("o3", 75, 1_275),
    ("gpt-5.", 12_000, 12_000),
    ("gpt-6", 12_000, 12_000),
    ("gpt-5", 70, 1_190),
    ("claude-3", 1_600, 1_600),
    ("claude-", 4_784, 4_784),
    ("gemini-", 2_240, 2_240),
)
_IMAGE_DEFAULT = 4_784

_RATIOS: tuple[tuple[str, float], ...] = (("claude", 2.7), ("gemini", 3.8), ("gpt", 3.8), ("o1", 3.8), ("o3", 3.8))
_RATIO_DEFAULT = 3.3

_VOCABULARIES: tuple[tuple[str, Vocabulary], ...] = (
    ("gpt-4o", Vocabulary.O200K),
    ("gpt-4.", Vocabulary.O200K),
    ("gpt-4", Vocabulary.CL100K),
    ("gpt-3.5", Vocabulary.CL100K),
    ("gpt-35", Vocabulary.CL100K),
    ("gpt-", Vocabulary.O200K),
    ("chatgpt-", Vocabulary.O200K),
    ("o1", Vocabulary.O200K),
    ("o3", Vocabulary.O200K),
    ("o4", Vocabulary.O200K),
    ("codex-mini", Vocabulary.O200K),
    ("computer-use", Vocabulary.O200K),
    ("text-embedding-ada-002", Vocabulary.CL100K),
    ("text-embedding-3", Vocabulary.CL100K),
    ("davinci-002", Vocabulary.CL100K),
    ("babbage-002", Vocabulary.CL100K),
)


def max_output(bare_model: str, context_window: int | None) -> int:
    """The most tokens one answer of the model can have: the family's figure, else its context window, else a default.

    `bare_model`, here and below, is the name without provider, in lower case (`names.bare`).
    """
    for family, tokens in _LARGEST:
        if bare_model.startswith(family):
            return tokens
    return context_window or DEFAULT_MAX_OUTPUT


def vocabulary(bare_model: str) -> Vocabulary | None:
    """The published vocabulary a model counts by, None where its maker publishes none.

    As tiktoken's `model.py`; OpenAI models newer than it are taken to use its newest, as every one since GPT-4o has.
    """
    for family, name in _VOCABULARIES:
        if bare_model.startswith(family):
            return name
    return None


CACHED_FROM = 1_024
"""Tokens of a prompt from which on OpenAI caches it (its guide "Prompt caching", of November 2026)."""


def caches_unasked(bare_model: str) -> bool:
    """Whether the model's maker writes long prompts to its cache though nobody asked (OpenAI; others are asked to)."""
    return bare_model.startswith(("gpt-", "chatgpt-", "codex-", "o1", "o3", "o4"))


def hides_reasoning(bare_model: str) -> bool:
    """Whether the model bills reasoning that its answer does not show (OpenAI's guide "Reasoning models")."""
    return bare_model.startswith(("o1", "o3", "o4", "gpt-5", "gpt-6", "codex-mini", "computer-use"))


def searches_itself(bare_model: str) -> str:
    """The tool by which a model of OpenAI's searches before each answer (its guide "Web search"); empty: by none."""
    if "-search-preview" in bare_model:
        return "web_search_preview"
    return "web_search" if "-search-api" in bare_model else ""


def search_tokens(bare_model: str) -> int:
    """Input tokens that what a `web_search` finds is billed as, whatever it finds; 0: as many as it has.

    Source: OpenAI's pricing page, "Tools", 2026-11, of gpt-4o-mini and gpt-4.1-mini.
    """
    return 8_000 if bare_model.startswith(("gpt-4o-mini", "gpt-4.1-mini")) else 0


def bytes_per_token(bare_model: str) -> float:
    """UTF-8 bytes that make a token, on the low side, where no vocabulary is to be had.

    Claude 2.7: Anthropic's glossary gives 3.5 characters, its newer tokenizer makes up to a third more tokens of the
    same text. Gemini and GPT 3.8: their makers say about 4 characters of English. Others 3.3. Calls that came back
    correct these figures (`quotes.Quoter.learn`).
    """
    for family, ratio in _RATIOS:
        if bare_model.startswith(family):
            return ratio
    return _RATIO_DEFAULT


def image_tokens(bare_model: str, detail: object = None) -> int:
    """The most tokens one image can take as input. Its size is not looked at, so this is a bound, not a count.

    OpenAI's tile formula (base + tile x tiles; an image is fitted into 2048 x 2048, its short side to 768: at most 8
    tiles of 512) and patch formula (1,536 patches x at most 2.46; GPT-5.1 and later 10,000 patches x 1.2);
    `detail="low"` is the base alone. Anthropic: width x height / 750, after its own downscaling 1,600 (up to Claude 3)
    or 4,784. Gemini: 2,240 at its highest resolution.
    """
    for family, low, high in _IMAGES:
        if bare_model.startswith(family):
            return low if detail == "low" else high
    return _IMAGE_DEFAULT
