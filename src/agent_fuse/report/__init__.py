"""The report: one self-contained HTML file of what agents spent, and of what was stopped."""

from collections.abc import Mapping

from agent_fuse.calls import Status
from agent_fuse.ledgers.reading import Reader, Selection
from agent_fuse.report.page import Report, page
from agent_fuse.report.tally import ReportTally, step_for
from agent_fuse.views.limit_status import known_caps, standings

__all__ = ["Report", "gather", "page"]

_LIMITS_SHOWN = 20
_LATEST = 50


def gather(
    reader: Reader, environ: Mapping[str, str], *, now: float, since: float = 0.0, until: float | None = None
) -> Report:
    """Sum up the journal from `since` to before `until` (seconds, UTC epoch).

    Raises:
        LedgerError, ConfigurationError: the ledger cannot be read; AGENTFUSE_BUDGET is no amount.
    """
    first, last = reader.times(since, until) or (0.0, 0.0)
    tally = ReportTally(step_for(first, last))
    tally.add_all(reader.facts(since, until))
    which = Selection(since=since, until=until, statuses=frozenset([Status.REFUSED]))
    refused = reader.refused(which)
    return Report(
        ledger=reader.name,
        made_at=now,
        first=first,
        last=last,
        tally=tally,
        limits=standings(reader, known_caps(reader, environ), now=now, limit=_LIMITS_SHOWN, refused=refused).shown,
        refused=tuple(refused),
        latest=tuple(reader.entries(which, limit=_LATEST)),
    )
