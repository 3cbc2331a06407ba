"""Tables: names that are cut stay told apart, and no name is wider than its column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from agent_fuse.cli.tables import shorten


@pytest.mark.parametrize(
    "names",
    [
        ["customer-support-triage-eu", "customer-support-triage-us"],
        ["support-7421", "support-7422", "support-7423"],
        ["eu-west-customer-support", "us-west-customer-support"],
        ["a-team-of-agents-red-in-the-office", "a-team-of-agents-blu-in-the-office", "a-team-of-agents-in-the-office"],
        ["チャット-エージェント-一", "チャット-エージェント-二"],
    ],
)
@pytest.mark.parametrize("width", [6, 7, 8, 11])
def test_names_stay_told_apart(names, width):
    """Names that begin alike, end alike, or differ in the middle only are told apart in a narrow column."""
    shown = shorten(names, width)
    assert len(set(shown.values())) == len(names)
    assert max(map(cell_len, shown.values())) <= width


def test_what_fits_is_left_alone():
    """A name that fits is whole, and one that does not is cut at its end where that tells it from the others."""
    assert shorten(["short", "a longer name"], 8) == {"short": "short", "a longer name": "a longe…"}


@given(st.sets(st.text(min_size=1, max_size=20), max_size=8), st.integers(6, 16))
def test_never_wider_than_its_column(names, width):
    """Whatever the names, none is wider than its column, and none is lost."""
    shown = shorten(names, width)
    assert set(shown) == names
    assert all(cell_len(text) <= width for text in shown.values())
