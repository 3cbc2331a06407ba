"""What is billed by something else than the tokens of a text: images, speech, recordings, video, jobs that run later.

Each figure names its source. Estimates say so: such a call is booked as estimated until it tells its real usage.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agent_fuse.quoting.supplements import PAGE

IMAGE_TOKENS: Mapping[str, tuple[int, int]] = {
    "low": (272, 408),
    "medium": (1_056, 1_584),
    "high": (4_160, 6_240),
}
"""Output tokens of one image, square and not."""
IMAGE_SOURCE = (
    "its output tokens by OpenAI's guide (developers.openai.com/api/docs/guides/image-generation), table of "
    "gpt-image-1, 2026-11"
)
DRAWS = ("gpt-image", "chatgpt-image")
"""Families of models that draw by tokens."""
PARTIAL_IMAGE_TOKENS = 100
"""Of each partial image that a stream shows before the last: the same guide."""

PER_IMAGE: Mapping[str, tuple[int, int]] = {
    "dall-e-3": (40_000_000, 80_000_000),
    "dall-e-3-hd": (80_000_000, 120_000_000),
    "dall-e-2": (20_000_000, 20_000_000),
}
"""Nano-dollars an image, square and not."""
PER_IMAGE_SOURCE = f'{PAGE}, "Image generation", before it retired them, 2026-05-12'
IMAGEN: tuple[tuple[str, int], ...] = (
    ("imagen-4.0-ultra", 60_000_000),
    ("imagen-4.0-fast", 20_000_000),
    ("imagen-4.0", 40_000_000),
    ("imagen-3.0-fast", 20_000_000),
    ("imagen-3.0", 40_000_000),
)
"""Nano-dollars an image of Google's, of whatever size; of Imagen 3 at Vertex AI, the dearer."""
_GOOGLES = "Google's pricing page (ai.google.dev/gemini-api/docs/pricing)"
_LITELLMS = "as litellm 1.110.2 lists them from Google's pages"
IMAGEN_SOURCE = f'{_GOOGLES}, "Imagen", as quoted elsewhere in 2026; Imagen 3 at Vertex AI, the dearer, {_LITELLMS}'

VIDEO_SECOND: tuple[tuple[str, Mapping[int, int]], ...] = (
    ("sora-2-pro", {720: 300_000_000, 1_024: 500_000_000, 1_080: 700_000_000}),
    ("sora-2", {720: 100_000_000}),
    ("veo-3.1-lite", {720: 50_000_000, 1_080: 80_000_000}),
    ("veo-3.1-fast", {720: 100_000_000, 1_080: 120_000_000, 2_160: 300_000_000}),
    ("veo-3.1", {720: 400_000_000, 1_080: 400_000_000, 2_160: 600_000_000}),
    ("veo-3.0-fast", {720: 100_000_000, 1_080: 120_000_000}),
    ("veo-3.0", {720: 400_000_000, 1_080: 400_000_000}),
    ("veo-2.0", {720: 500_000_000}),
)
"""Nano-dollars a second, by the short side of the picture."""
VIDEO_SOURCE = f'{PAGE}, "Video", 2026-11; 1080p since 2026-03-12 (its changelog)'
VEO_SOURCE = f'{_GOOGLES}, "Veo", 2026-10-07, with audio; fast, lite and those before 3.1 {_LITELLMS}'
BATCH_SHARE = 2
"""What a batch costs is one part of so many: the same page, "Batch"."""
VIDEO_SECOND_UNKNOWN = 700_000_000
VIDEO_SIDE = 720
"""Short side of a clip where the request names no size (openai SDK, `video_create_params`)."""
VIDEO_SECONDS, VEO_SECONDS = 4, 8
"""Length of a clip where the request names none (openai SDK, `video_create_params`; Google's guide to Veo)."""

PAGES, MOST_PAGES = 10, 1_000
"""Of a document whose pages the request does not number: an estimate, and the most that Mistral's OCR reads."""

TRAINING_TOKENS = 1_000_000
"""Trained tokens of a fine-tuning job, an estimate: what a file holds is not seen here."""
TRAINING_MTOK: tuple[tuple[str, int], ...] = (
    ("gpt-4.1-nano", 1_500_000_000),
    ("gpt-4.1-mini", 5_000_000_000),
    ("gpt-4o-mini", 3_000_000_000),
    ("gpt-3.5", 8_000_000_000),
    ("gpt-4", 25_000_000_000),
    ("o4-mini", 100_000_000_000),
)
"""Nano-dollars for a million trained tokens (o4-mini: an hour)."""
TRAINING_SOURCE = f'{PAGE}, "Fine-tuning", 2026-11'
TRAINING_UNKNOWN = 25_000_000_000

BATCH_LINES = 100
"""Requests of a batch whose input file was not seen, an estimate."""
AGENT_CALLS = 10
"""Model calls of a run or session at the provider, or minutes of one that is billed by the second, an estimate."""

SPEECH_TOKENS_PER_CHARACTER = 1.4
"""Audio tokens that a character becomes: 1,250 tokens a minute (OpenAI's $0.015 a minute for gpt-4o-mini-tts at $12 a
million), about 900 characters of English a minute."""

