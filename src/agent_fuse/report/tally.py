"""The tally: one pass over the journal, summed by model, agent, session, tool, reason and time, in bounded memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent_fuse.ledgers.reading import TOOL, Fact

_STEPS = (60, 300, 900, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 7 * 86_400, 28 * 86_400)
_MOST_STEPS = 96
_GROUPS = 50_000

_Key = tuple[int, str, str, str, str, str, bool, str]


@dataclass(slots=True)
class ReportLine:
    """Sums of some calls. `cost` and `saved` are nano-dollars."""

    calls: int = 0
    """Booked model calls."""
    tool_calls: int = 0
    refused: int = 0
    cost: int = 0
    saved: int = 0
    """Refused calls at their quote; a call that was tried again and refused again counts again."""
    estimated: int = 0
    """Nano-dollars of `cost` booked without a reported figure."""
    fees: int = 0
    """Nano-dollars of `cost` that are no tokens."""
    input_tokens: int = 0
    output_tokens: int = 0

    def add(
        self, *, status: str, is_tool: bool, count: int, cost: int, fee: int, tokens_in: int, tokens_out: int
    ) -> None:
        """Add so many calls of one kind."""
        if status == "refused":
            self.refused += count
            self.saved += cost
            return
        if is_tool:
            self.tool_calls += count
        else:
            self.calls += count
        self.cost += cost
        self.fees += fee
        self.input_tokens += tokens_in
        self.output_tokens += tokens_out
        if status != "settled":
            self.estimated += cost


@dataclass(slots=True)
class Loop:
    """A loop that was cut: refusals of one tool in one session."""

    count: int = 0
    first: float = 0.0
    """Seconds, UTC epoch."""
    last: float = 0.0


Lines = dict[str, ReportLine]


@dataclass(slots=True)
class ReportTally:
    """All sums of one report. Buckets of time are `step` seconds long and named by their start, UTC epoch."""

    step: int
    total: ReportLine = field(default_factory=ReportLine)
    models: Lines = field(default_factory=dict[str, ReportLine])
    agents: Lines = field(default_factory=dict[str, ReportLine])
    sessions: Lines = field(default_factory=dict[str, ReportLine])
    tools: Lines = field(default_factory=dict[str, ReportLine])
    reasons: Lines = field(default_factory=dict[str, ReportLine])
    spend: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    """Nano-dollars by bucket and model."""
    refusals: dict[int, int] = field(default_factory=dict[int, int])
    """Refused calls by bucket."""
    loops: dict[tuple[str, str, str], Loop] = field(default_factory=dict[tuple[str, str, str], Loop])
    """By session, agent, tool."""

    def add_all(self, facts: Iterable[Fact]) -> None:
        """Add lines. Equal ones are grouped first, at most so many groups at a time: memory stays bounded."""
        groups: dict[_Key, list[int]] = {}
        step = self.step
        for fact in facts:
            _, at, status, session, agent, model, operation, tool, cost, tokens_in, tokens_out, reason, fee = fact
            if status == "would_refuse":
                continue  # the call itself has a line
            key = (int(at // step), session, agent, model, tool, status, operation == TOOL, reason)
            found = groups.get(key)
            if found is None:
                if len(groups) >= _GROUPS:
                    self._take(groups)
                    groups.clear()
                groups[key] = [1, cost, tokens_in or 0, tokens_out or 0, fee]
            else:
                found[0] += 1
                found[1] += cost
                found[2] += tokens_in or 0
                found[3] += tokens_out or 0
                found[4] += fee
            if status == "refused" and reason == "loop":
                loop = self.loops.setdefault((session, agent, tool), Loop(first=at))
                loop.count += 1
                loop.last = at
        self._take(groups)

    def _take(self, groups: dict[_Key, list[int]]) -> None:
        for (bucket, session, agent, model, tool, status, is_tool, reason), sums in groups.items():
            count, cost, tokens_in, tokens_out, fee = sums
            lines = [self.total, _line(self.sessions, session), _line(self.agents, agent)]
            lines.append(_line(self.tools, tool) if is_tool else _line(self.models, model))
            at = bucket * self.step
            if status == "refused":
                lines.append(_line(self.reasons, reason))
                self.refusals[at] = self.refusals.get(at, 0) + count
            elif cost:
                spent = self.spend.setdefault(at, {})
                spent[model] = spent.get(model, 0) + cost
            for line in lines:
                line.add(
                    status=status,
                    is_tool=is_tool,
                    count=count,
                    cost=cost,
                    fee=fee,
                    tokens_in=tokens_in,
                    tokens_out=tokens_out,
                )


def step_for(first: float, last: float) -> int:
    """Length of the time buckets, seconds, for lines from `first` to `last`: at most 97 of them."""
    for step in _STEPS:
        if int(last // step) - int(first // step) < _MOST_STEPS:
            return step
    return _STEPS[-1] * (int((last - first) / _STEPS[-1] / _MOST_STEPS) + 1)


def _line(lines: Lines, name: str) -> ReportLine:
    found = lines.get(name)
    if found is None:
        found = lines[name] = ReportLine()
    return found
