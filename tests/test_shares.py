"""The suite is shared out among workers in one way only."""

import random
from pathlib import Path

from shares import EACH, SECONDS, shares

FILES = [f"tests/{name}.py" for name in SECONDS for _ in range(20)] + [f"tests/small_{n % 70}.py" for n in range(2000)]


def test_whatever_comes_first_the_shares_are_the_same() -> None:
    """They weigh about the same, and hold every file once."""
    found = shares(FILES, 2)
    assert set(found) == set(FILES)
    mixed = random.Random(1).sample(FILES, len(FILES))
    assert shares(mixed, 2) == found
    weights = {
        share: sum(SECONDS.get(file[6:-3], FILES.count(file) * EACH) for file in found if found[file] == share)
        for share in found.values()
    }
    assert len(weights) == 2
    assert max(weights.values()) < 1.1 * min(weights.values())


def test_more_workers_than_files() -> None:
    """A file is not cut in two."""
    assert shares(["a.py", "b.py", "a.py"], 5) == {"a.py": "share 0", "b.py": "share 1"}


def test_files_that_are_named_are_there() -> None:
    """A name that is out of date weighs nothing."""
    here = Path(__file__).parent
    assert [name for name in SECONDS if not (here / f"{name}.py").exists()] == []
