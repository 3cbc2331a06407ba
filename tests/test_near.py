"""Arguments that ask for the same again: what a clock, a counter or a random id makes of them is left out."""

from datetime import date

import pytest

from agent_fuse.loops.near import near_text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"q": "Weather  in Rome"}, {"q": "weather in rome"}, True),
        ({"q": "weather in Rome"}, {"q": "weather in Oslo"}, False),
        ({"q": "x", "attempt": 1}, {"q": "x", "attempt": 2}, True),
        ({"since": 1764000001}, {"since": 1764000003}, True),
        ({"order_id": 1764000001}, {"order_id": 1764000003}, False),
        ({"order_id": "1764000001"}, {"order_id": "1764000003"}, False),
        ({"day": date(2026, 1, 1)}, {"day": date(2026, 1, 2)}, False),
        ({"in": [{"a": "x"}, "y"]}, {"in": [{"a": "x"}, "Y"]}, True),
        ({"in": [{"a": "x"}, "y"]}, {"in": [{"a": "z"}, "y"]}, False),
        ({"q": "x", "of": None}, {"q": "x"}, True),
    ],
)
def test_what_is_nearly_the_same(one, other, same):
    """A number or a text that names an object tells two calls apart, as does a value of any other kind."""
    assert (near_text(one) == near_text(other)) is same
