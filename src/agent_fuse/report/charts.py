"""The charts, drawn by hand in SVG: spend over time by model, and the refusals beneath."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agent_fuse.report.tally import ReportTally
from agent_fuse.report.words import count, day, money, safe

HEIGHT = 294
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 16, 42
STRIP, ABOVE_STRIP = 64, 26
COLOURED = 5
"""Models with a colour of their own; the others share grey."""
OTHERS = "other models"

_SMALLEST = 4
"""Nano-dollars at the top of the scale where less was spent, or nothing: a whole one for each tick."""
_DAY = 86_400
_BETWEEN = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, _DAY, 2 * _DAY)
"""Round lengths of time between two labels, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """One size to draw at: its text keeps its size, so that a phone shows it all and it can be read."""

    kind: str
    """The class that shows it where it fits."""
    width: int
    labels: int
    """Most labels of the axis of time."""

    @property
    def right(self) -> int:
        """Where the axes end."""
        return self.width - RIGHT


CANVASES = (Canvas(kind="wide", width=960, labels=8), Canvas(kind="slim", width=360, labels=3))


def coloured(tally: ReportTally) -> list[str]:
    """The models that have a colour, dearest first."""
    dear = sorted(tally.models.items(), key=lambda one: (-one[1].cost, one[0]))
    return [model for model, line in dear[:COLOURED] if line.cost]


def over_time(tally: ReportTally, first: float, last: float) -> str:
    """Bars of spend, stacked by model, and bars of refused calls on the same axis of time."""
    start = int(first // tally.step) * tally.step
    buckets = list(range(start, int(last // tally.step) * tally.step + 1, tally.step))
    models = coloured(tally)
    stacks = [_stack(tally.spend.get(bucket, {}), models) for bucket in buckets]
    refusals = [tally.refusals.get(bucket, 0) for bucket in buckets]
    strip = STRIP if any(refusals) else 0
    ticks = _ticks(max([*(sum(stack) for stack in stacks), _SMALLEST]))
    telling = [_told(*one, models) for one in zip(buckets, stacks, refusals, strict=True)]

    def drawn(canvas: Canvas) -> str:
        width = (canvas.right - LEFT) / len(buckets)
        parts = [_grid(ticks, canvas.right)]
        for place, stack in enumerate(stacks):
            x = LEFT + place * width
            bars = _bars(x, width, stack, ticks[-1])
            if refusals[place]:
                bars += _refused(x, width, refusals[place], max(refusals))
            if bars:
                parts.append(f"<g><title>{safe(telling[place])}</title>{bars}</g>")
        parts.append(_times(buckets, tally.step, width, canvas, HEIGHT - BOTTOM + 18 + strip))
        if strip:
            base = HEIGHT - BOTTOM + strip
            parts.append(f'<line class="axis" x1="{LEFT}" x2="{canvas.right}" y1="{base}" y2="{base}"/>')
            for y, number in ((base + 4, 0), (base - STRIP + ABOVE_STRIP + 4, max(refusals))):
                parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y}" text-anchor="end">{number:,}</text>')
        return (
            f'<svg class="chart {canvas.kind}" role="img" aria-labelledby="chart-{canvas.kind}" '
            f'viewBox="0 0 {canvas.width} {HEIGHT + strip}">'
            f'<title id="chart-{canvas.kind}">{safe(told)}</title>{"".join(parts)}</svg>'
        )

    peak = max(range(len(buckets)), key=lambda place: sum(stacks[place]))
    told = (
        f"Spend over time in steps of {_length(tally.step)}. The most was {money(sum(stacks[peak]))}, "
        f"in the step from {day(buckets[peak])} UTC. {count(sum(refusals), 'call was', 'calls were')} refused."
    )
    return f"{''.join(map(drawn, CANVASES))}{_legend(tally, models, strip > 0)}"


def _stack(spent: Mapping[str, int], models: Sequence[str]) -> list[int]:
    own = [spent.get(model, 0) for model in models]
    return [*own, sum(spent.values()) - sum(own)]


def _ticks(most: int) -> list[int]:
    """Round figures from zero to at least `most` nano-dollars, four or five of them."""
    rough = most / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next((factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough), 10 * size)
    return [round(step * number) for number in range(math.ceil(most / step) + 1)]


def _height(amount: int, most: int) -> float:
    return amount / most * (HEIGHT - TOP - BOTTOM)


def _grid(ticks: Sequence[int], right: int) -> str:
    parts: list[str] = []
    for tick in ticks:
        y = HEIGHT - BOTTOM - _height(tick, ticks[-1])
        kind = "grid" if tick else "axis"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick, ticks[1])}</text>'
        )
    return "".join(parts)


