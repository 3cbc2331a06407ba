"""The charts, drawn by hand in SVG: spend over time by model, and the refusals beneath."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from agent_fuse.report.tally import Tally
from agent_fuse.report.words import count, day, money, safe

WIDTH, HEIGHT = 960, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 16, 28
STRIP, ABOVE_STRIP = 64, 26
COLOURED = 5
"""Models with a colour of their own; the others share grey."""
OTHERS = "other models"

_MOST_LABELS = 7
_DAY = 86_400


def coloured(tally: Tally) -> list[str]:
    """The models that have a colour, dearest first."""
    dear = sorted(tally.models.items(), key=lambda one: (-one[1].cost, one[0]))
    return [model for model, line in dear[:COLOURED] if line.cost]


def over_time(tally: Tally, first: float, last: float) -> str:
    """Bars of spend, stacked by model, and bars of refused calls on the same axis of time."""
    start = int(first // tally.step) * tally.step
    buckets = list(range(start, int(last // tally.step) * tally.step + 1, tally.step))
    models = coloured(tally)
    stacks = [_stack(tally.spend.get(bucket, {}), models) for bucket in buckets]
    refusals = [tally.refusals.get(bucket, 0) for bucket in buckets]
    strip = STRIP if any(refusals) else 0
    ticks = _ticks(max([*(sum(stack) for stack in stacks), 1]))
    width = (WIDTH - LEFT - RIGHT) / len(buckets)
    parts = [_grid(ticks)]
    for place, (bucket, stack) in enumerate(zip(buckets, stacks, strict=True)):
        x = LEFT + place * width
        bars = _bars(x, width, stack, ticks[-1])
        if refusals[place]:
            bars += _refused(x, width, refusals[place], max(refusals))
        if bars:
            parts.append(f"<g><title>{safe(_told(bucket, stack, models, refusals[place]))}</title>{bars}</g>")
    parts.append(_times(buckets, width, tally.step, HEIGHT - BOTTOM + 18 + strip))
    if strip:
        base = HEIGHT - BOTTOM + strip
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
        for y, number in ((base + 4, 0), (base - STRIP + ABOVE_STRIP + 4, max(refusals))):
            parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y}" text-anchor="end">{number:,}</text>')
    peak = max(range(len(buckets)), key=lambda place: sum(stacks[place]))
    told = (
        f"Spend over time in steps of {_length(tally.step)}. The most was {money(sum(stacks[peak]))}, "
        f"in the step from {day(buckets[peak])} UTC. {count(sum(refusals), 'call was', 'calls were')} refused."
    )
    return (
        '<div class="plot" tabindex="0" role="region" aria-label="Spend over time">'
        f'<svg class="chart" role="img" aria-labelledby="chart-told" viewBox="0 0 {WIDTH} {HEIGHT + strip}">'
        f'<title id="chart-told">{safe(told)}</title>{"".join(parts)}</svg></div>'
        f"{_legend(tally, models, strip > 0)}"
    )


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


def _grid(ticks: Sequence[int]) -> str:
    parts: list[str] = []
    for tick in ticks:
        y = HEIGHT - BOTTOM - _height(tick, ticks[-1])
        kind = "grid" if tick else "axis"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
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


def _told(bucket: int, stack: Sequence[int], models: Sequence[str], refused: int) -> str:
    lines = [f"from {day(bucket)} UTC", f"{money(sum(stack))} spent"]
    names = [*models, OTHERS]
    lines += [f"{names[place]}: {money(amount)}" for place, amount in enumerate(stack) if amount]
    return "\n".join([*lines, *([count(refused, "refused call")] if refused else [])])


def _times(buckets: Sequence[int], width: float, step: int, y: float) -> str:
    every = math.ceil(len(buckets) / _MOST_LABELS)
    days = step >= _DAY or buckets[-1] - buckets[0] > 10 * _DAY
    parts: list[str] = []
    shown_day = ""
    for place in range(0, len(buckets), every):
        moment = datetime.fromtimestamp(buckets[place], UTC)
        date = f"{moment.day} {moment:%b}"
        text = date if days else f"{moment:%H:%M}" if date == shown_day else f"{date}, {moment:%H:%M}"
        shown_day = date
        x = LEFT + (place + 0.5) * width
        anchor = "start" if place == 0 and len(buckets) > _MOST_LABELS else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>')
    return "".join(parts)


def _length(step: int) -> str:
    for size, word in ((_DAY, "day"), (3_600, "hour"), (60, "minute")):
        if step >= size:
            return count(step // size, word)
    return count(step, "second")


def _legend(tally: Tally, models: Sequence[str], refused: bool) -> str:
    keys = [(f"c{colour}", model or "(no model)") for colour, model in enumerate(models)]
    if sum(tally.models[model].cost for model in models) < tally.total.cost:
        keys.append(("cx", OTHERS))
    if refused:
        keys.append(("refused", "refused calls"))
    items = "".join(f'<li><span class="key {kind}"></span>{safe(text)}</li>' for kind, text in keys)
    return f'<ul class="legend">{items}</ul>'
