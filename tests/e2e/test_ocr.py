"""Documents read by Mistral's SDK: quoted and booked by the page, those that fill a schema at their own price."""

from collections.abc import Iterator
from typing import Any

import pytest
from mistralai.client import Mistral

from agent_fuse import SentinelBudgetExceeded, init
from alone import leave_nobody

from .hosts import Asked, Told, host

MODEL = "mistral-ocr-4-1"
DOCUMENT = {"type": "document_url", "document_url": "https://host.invalid/a.pdf"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


def read(asked: Asked) -> Told:
    """Three pages, whatever it is given."""
    del asked
    return Told({"pages": [], "model": MODEL, "usage_info": {"pages_processed": 3, "doc_size_bytes": 9}})


@pytest.fixture
def served() -> Iterator[tuple[str, list[Asked]]]:
    leave_nobody()
    with host(read) as one:
        yield one


@pytest.fixture
def ocr(served: tuple[str, list[Asked]]) -> Any:
    return Mistral(api_key="x", server_url=served[0]).ocr


@pytest.mark.parametrize(
    ("asked", "thousand"),
    [({}, 4), ({"document_annotation_format": SCHEMA}, 5), ({"bbox_annotation_format": SCHEMA}, 5)],
)
def test_pages_are_booked_as_they_were_read(
    ocr: Any, served: Any, tmp_path: Any, asked: dict[str, Any], thousand: int
) -> None:
    """At $4 for a thousand, and $5 where a schema is filled too; the next document does not leave."""
    fuse = init(budget="0.0501", db_path=str(tmp_path / "ledger.db")).fuse
    ocr.process(model=MODEL, document=DOCUMENT, **asked)
    (entry,) = fuse.ledger.journal()
    assert (entry.cost, entry.model) == (3 * thousand * 1_000_000, MODEL)
    with pytest.raises(SentinelBudgetExceeded):
        ocr.process(model=MODEL, document=DOCUMENT, pages=list(range(12)), **asked)
    assert len(served[1]) == 1


@pytest.mark.parametrize(
    ("document", "pages", "quoted"),
    [
        (DOCUMENT, [0, 4], 2),
        (DOCUMENT, None, 10),
        ({"type": "image_url", "image_url": "https://host.invalid/a"}, None, 1),
    ],
)
def test_pages_are_quoted_as_they_are_asked_for(
    ocr: Any, tmp_path: Any, document: dict[str, Any], pages: list[int] | None, quoted: int
) -> None:
    """Those that are numbered; ten of a document of which nothing is known, one of an image."""
    fuse = init(budget=0, db_path=str(tmp_path / "ledger.db")).fuse
    with pytest.raises(SentinelBudgetExceeded):
        ocr.process(model=MODEL, document=document, pages=pages)
    (entry,) = fuse.ledger.journal()
    assert entry.cost == quoted * 4_000_000