def _tick(nanos: int, step: int) -> str:
    usd = nanos / 1e9
    digits = 0 if step >= 10**9 and step % 10**9 == 0 else max(2, -math.floor(math.log10(step / 1e9)))
    return f"${usd:,.{digits}f}" if nanos else "$0"


def _bars(x: float, width: float, stack: Sequence[int], most: int) -> str:
    parts: list[str] = []
    y = float(HEIGHT - BOTTOM)
    for colour, amount in enumerate(stack):
        if amount:
            height = _height(amount, most)
            y -= height
            parts.append(
                f'<rect class="c{colour if colour < len(stack) - 1 else "x"}" x="{x + width * 0.1:.1f}" y="{y:.1f}" '
                f'width="{width * 0.8:.1f}" height="{max(height, 0.5):.1f}"/>'
            )
    return "".join(parts)


def _refused(x: float, width: float, number: int, most: int) -> str:
    height = max(number / most * (STRIP - ABOVE_STRIP), 2)
    y = HEIGHT - BOTTOM + STRIP - height
    return (
        f'<rect class="refused" x="{x + width * 0.1:.1f}" y="{y:.1f}" width="{width * 0.8:.1f}" height="{height:.1f}"/>'
    )


def _told(bucket: int, stack: Sequence[int], refused: int, models: Sequence[str]) -> str:
    lines = [f"from {day(bucket)} UTC", f"{money(sum(stack))} spent"]
    names = [*models, OTHERS]
    lines += [f"{names[place]}: {money(amount)}" for place, amount in enumerate(stack) if amount]
    return "\n".join([*lines, *([count(refused, "refused call")] if refused else [])])


def _times(buckets: Sequence[int], step: int, width: float, canvas: Canvas, y: float) -> str:
    """Labels at round times: the time of day, and beneath it the date where it is another than that of the last."""
    length = buckets[-1] - buckets[0]
    most = max(length // canvas.labels, 1)
    between = next((one for one in _BETWEEN if one >= most and one % step == 0), -(-most // step) * step)
    places = [place for place, bucket in enumerate(buckets) if bucket % between == 0] or [0]
    parts: list[str] = []
    shown_day = ""
    for place in places:
        moment = datetime.fromtimestamp(buckets[place], UTC)
        date, x = f"{moment.day} {moment:%b}", LEFT + place * width
        first = date if between >= _DAY else f"{moment:%H:%M}"
        lines = [first] if date in {first, shown_day} else [first, date]
        shown_day = date
        spans = "".join(f'<tspan x="{x:.1f}" dy="{14 * row}">{line}</tspan>' for row, line in enumerate(lines))
        parts.append(f'<text class="tick" y="{y}" text-anchor="middle">{spans}</text>')
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 18}" y2="{y - 14}"/>')
    return "".join(parts)


def _length(step: int) -> str:
    for size, word in ((_DAY, "day"), (3_600, "hour"), (60, "minute")):
        if step >= size:
            return count(step // size, word)
    return count(step, "second")


def _legend(tally: ReportTally, models: Sequence[str], refused: bool) -> str:
    keys = [(f"c{colour}", model or "(no model)") for colour, model in enumerate(models)]
    if sum(tally.models[model].cost for model in models) < tally.total.cost:
        keys.append(("cx", OTHERS))
    if refused:
        keys.append(("refused", "refused calls"))
    items = "".join(f'<li><span class="key {kind}"></span>{safe(text)}</li>' for kind, text in keys)
    return f'<ul class="legend">{items}</ul>'
