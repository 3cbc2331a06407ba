"""What a session spent, told apart: by model, agent or tool, or by the sessions inside it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agent_fuse.accounting.children import children_of
from agent_fuse.calls import Entry, to_usd
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.kinds import scheme_of
from agent_fuse.ledgers.reading import Selection, open_reader
from agent_fuse.limits import Session

By = Literal["model", "agent", "tool", "child"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One part of what a session spent."""

    usd: Decimal
    calls: int
    """Model calls; of a tool, its runs."""
    input_tokens: int
    output_tokens: int


def spent_by(fuse: Fuse, session: str, by: By, known: Iterable[Session]) -> Mapping[str, Spent]:
    """By name, the dearest first. Sessions inside are those that the ledger has noted, of any process, and the `known`.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    here: dict[str, set[str]] = defaultdict(set)
    for one in known:
        if one.parent is not None:
            here[one.parent.id].add(one.id)
    if scheme_of(fuse.settings.db_path) == "memory":
        found = _spent(session, by, here.__getitem__, lambda those: _among(fuse.ledger.journal(), those))
    else:
        with open_reader(fuse.settings.db_path) as reader:
            found = _spent(
                session,
                by,
                lambda outer: here[outer] | set(children_of(reader, outer)),
                lambda those: (line for one in sorted(those) for line in reader.entries(Selection(session=one))),
            )
    return dict(sorted(found.items(), key=lambda one: (-one[1].usd, one[0])))


def _spent(
    session: str, by: By, inside: Callable[[str], set[str]], entries: Callable[[set[str]], Iterable[Entry]]
) -> dict[str, Spent]:
    if by != "child":
        return _parts(entries(_with_all_inside(session, inside)), by)
    parts = {child: _parts(entries(_with_all_inside(child, inside)), "session") for child in inside(session)}
    return {child: _whole(part.values()) for child, part in parts.items() if part}


def _with_all_inside(session: str, inside: Callable[[str], set[str]]) -> set[str]:
    found, left = {session}, [session]
    while left:
        more = inside(left.pop()) - found
        found |= more
        left += more
    return found


def _among(entries: Iterable[Entry], sessions: set[str]) -> Iterator[Entry]:
    return (one for one in entries if one.session in sessions)


def _parts(entries: Iterable[Entry], by: str) -> dict[str, Spent]:
    figures: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one in entries:
        name: str = getattr(one, by)
        if one.status.is_booked and (name or by != "tool") and not (one.tool and by == "model"):
            counts = not one.tool or by == "tool"
            more = (one.cost, int(counts), one.input_tokens or 0, one.output_tokens or 0)
            figures[name] = [sum(pair) for pair in zip(figures[name], more, strict=True)]
    return {
        name: Spent(usd=to_usd(cost), calls=calls, input_tokens=given, output_tokens=made)
        for name, (cost, calls, given, made) in figures.items()
    }


def _whole(parts: Iterable[Spent]) -> Spent:
    parts = list(parts)
    return Spent(
        usd=sum((one.usd for one in parts), Decimal(0)),
        calls=sum(one.calls for one in parts),
        input_tokens=sum(one.input_tokens for one in parts),
        output_tokens=sum(one.output_tokens for one in parts),
    )
