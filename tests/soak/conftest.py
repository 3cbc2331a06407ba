"""Ledgers that storms rage around."""

import pytest


@pytest.fixture
def server_url(postgres):
    """An empty database of one that may not."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    """An empty ledger of either kind."""
    return str(tmp_path / "ledger.db") if request.param == "sqlite" else request.getfixturevalue("server_url")
