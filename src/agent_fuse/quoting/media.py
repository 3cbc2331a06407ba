"""What the images, sounds and files in a request weigh: tokens, and the bytes they take in its body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent_fuse.quoting.families import image_tokens

_BASE64_PER_AUDIO_TOKEN, _BASE64_PER_FILE_TOKEN = 100, 16
"""Audio of 32 tokens a second (Gemini; OpenAI 10) at 24 kbit/s; a page of PDF of 20 kB at 1,700 tokens. Estimates."""

_PARTS = {"image", "image_url", "input_image", "audio", "input_audio", "file", "input_file", "document"}
MEDIA = _PARTS | {"image_generation_call", "container_upload", "inlineData", "inline_data", "fileData", "file_data"}
"""The types (OpenAI, Anthropic) and keys (Gemini) of content parts that are not text."""

_LABELS = frozenset(("type", "detail", "format", "media_type", "mimeType", "mime_type", "filename", "title", "context"))
_DATA = frozenset(("data", "file_data"))


@dataclass(frozen=True, slots=True)
class MediaWeight:
    """One part that is not text."""

    tokens: int
    size: int
    """Bytes of the request's body that are its data."""
    kept: bool
    """It is no image and lies elsewhere (a URL, an uploaded file): its tokens are not in `tokens`."""
    guessed: bool
    """`tokens` is an estimate, not a bound: sound and files, whose bytes are compressed."""


def weigh(kind: str, part: Mapping[str, Any], bare_model: str) -> MediaWeight:
    """Weigh a content part. Images at their bound (`families.image_tokens`), sound and files by their bytes."""
    size, kept = _inline(part, 0)
    inner = part.get(kind)
    holder = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else part
    mime = str(holder.get("mimeType") or holder.get("mime_type") or "")
    if "image" in kind or mime.startswith("image/"):
        return MediaWeight(image_tokens(bare_model, part.get("detail") or holder.get("detail")), size, False, False)
    per_token = _BASE64_PER_AUDIO_TOKEN if "audio" in kind or mime.startswith("audio/") else _BASE64_PER_FILE_TOKEN
    return MediaWeight(size // per_token + 1, size, kept and not size, bool(size))


def _inline(value: object, depth: int) -> tuple[int, bool]:
    """Bytes of data written into a part, and whether the part names something that lies elsewhere."""
    if isinstance(value, str):
        return (len(value), False) if value.startswith("data:") else (0, True)
    if isinstance(value, bytes | bytearray):
        return len(value) * 4 // 3, False
    if depth > 4 or not isinstance(value, Mapping):  # noqa: PLR2004 - deeper than any provider's part
        return 0, False
    size, kept = 0, False
    for key, inner in cast("Mapping[str, object]", value).items():
        if key in _DATA and isinstance(inner, str):
            size += len(inner)
        elif key not in _LABELS:
            more, elsewhere = _inline(inner, depth + 1)
            size, kept = size + more, kept or elsewhere
    return size, kept
