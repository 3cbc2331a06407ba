"""How many input tokens a request body holds, counted where the vocabulary is at hand, else reckoned from its bytes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from agent_fuse.calls import MAX_TOKENS
from agent_fuse.quoting.bodies import CLAUDE_TOOLS, Count, Remembered, Walk
from agent_fuse.quoting.families import Vocabulary, bytes_per_token, vocabulary
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.recent import Recent
from agent_fuse.quoting.vocabularies import Encoding, begin, is_decided, load

__all__ = ["Count", "TokenCounter", "upper_bound_tokens"]

UNREADABLE_TOKENS = 100_000
"""What `count_messages` answers for a body that cannot be walked: raising, endless, or not of JSON's types."""
_TOOL_SETS = 128
"""Sets of tools remembered per model."""
_CHUNK = 50_000
"""tiktoken's regex engine gives up (a panic) on one run of half a million spaces; a cut costs at most one token."""
_HUGE = 8_000_000
"""Characters beyond which no model takes a text; such a one is not worth the second it takes to count it."""


class TokenCounter:
    """Counts bodies, remembering each text by hash and length, not by content. Safe in threads.

    `size` bounds the texts remembered per vocabulary (some 300 bytes each). `vocabularies=False`
    reckons everything from bytes. A vocabulary is loaded at the first body of a model that uses it, or with `preload`.
    Who does not wait for it (`wait=False`) starts the loading in a thread, and has each text counted at its UTF-8 bytes
    until it is there: every token stands for at least one.
    """

    def __init__(self, *, size: int = 8_192, vocabularies: bool = True) -> None:
        self._size = size
        self._exact = vocabularies
        self._counts: dict[Vocabulary, Recent[tuple[int, int], int]] = {}
        self._models: Recent[str, _How] = Recent(1_024)
        self._awaiting: Recent[str, tuple[Vocabulary, _How]] = Recent(1_024)
        """Models whose vocabulary is still being loaded."""

    def preload(self, models: Iterable[str] = ("gpt-4o",)) -> None:
        """Load the vocabularies of these models now, so that no gate waits for them."""
        for model in models:
            self.knows(model)

    def knows(self, model: str | None) -> bool:
        """Whether the model's text is counted by its own vocabulary."""
        return self._for(model).exact

    def at_hand(self, model: str | None) -> bool:
        """Whether the model's text can be counted without waiting for its vocabulary, which is loaded from now on."""
        return not self._for(model, wait=False).provisional

    def count_text(self, text: str, model: str | None = None, *, wait: bool = True) -> int:
        """Tokens of one text. Never raises."""
        try:
            return self._for(model, wait=wait).count(text)
        except Exception:  # noqa: BLE001 - any text must be answered, a hostile str subclass too
            return UNREADABLE_TOKENS

    def count_messages(self, operation: str, body: Mapping[str, Any], model: str | None = None) -> int:
        """Input tokens of a request body (see `count`); UNREADABLE_TOKENS where it cannot be walked. Never raises."""
        found = self.count(operation, body, model)
        return found.tokens if found.readable else max(found.tokens, UNREADABLE_TOKENS)

    def count(self, operation: str, body: Mapping[str, Any], model: str | None = None, *, wait: bool = True) -> Count:
        """What a body of OpenAI (chat, responses, completions, embeddings), Anthropic or Gemini holds. Never raises.

        Only the parts that are prompt count. `model` defaults to the body's own; `operation` tells embeddings, whose
        input has no messages. One-shot iterators are left alone and make the body unreadable.
        """
        count = Count()
        try:
            if model is None:
                named = body.get("model")
                model = named if isinstance(named, str) else None
            how = self._for(model, wait=wait)
            count.exact, count.provisional = how.exact, how.provisional
            walk = Walk(how.count, how.name, count, how.tools)
            count.tokens = walk.body(body, embeddings=operation.startswith("embed")) + count.media_tokens
        except Exception:  # noqa: BLE001 - bodies belong to someone else; what raises here fails again when it is sent
            count.readable = False
        count.tokens = min(max(count.tokens, 0), MAX_TOKENS)
        return count

    def _for(self, model: str | None, *, wait: bool = True) -> "_How":
        found = self._models.get(model or "")
        if found is None:
            awaited = self._awaiting.get(model or "") if not wait else None
            if awaited is not None and not is_decided(awaited[0]):
                return awaited[1]
            name = bare(model or "")
            book = vocabulary(name) if self._exact else None
            if book is not None and not wait and not begin(book):
                how = _How(_bytes, exact=False, name=name, tools=Recent(_TOOL_SETS), provisional=True)
                self._awaiting.put(model or "", (book, how))
                return how
            encoding = load(book) if book is not None else None
            if book is None or encoding is None:
                found = _How(_by_bytes(bytes_per_token(name)), exact=False, name=name, tools=Recent(_TOOL_SETS))
            else:
                counts = self._counts.setdefault(book, Recent(self._size))
                found = _How(_by_vocabulary(encoding, counts), exact=True, name=name, tools=Recent(_TOOL_SETS))
            self._models.put(model or "", found)
        return found


@dataclass(frozen=True, slots=True)
class _How:
    """How a model's texts are counted."""

    count: Callable[[str], int]
    _: KW_ONLY
    exact: bool
    name: str
    """The model, bare."""
    tools: Remembered
    provisional: bool = False


def upper_bound_tokens(body_bytes: int, count: Count | None = None, model: str | None = None) -> int:
    """The most input tokens a body of so many UTF-8 bytes can be.

    Every token stands for at least one byte, and the JSON around each message is longer than the few tokens that mark
    it. Media are taken out at their bytes and added at their own bound (`families.image_tokens`), since an image named
    by its URL has no bytes here; tools add Anthropic's tool prompt. What `count` calls unseen or open-ended is not in
    it.
    """
    if count is None:
        return min(max(body_bytes, 0), MAX_TOKENS)
    tools = 2 * CLAUDE_TOOLS if count.tools and bare(model or "").startswith("claude") else 0
    return min(max(body_bytes - count.media_bytes, 0) + count.media_tokens + tools, MAX_TOKENS)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _by_bytes(ratio: float) -> Callable[[str], int]:
    def count(text: str) -> int:
        return int(_bytes(text) / ratio + 0.999)

    return count


def _by_vocabulary(encoding: Encoding, memory: Recent[tuple[int, int], int]) -> Callable[[str], int]:
    encode = encoding.encode_ordinary
    get, put = memory.get, memory.put

    def count(text: str) -> int:
        key = (hash(text), len(text))
        found = get(key)
        if found is None:
            if len(text) > _HUGE:
                return len(text)
            found = sum(len(encode(text[at : at + _CHUNK])) for at in range(0, len(text), _CHUNK))
            put(key, found)
        return found

    return count
