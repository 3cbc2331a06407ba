"""The table of endpoints: every request that the two SDKs can make stands in it, walked from the SDKs' own source."""

import importlib
import re
from pathlib import Path

import pytest

from agent_fuse.endpoints import ENDPOINTS, UNKNOWN, endpoint_of
from agent_fuse.quoting.unit_quotes import UNIT_QUOTES

SENDS = re.compile(r"self\._(post|put|patch)\(\s*(?:path_template\(\s*)?f?([\"'])(.*?)\2", re.DOTALL)
CALLS = re.compile(r"self\._(?:post|put|patch)\(")
BY_TOKENS = {"chat", "responses", "messages", "text_completion", "embeddings"}


def requests_of(sdk: str) -> set[tuple[str, str]]:
    """Method and path of everything that an SDK's resources send and that may create something."""
    found: set[tuple[str, str]] = set()
    folder = Path(str(importlib.import_module(sdk).__file__)).parent / "resources"
    for source in folder.rglob("*.py"):
        text = source.read_text()
        sent = SENDS.findall(text)
        assert len(sent) == len(CALLS.findall(text)), f"{source.name} sends in a way that this test does not read"
        found |= {(method, re.sub(r"\{[^}]*\}", "abc", path)) for method, _, path in sent}
    assert len(found) > 50
    return found


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_every_request_of_the_sdk_is_in_the_table(sdk: str) -> None:
    """A resource method that is new in an SDK fails here until someone has said what it costs, or why it is free."""
    found = {(method, path): endpoint_of(method, path, sdk) for method, path in requests_of(sdk)}
    assert {request for request, row in found.items() if row is not None and row.operation == UNKNOWN} == set()
    assert {method for method, _ in found} == {"post"}


def test_every_row_is_priced_or_says_why_it_is_free() -> None:
    """No row is silent, none says both, and every priced operation has a quote."""
    for row in ENDPOINTS:
        assert bool(row.operation) != bool(row.free), row
        assert not row.operation or row.operation in BY_TOKENS | set(UNIT_QUOTES), row


@pytest.mark.parametrize(
    ("provider", "url", "operation"),
    [
        ("openai", "/threads/t1/messages", ""),
        ("openai", "/v1/threads/t1/messages", ""),
        ("", "https://host.invalid/v1/threads/t1/messages", ""),
        ("openai", "/threads/runs", "run"),
        ("openai", "/threads/abc", ""),
        ("openai", "/rerank", UNKNOWN),
        ("openai", "/secret/files", UNKNOWN),
        ("openai", "/openai/deployments/d/images/generations?api-version=1", "image"),
        ("openai", "https://gateway.invalid/team-a/llm/chat/completions", "chat"),
        ("anthropic", "/v1/messages?beta=true", "messages"),
        ("anthropic", "https://gateway.invalid/anthropic/v1/messages", "messages"),
        ("anthropic", "/v1/messages/batches/b1/cancel", ""),
        ("anthropic", "/v1/rerank", UNKNOWN),
        ("anthropic", "/v1/compliance/review/cases/c1/respond", ""),
        ("anthropic", "/v1/user_profiles/u1/providers/google/data_controls", ""),
        ("anthropic", "/v1/organizations/external_storage/e1/activate", ""),
    ],
)
def test_paths_are_matched_whole_and_by_provider(provider: str, url: str, operation: str) -> None:
    """A path that merely ends like a priced or a free one of another provider is not taken for it."""
    row = endpoint_of("post", url, provider)
    assert row is not None
    assert row.operation == operation


def test_what_creates_nothing_costs_nothing() -> None:
    """Fetching, listing and deleting are no calls."""
    assert endpoint_of("get", "/responses/r1", "openai") is None
    assert endpoint_of("delete", "/chat/completions/c1", "openai") is None
