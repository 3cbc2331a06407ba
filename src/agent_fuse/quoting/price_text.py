"""The bundled price data read as text: genai-prices' `data.py`, cut into models, each evaluated when it is asked for.

Importing it makes 47 providers and 2,330 models for the two or three that a process calls, and brings pydantic and an
HTTP client: 0.2 to 0.6 seconds and 25 MiB. Finding a model in its text takes some milliseconds. The file is generated,
one model a block; where it does not look so, `Unfamiliar` is raised and the library is imported after all
(docs/decisions/0013).
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent_fuse.quoting import price_list
from agent_fuse.quoting.price_list import Match, Model, Provider

_PROVIDER, _MODEL, _MODELS = "\n    Provider(\n", "\n            ModelInfo(", "\n        models=["
_EXTRACTORS, _END = "\n        extractors=[\n", "\n        ]"
_EACH = re.compile(re.escape(_MODEL))
_CLAUSE = re.compile(r"""Clause(\w+)\((?:\w+=(?:'([^'\\\x80-\xff]+)'|"([^"\\\x80-\xff]+)"))?""")
_BY_WORD = ("StartsWith", "EndsWith", "Contains", "Equals")


class Unfamiliar(Exception):
    """The data is not written the way that this module reads."""


def read() -> list[Provider]:
    """The providers of the installed data.

    Raises:
        Unfamiliar: it is not found as text, or written in another way.
    """
    spec = find_spec("genai_prices")
    places = spec.submodule_search_locations if spec is not None else None
    try:
        text = Path(next(iter(places or ("",))), "data.py").read_text(encoding="latin-1")
    except (OSError, ValueError) as error:
        raise Unfamiliar(str(error)) from error
    return parse(text)


def parse(text: str) -> list[Provider]:
    """The providers of a `data.py`, a sign a byte (Latin-1): one emoji would make all of it four times as large.

    Raises:
        Unfamiliar: it is written in another way.
    """
    starts = [found.end() for found in re.finditer(re.escape(_PROVIDER), text)]
    if not starts or text.count(_MODEL) != text.count("ModelInfo("):
        raise Unfamiliar("providers and models are not one to a block")
    return [_provider(text, *cut) for cut in pairwise([*starts, len(text)])]


def _provider(text: str, start: int, end: int) -> Provider:
    models = text.find(_MODELS, start, end)
    if models < 0:
        raise Unfamiliar("a provider without models")
    head, extractors, after = text[start:models].partition(_EXTRACTORS)
    if extractors:  # how usage is read, which is a third of the heads
        head += after.partition(_END + ",")[2]
    own = _Models(text, models, text.rfind(_END, models, end))
    found: Provider = _evaluated(f"Provider({head}\nmodels=models)", models=own)
    return found


class _Models:
    """The models of one provider: a stretch of the text until one of them may be meant. Safe in threads."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text, self._start, self._end = text, start, end
        self._known: dict[int, Model] = {}

    def find(self, name: str) -> Model | None:
        """The first model that a name means: of those with a word of the name in their text, each is asked."""
        for number, (_, may_mean) in enumerate(self._parts):
            if may_mean(name) and (model := self._model(number)).match(name):
                return model
        return None

    def __iter__(self) -> Iterator[Model]:
        return (self._model(number) for number in range(len(self._parts)))

    @cached_property
    def _parts(self) -> list[tuple[slice, Match]]:
        starts = [found.start() for found in _EACH.finditer(self._text, self._start, self._end)]
        parts = (slice(*cut) for cut in pairwise([*starts, self._end]))
        return [(part, _hint(self._text[part])) for part in parts]

    def _model(self, number: int) -> Model:
        model = self._known.get(number)
        if model is None:
            model = self._known[number] = _evaluated(self._text[self._parts[number][0]].strip().removesuffix(","))
        return model


def _hint(part: str) -> Match:
    """Whether a model can be meant by a name, by the words of its clauses; always, where they are more than words."""
    words: set[str] = set()
    for kind, one, other in _CLAUSE.findall(part):
        if kind in _BY_WORD and (one or other):
            words.add((one or other).lower())
        elif kind not in ("Or", "And"):
            return lambda _: True
    return lambda name: any(word in name for word in words)


def _provider_as_written(
    *,
    id: str,
    api_pattern: str,
    models: price_list.Models,
    pricing_urls: Sequence[str] | None = None,
    model_match: Match | None = None,
    provider_match: Match | None = None,
    fallback_model_providers: Sequence[str] | None = None,
    **told: object,
) -> Provider:
    del told
    return Provider(
        id=id,
        pricing_urls=pricing_urls or (),
        api_pattern=api_pattern,
        makes=model_match,
        is_called=provider_match,
        stands_in=fallback_model_providers or (),
        models=models,
    )


_NAMES: Mapping[str, object] = {
    "__builtins__": {},
    "datetime": dt,
    "Decimal": Decimal,
    "Provider": _provider_as_written,
    "ModelInfo": price_list.model,
    "ModelPrice": dict,
    "TieredPrices": price_list.stepped,
    "Tier": price_list.PriceStep,
    "ConditionalPrice": price_list.dated,
    "PriceVariant": price_list.dated,
    "StartDateConstraint": price_list.from_date,
    "TimeOfDateConstraint": price_list.in_hours,
    "ClauseStartsWith": price_list.starts_with,
    "ClauseEndsWith": price_list.ends_with,
    "ClauseContains": price_list.contains,
    "ClauseEquals": price_list.equals,
    "ClauseRegex": price_list.fits,
    "ClauseOr": price_list.any_of,
    "ClauseAnd": price_list.all_of,
}


def _evaluated(text: str, **more: object) -> Any:
    """What a part of the file says. It is as trusted as the package that it is a part of."""
    try:
        return eval(text.strip().encode("latin-1"), {**_NAMES, **more})  # noqa: S307 - the installed package's own source
    except Exception as error:
        raise Unfamiliar(f"{type(error).__name__}: {error}") from error
