"""Prices of what is billed by something else than tokens, as their makers publish them."""

import pytest

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
