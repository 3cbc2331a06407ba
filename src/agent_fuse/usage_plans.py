"""Plans: which figure of an answer fills which bucket, worked out from the table once per set of figures told.

Walking the table (`usage_shapes`) asks for some forty names; an answer tells five or ten, and those of one provider
always the same. So what an answer tells is first laid flat, each figure under its path (`usage_reader`), and the plan
for just these paths is kept.
"""

from dataclasses import dataclass

from agent_fuse.usage_shapes import Path, Shape

Figures = dict[str, int]
"""Figures told, each under its path; what a shape is told by without being a figure stands under a sign of its own."""

_MAX_PLANS = 256
_BUCKETS = {
    "read": "cache_read_tokens",
    "read_audio": "cache_read_audio_tokens",
    "read_image": "cache_read_image_tokens",
    "written": "cache_write_tokens",
    "written_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "input_audio": "input_audio_tokens",
    "output_audio": "output_audio_tokens",
    "input_image": "input_image_tokens",
    "output_image": "output_image_tokens",
    "citations": "citation_tokens",
}
"""The field of Usage that each row's figure fills as it is."""

_ROWS = (
    "input",
    "output",
    "total",
    "seconds",
    "pages",
    "beside_input",
    "beside_output",
    "searches",
    "written_5m",
    *_BUCKETS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where to find each figure among those told; an empty path where it is not."""

    input: str
    output: str
    total: str
    seconds: str
    pages: str
    read: str
    written: str
    reasoning: str
    beside_input: str
    beside_output: str
    searches: str
    cached_outside: bool
    written_parts: tuple[str, ...]
    """What was written to the cache is these together, where no sum of it is told."""
    parts: bool
    """Parts are listed that these figures leave out."""
    direct: tuple[tuple[str, str], ...]
    """Buckets that are filled with a figure as it is told, and its path."""


@dataclass(slots=True)
class Node:
    """A name that the table knows, at one place."""

    path: str
    sign: str = ""
    """Where it is noted that something stands there, if that alone tells something, whether it is a figure or not."""
    figure: bool = False
    rounded: bool = False
    """It may be a fraction, and is rounded up."""
    inner: "dict[str, Node] | None" = None


class Layout:
    """The shapes below one root, tried in their order: the names to lay out, and the plan for what is told."""

    def __init__(self, *shapes: Shape) -> None:
        self.root = shapes[0].root
        self.names: dict[str, Node] = {}
        self.plans: dict[tuple[str, ...], Plan | None] = {}
        self._shapes = shapes
        for shape in shapes:
            for row in _ROWS:
                for path in getattr(shape, row):
                    node = self._node(path)
                    node.figure, node.rounded = True, row == "seconds"
            for path in (*shape.needs, *shape.parts):
                self._node(path).sign = _sign(path)

    def plan(self, figures: Figures) -> Plan | None:
        """How to read these figures; None where no shape has an input or output among them."""
        told = tuple(figures)
        if told not in self.plans:
            if len(self.plans) >= _MAX_PLANS:
                self.plans.clear()
            plans = (_plan(shape, figures) for shape in self._shapes)
            self.plans[told] = next((plan for plan in plans if plan is not None), None)
        return self.plans[told]

    def _node(self, path: Path) -> Node:
        level, node = self.names, Node("")
        for depth, name in enumerate(path, 1):
            node = level.setdefault(name, Node(".".join(path[:depth])))
            if depth < len(path):
                level = node.inner = node.inner if node.inner is not None else {}
        return node


def _plan(shape: Shape, told: Figures) -> Plan | None:
    if shape.needs and not any(".".join(path) in told or _sign(path) in told for path in shape.needs):
        return None
    at = {row: next((name for path in getattr(shape, row) if (name := ".".join(path)) in told), "") for row in _ROWS}
    told_alone = at["seconds"] or at["pages"] or (at["searches"] and shape.searches_alone)
    if not (at["input"] or at["output"] or told_alone):
        return None
    return Plan(
        **{row: at[row] for row in _ROWS if row in Plan.__slots__},
        cached_outside=shape.cached_outside,
        written_parts=tuple(at[row] for row in ("written_5m", "written_1h") if at[row]),
        parts=any(_sign(path) in told for path in shape.parts),
        direct=tuple((bucket, at[row]) for row, bucket in _BUCKETS.items() if at[row]),
    )


def _sign(path: Path) -> str:
    return ".".join(path) + "?"
