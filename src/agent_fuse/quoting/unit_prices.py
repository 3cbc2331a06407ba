"""What one unit costs of what is not billed by the tokens of a text, listed by model: images, video, training."""

from dataclasses import dataclass

from agent_fuse.quoting import units
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.rates import PICOS_PER_NANO, Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrice:
    """The price of one unit."""

    unit: str
    """Such as `an image, 1024x1024`."""
    nanos: int
    """Nano-dollars."""
    source: str


def unit_prices(model: str, rates: Rates) -> list[UnitPrice]:
    """The prices by the unit that calls of a model are quoted at (`unit_quotes`); none for a model of text."""
    name = bare(model)
    return [*_images(name), *_drawn(name, rates), *_video(name), *_training(name)]


def _images(name: str) -> list[UnitPrice]:
    if name.startswith("imagen-"):
        nanos = units.per_image(name, {})
        return [] if nanos is None else [UnitPrice(unit="an image", nanos=nanos, source=units.IMAGEN_SOURCE)]
    return [
        UnitPrice(
            unit=f"an image{' in hd' if quality == 'hd' else ''} of {size}", nanos=nanos, source=units.PER_IMAGE_SOURCE
        )
        for quality in ("standard", "hd")
        if quality == "standard" or f"{name}-hd" in units.PER_IMAGE
        for size in ("1024x1024", "1792x1024")
        if (nanos := units.per_image(name, {"quality": quality, "size": size})) is not None
    ]


def _drawn(name: str, rates: Rates) -> list[UnitPrice]:
    """Of a model that draws by tokens: what those of one image come to."""
    if not name.startswith(units.DRAWS):
        return []
    each = rates.tiers[0].output
    return [
        UnitPrice(
            unit=f"an image of {quality} quality, {shape}",
            nanos=-(-tokens * each // PICOS_PER_NANO),
            source=units.IMAGE_SOURCE,
        )
        for quality, both in units.IMAGE_TOKENS.items()
        for shape, tokens in zip(("square", "not square"), both, strict=True)
    ]


def _video(name: str) -> list[UnitPrice]:
    found = next((sides for family, sides in units.VIDEO_SECOND if name.startswith(family)), None)
    return [
        UnitPrice(
            unit=f"a second of video at {side}p",
            nanos=nanos,
            source=units.VEO_SOURCE if name.startswith("veo-") else units.VIDEO_SOURCE,
        )
        for side, nanos in (found or dict[int, int]()).items()
    ]


_NOT_TRAINED = ("audio", "realtime", "search", "transcribe", "tts", "gpt-4-turbo", "gpt-4-32k", "gpt-4.5", "research")
"""Words in names of a family that is fine-tuned by which one is not (OpenAI's guide "Fine-tuning", 2026-11)."""


def _training(name: str) -> list[UnitPrice]:
    found = next((nanos for family, nanos in units.TRAINING_MTOK if name.startswith(family)), None)
    if found is None or any(word in name for word in _NOT_TRAINED):
        return []
    return [UnitPrice(unit="a million trained tokens", nanos=found, source=units.TRAINING_SOURCE)]
