"""A fuse with its instruments at a MeterProvider of its own, calls made by hand, and what a reader sees."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.calls import Usage
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.limits import Caller, Session
from agent_fuse.metrics import Meters
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer

Point = tuple[dict[str, Any], Any]


@dataclass
class Desk:
    fuse: Fuse
    meters: Meters
    reader: InMemoryMetricReader

    def open(self, *, session: str = "s", agent: str = "", model: str = "gpt-4o", **facts: Any) -> Seen:
        limits = facts.pop("limits", ())
        facts.setdefault("layer", Layer.CLIENT)
        facts.setdefault("estimate", (10, 10))
        caller = Caller(session=Session(id=session, limits=limits), agent=agent)
        return self.fuse.open_call(CallRequest(source="test", caller=caller, model=model, provider="openai", **facts))

    def call(self, *, told: tuple[int, int] | None = (1000, 100), **facts: Any) -> None:
        seen = self.open(**facts)
        usage = None if told is None else Usage(input_tokens=told[0], output_tokens=told[1])
        self.fuse.close_call(seen, usage=usage)

    def points(self, name: str) -> list[Point]:
        """Attributes and value of each series of a metric, collected now."""
        return read(self.reader).get(name, [])

    def total(self, name: str, **where: str) -> Any:
        return sum(value for attributes, value in self.points(name) if where.items() <= attributes.items())


def read(reader: InMemoryMetricReader) -> dict[str, list[Point]]:
    data = reader.get_metrics_data()
    found: dict[str, list[Point]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            if scope.scope.name != "agent_fuse":
                continue
            for metric in scope.metrics:
                found[metric.name] = [
                    (dict(one.attributes), getattr(one, "value", one)) for one in metric.data.data_points
                ]
    return found


def desk(blind: Callable[[], Iterable[str]] = tuple, **options: Any) -> Desk:
    options.setdefault("db_path", "memory://")
    reader = InMemoryMetricReader()
    fuse = open_fuse(settings({}, **options))
    meters = Meters(MeterProvider(metric_readers=[reader]))
    meters.follow(fuse, blind=blind)
    return Desk(fuse, meters, reader)
