"""The names one model goes by: provider prefixes, Bedrock ids, dated snapshots, fine-tunes, resource paths."""

import re
from collections.abc import Iterator
from functools import lru_cache

_DATE = re.compile(r"[-@]20\d{2}-?\d{2}-?\d{2}$|-latest$")
_BEDROCK = re.compile(
    r"^(?:(?:us|us-gov|eu|apac|ap|au|jp|ca|sa|me|global|regional)\.)?"
    r"(?P<vendor>anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|google|nvidia|minimax|moonshotai?|zai)\."
    r"(?P<model>[^/]+)$"
)
_BEDROCK_VERSION = re.compile(r"-v\d+(?::\d+)?(?::[\w-]+)?$")
_ROUTED = re.compile(r":(?:online|nitro|floor|exacto)$")
"""How OpenRouter is told to serve a model, at that model's price (its guide "Model variants", 2026-11)."""
_PROVIDERS = {
    "x_ai": "x-ai",
    "gcp.gen_ai": "google",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "together.ai": "together",
    "voyage": "voyageai",
}


def provider_id(name: str) -> str:
    """A provider as instrumentations write it (`gen_ai.provider.name`, `gen_ai.system`), nearer to the price data."""
    lowered = name.strip().lower()
    if "azure" in lowered or lowered.startswith("az."):
        return "azure"
    return _PROVIDERS.get(lowered, lowered)


def bare(model: str) -> str:
    """The model alone, lower case: no provider or path before it, no `ft:`, no Bedrock vendor, no fine-tune suffix."""
    name = model.strip().lower().rsplit("/", 1)[-1].removeprefix("ft:").split(":ft-", 1)[0]
    if found := _BEDROCK.match(name):
        return _BEDROCK_VERSION.sub("", found["model"])
    return name.split(":", 1)[0] if model.strip().lower().startswith("ft:") else name


@lru_cache(maxsize=2048)
def stem(model: str) -> str:
    """The bare model without its snapshot's date: a request for `gpt-4o` is answered by `gpt-4o-2024-08-06`."""
    return _DATE.sub("", bare(model))


def spellings(model: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """Pairs of provider (None: whoever makes it) and model to look for, the most faithful first."""
    name = model.strip().lower()
    host = provider_id(provider) if provider else None
    if host is not None:
        yield host, name
    head, slash, tail = name.partition("/")
    last = name.rsplit("/", 1)[-1]
    if slash:
        yield provider_id(head), tail
    if slash and host is not None:
        yield host, last
    if found := _BEDROCK.match(last):
        yield "aws", last
        yield "aws", _BEDROCK_VERSION.sub("", last)
        yield found["vendor"], _BEDROCK_VERSION.sub("", found["model"])
    yield None, name
    yield None, last
    undated = _DATE.sub("", last)
    if undated != last:
        yield host, undated
        yield None, undated
    if (routed := _ROUTED.sub("", name)) != name:
        yield from spellings(routed, provider)


def fine_tuned(model: str) -> str | None:
    """The base of a fine-tuned model (`ft:gpt-4o:org::id` is a `gpt-4o`), or None."""
    name = model.strip().lower().rsplit("/", 1)[-1]
    return name.split(":")[1] or None if name.startswith("ft:") else None
