"""The report: one self-contained HTML file of what agents spent, and of what was stopped."""

from collections.abc import Mapping

from agent_fuse.ledgers.reading import Reader
from agent_fuse.report.page import Report, page
from agent_fuse.report.tally import Tally, step_for
from agent_fuse.views.standing import known_caps, standings

__all__ = ["Report", "gather", "page"]

_LIMITS_SHOWN = 20


def gather(reader: Reader, environ: Mapping[str, str], *, now: float, since: float = 0.0) -> Report:
    """Sum up the journal from `since` (seconds, UTC epoch) on, in one pass. Raises LedgerError, ConfigurationError."""
    first, last = reader.times(since) or (0.0, 0.0)
    tally = Tally(step_for(first, last))
    tally.add_all(reader.facts(since))
    return Report(
        ledger=reader.path.name,
        made_at=now,
        first=first,
        last=last,
        tally=tally,
        limits=standings(reader, known_caps(reader, environ), limit=_LIMITS_SHOWN).shown,
    )
