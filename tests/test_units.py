"""Prices of what is billed by something else than tokens, as their makers publish them."""

import pytest

from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quoter
from agent_fuse.quoting import units

CENT = 10_000_000


@pytest.mark.parametrize(
    ("model", "size", "cents"),
    [
        ("sora-2", None, 10),
        ("sora-2", "720x1280", 10),
        ("sora-2", "1920x1080", 10),
        ("sora-2-pro", None, 30),
        ("sora-2-pro-2025-10-06", "1280x720", 30),
        ("sora-2-pro", "1024x1792", 50),
        ("sora-2-pro", "1792x1024", 50),
        ("sora-2-pro", "1080x1920", 70),
        ("sora-2-pro", "1920x1080", 70),
        ("sora-2-pro", "3840x2160", 70),
        ("sora-2-pro", "large", 70),
        ("sora-9", "720x1280", 70),
    ],
)
def test_video_by_the_second(model, size, cents):
    """By the size that is asked for, 720p where none is; a size or model that is not known is the dearest."""
    assert units.video(model, {"seconds": "8", "size": size}) == 8 * cents * CENT


def test_a_live_session_elsewhere_is_held_at_ten_minutes():
    """Its model stands in what the session is asked to be; one that is billed by tokens is held at ten calls."""
    quoter = Quoter(PriceBook())
    live = quoter.for_body("openai", None, "agent", {"session": {"model": "gpt-live-1"}, "transport": {}})
    calls = quoter.for_body("openai", None, "agent", {"session": {"model": "gpt-4o-mini"}})
    assert (round(live.cost / 10**9, 6), live.model) == (0.5, "gpt-live-1")
    assert calls.cost == 10 * (4_000 * 150 + 1_000 * 600)
