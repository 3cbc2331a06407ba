"""What a caller by hand says of a call, checked: its model, its size, and what it used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage, usage_of
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import unbroken

_PARTS = {
    **dict.fromkeys(("cache_read_tokens", "cache_write_tokens", "input_audio_tokens"), "input_tokens"),
    **dict.fromkeys(("reasoning_tokens", "output_audio_tokens"), "output_tokens"),
}
"""Figures that are in another one, by name, and which that is."""

_SHOWN = 80
"""Characters of a bad value that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A call as its caller describes it before it is made."""

    model: str
    provider: str = ""
    estimate: tuple[int | None, int | None] | None = None
    """Input and output tokens, where the caller gave figures rather than the prompt."""
    body: Mapping[str, Any] | None = None

    @property
    def operation(self) -> str:
        """`chat`, or `text_completion` for a bare prompt."""
        return "text_completion" if self.body is not None and "prompt" in self.body else "chat"


def terms(
    what: str,
    model: object,
    *,
    estimated_input_tokens: object = None,
    estimated_output_tokens: object = None,
    messages: object = None,
    prompt: object = None,
    provider: object = "",
) -> Terms:
    """The terms of a call; `what` names the public function in errors.

    A figure for the input wins over a prompt. Without either, the quote goes by the session's calls before it.

    Raises:
        ConfigurationError: naming the argument, its value and what is allowed.
    """
    named = told_name(what, "model", model)
    if not isinstance(provider, str):
        raise ConfigurationError(f"{what} provider is {provider!r}; it must be a text, such as 'openai'")
    into = tokens(what, "estimated_input_tokens", estimated_input_tokens)
    out = tokens(what, "estimated_output_tokens", estimated_output_tokens)
    if messages is not None and (isinstance(messages, str | bytes) or not _is_sized(messages)):
        raise ConfigurationError(f"{what} messages is {_short(messages)}; it must be a list of messages")
    if prompt is not None and not isinstance(prompt, str | list | tuple):
        raise ConfigurationError(f"{what} prompt is {_short(prompt)}; it must be a text or a list of texts")
    if into is not None or (messages is None and prompt is None):
        return Terms(model=named, provider=provider, estimate=(into, out))
    body: dict[str, Any] = {"model": named}
    if messages is not None:
        body["messages"] = [_message(one) for one in cast("list[object]", messages)]
        if prompt is not None:
            body["system"] = prompt
    else:
        body["prompt"] = list(cast("list[object]", prompt)) if isinstance(prompt, tuple) else prompt
    if out:
        body["max_tokens"] = out
    return Terms(model=named, provider=provider, body=body)


def usage(what: str, **figures: object) -> Usage:
    """Usage from a caller's figures, under the names of `Usage`.

    Raises:
        ConfigurationError: a figure is no count of tokens, or a part is more than its whole.
    """
    checked: Any = {field: tokens(what, field, value) for field, value in figures.items() if value is not None}
    for part in _PARTS.keys() & checked.keys():
        _fits(what, part, checked[part], _PARTS[part], checked.get(_PARTS[part]))
    return usage_of(checked)


def name(what: str, argument: str, value: object) -> str:
    """A text that is not empty.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{what} {argument} is {_short(value)}; it must be a text that is not empty")
    if "\0" in value:
        raise ConfigurationError(f"{what} {argument} is {_short(value)}; it must be a text without NUL characters")
    if unbroken(value) != value:
        raise ConfigurationError(f"{what} {argument} is {_short(value)}; it holds half a character (a lone surrogate)")
    return value


def told_name(what: str, argument: str, value: object) -> str:
    """The same of a name that a model may have made up: halves of characters become U+FFFD."""
    return name(what, argument, unbroken(value) if isinstance(value, str) else value)


def tokens(what: str, argument: str, value: object) -> int | None:
    """A count of tokens, or None for unknown. A float is taken where it is whole.

    Raises:
        ConfigurationError: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_TOKENS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        allowed = f"a whole number of tokens from 0 to {MAX_TOKENS:,}, or None"
        raise ConfigurationError(f"{what} {argument} is {_short(value)}; it must be {allowed}")
    return value


def _fits(what: str, part: str, figure: int, whole: str, most: int | None) -> None:
    if most is not None and figure > most:
        raise ConfigurationError(
            f"{what} {part} is {figure:,}; it must be at most {whole}, {most:,}, which includes it"
        )


def _is_sized(value: object) -> bool:
    return hasattr(value, "__len__") and hasattr(value, "__iter__") and not isinstance(value, Mapping)


def _message(one: object) -> object:
    """A message as data: dicts as they are, SDK and LangChain objects by their fields."""
    dump = getattr(one, "model_dump", None)
    if isinstance(one, Mapping) or dump is None:
        return cast("object", one)
    try:
        return dump(exclude_none=True)
    except Exception:  # noqa: BLE001 - an object of someone else's making; the walk over the body judges it
        return one


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
