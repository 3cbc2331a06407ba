"""Input files of batches (OpenAI) that were seen as they were uploaded: what their lines may cost, each a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from agent_fuse import foreign_text
from agent_fuse.endpoints import OPENAI, endpoint_of
from agent_fuse.quoting.quote import Quote
from agent_fuse.quoting.units import contents

LINES_QUOTED = 1_000
"""Lines quoted one by one; the rest are taken to be like them, by their bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFile:
    """What a batch of a file may cost, at the batch price."""

    input_tokens: int
    output_tokens: int
    cost: int
    """Nano-dollars."""


class _Quotes(Protocol):
    def __call__(self, provider: str, model: None, operation: str, body: Mapping[str, Any]) -> Quote: ...


def upload_of(method: str, url: str, body: object) -> bytes | None:
    """The file of a request that uploads the input of a batch; None for others, and where it cannot be read twice."""
    if method.lower() != "post" or not url.partition("?")[0].rstrip("/").endswith("files"):
        return None
    told: Mapping[str, Any] = cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}
    if told.get("purpose") != "batch":
        return None
    return next((found for one in contents(told.get("file")) if (found := _whole(one)) is not None), None)


def quote_file(file: bytes, quote: _Quotes) -> BatchFile | None:
    """Quote the lines of a file; None where there are none to be read."""
    lines = [line for line in file.splitlines() if line.strip()]
    quotes = [one for line in lines[:LINES_QUOTED] if (one := _quote_line(line, quote)) is not None]
    if not quotes:
        return None
    seen = sum(map(len, lines[:LINES_QUOTED]))

    def all_lines(figure: Callable[[Quote], int]) -> int:
        return -(-sum(map(figure, quotes)) * sum(map(len, lines)) // seen)

    return BatchFile(
        input_tokens=all_lines(lambda one: one.input_tokens),
        output_tokens=all_lines(lambda one: one.output_tokens),
        cost=all_lines(lambda one: one.cost),
    )


def _quote_line(line: bytes, quote: _Quotes) -> Quote | None:
    try:
        told: Any = foreign_text.read_json(line)
    except ValueError:
        return None
    body, url = (told.get("body"), told.get("url")) if isinstance(told, dict) else (None, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    row = endpoint_of("post", url, OPENAI) if isinstance(url, str) else None
    if row is None or not row.operation or not isinstance(body, dict):
        return None
    return quote(OPENAI, None, row.operation, {**cast("dict[str, Any]", body), "service_tier": "batch"})


def _whole(content: object) -> bytes | None:
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    stream = cast("Any", content)
    try:
        here = stream.tell()
        stream.seek(0)
        found = stream.read()
        stream.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return found if isinstance(found, bytes) else None