LIVE_SECONDS = 60
"""Of a session that is billed by the second: what is held at once, and booked at once."""

UNSEEN_CHARACTERS = 4_096
"""Of a text to speak that is not seen: the most that OpenAI takes."""

_BYTES_PER_SECOND, _BYTES_PER_SECOND_BOUND = 8_000, 2_000
"""Of a recording whose length is not read: 64 kbit/s expected, 16 kbit/s at least."""
AUDIO_TOKENS_PER_SECOND = 10
"""OpenAI's transcription models: about 600 tokens a minute (its $0.006 a minute at $10 a million)."""


def image_output(body: Mapping[str, Any], *, bound: bool) -> int:
    """Output tokens of the images that a request asks for; `auto` and unknown qualities are the dearest known."""
    quality = body.get("quality")
    square, other = IMAGE_TOKENS.get(quality if isinstance(quality, str) else "", IMAGE_TOKENS["high"])
    one = square if body.get("size") == "1024x1024" and not bound else other
    partial = body.get("partial_images")
    return one + (partial * PARTIAL_IMAGE_TOKENS if isinstance(partial, int) and partial > 0 else 0)


def per_image(model: str, body: Mapping[str, Any]) -> int | None:
    """Nano-dollars of one image of a model that is billed by the image; None for those billed by tokens."""
    google = next((nanos for family, nanos in IMAGEN if model.startswith(family)), None)
    if google is not None:
        return google
    name = f"{model}-hd" if body.get("quality") == "hd" else model
    found = PER_IMAGE.get(name) or PER_IMAGE.get(model)
    return None if found is None else found[body.get("size") not in (None, "1024x1024", "512x512", "256x256")]


def video(model: str, body: Mapping[str, Any]) -> int:
    """Nano-dollars of a clip: its seconds at the model's rate for its size, the dearest where that is not known.

    Half of that in a batch (`service_tier`).
    """
    usual = VEO_SECONDS if model.startswith("veo-") else VIDEO_SECONDS
    try:
        seconds = min(max(int(str(body.get("seconds") or usual)), 1), 3_600)
    except ValueError:
        seconds = usual
    rates = next((rates for family, rates in VIDEO_SECOND if model.startswith(family)), None)
    each = VIDEO_SECOND_UNKNOWN if rates is None else rates.get(_short_side(body.get("size"))) or max(rates.values())
    return -(-seconds * each // (BATCH_SHARE if body.get("service_tier") == "batch" else 1))


_SIDES: Mapping[object, int] = {"720p": 720, "1080p": 1_080, "4k": 2_160}
"""What Google calls them."""


def _short_side(size: object) -> int:
    """Of a size as `1280x720`; 0 where it cannot be read, which no model has."""
    if size is None:
        return VIDEO_SIDE
    if size in _SIDES:
        return _SIDES[size]
    sides = str(size).split("x")
    return min(map(int, sides)) if len(sides) == 2 and all(side.isdecimal() for side in sides) else 0  # noqa: PLR2004


def training(model: str, tokens: int = TRAINING_TOKENS) -> int:
    """Nano-dollars of a fine-tuning job that trains on so many tokens; by an estimate of them."""
    rate = next((rate for family, rate in TRAINING_MTOK if model.startswith(family)), TRAINING_UNKNOWN)
    return -(-rate * tokens // 1_000_000)


def recording_seconds(files: object, *, bound: bool) -> int:
    """Length of the recordings in a multipart request, in whole seconds: a WAV's by its header, else by its size."""
    return sum(_seconds(content, bound=bound) for content in contents(files)) or 1


def contents(files: object) -> list[object]:
    """The contents in the openai SDK's `options.files`: a mapping or pairs, of a file or (name, file, …)."""
    pairs: Sequence[Any] = (
        list(cast("Mapping[str, Any]", files).values())
        if isinstance(files, Mapping)
        else [pair[1] for pair in cast("Sequence[Any]", files or ())]
    )
    return [one[1] if isinstance(one, tuple) else one for one in pairs]


def _seconds(content: object, *, bound: bool) -> int:
    head, size = _head(content)
    rate = _BYTES_PER_SECOND_BOUND if bound else _BYTES_PER_SECOND
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and len(head) >= _WAV_HEAD:
        rate = struct.unpack_from("<I", head, 28)[0] or rate  # bytes a second, "WAVEFORMATEX.nAvgBytesPerSec"
    return -(-size // rate)


_WAV_HEAD = 32


def _head(content: object) -> tuple[bytes, int]:
    """The first bytes and the size of a file as the SDK takes it; a stream is left where it stands."""
    if isinstance(content, bytes | bytearray):
        return bytes(content[:_WAV_HEAD]), len(content)
    stream = cast("Any", content)
    try:
        here = stream.tell()
        head = stream.read(_WAV_HEAD)
        stream.seek(0, 2)
        end = stream.tell()
        stream.seek(here)
    except (AttributeError, OSError, ValueError):
        return b"", 0
    return head if isinstance(head, bytes) else b"", end - here
