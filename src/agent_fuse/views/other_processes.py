"""What guarded processes told their ledger: what they cannot see or stop, and when it failed them."""

from datetime import UTC, datetime

from agent_fuse.accounting.process_notes import NOTE, ProcessNote, read
from agent_fuse.ledgers.owners import this_process
from agent_fuse.ledgers.reading import Reader
from agent_fuse.otel.facts import Fact, blind

_NAMED = 2


def told_by_processes(reader: Reader, *, now: float) -> list[Fact]:
    """Blind spots of processes other than this one, each once, with whose they are. Raises LedgerError."""
    here = this_process()
    those = [one for one in read(reader.notes(NOTE).get(NOTE), now, here) if one.owner != here]
    spots: dict[tuple[str, str], list[ProcessNote]] = {}
    for one in those:
        for spot in one.spots:
            spots.setdefault(spot, []).append(one)
    found = [blind(f"{_whose(of)}: {what}", fix) for (what, fix), of in spots.items()]
    for one in those:
        if one.failed_at:
            at = datetime.fromtimestamp(one.failed_at, UTC)
            what = f"{one.where}: the ledger failed it last at {at:%H:%M:%S} (UTC), in {one.failed}"
            found.append(blind(what, "see its log; agent-fuse ledger check tells what is wrong with a ledger"))
    return found


def _whose(of: list[ProcessNote]) -> str:
    named = " and ".join(one.where for one in of[:_NAMED])
    return named if len(of) <= _NAMED else f"{of[0].where} and {len(of) - 1} more processes"
