"""What one test leaves standing, the next one does not find: in whichever order they run."""

import pytest
from opentelemetry import context


@pytest.mark.parametrize("turn", [1, 2])
def test_opentelemetrys_context_is_empty(turn: int) -> None:
    """Instrumentations attach to it, and do not always take out again: each of these two leaves something."""
    assert context.get_current() == {}
    context.attach(context.set_value("left behind", turn))
