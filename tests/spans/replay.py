"""Replays golden spans into a tracer provider, as their instrumentation once made them, until a trip stops it."""

import gc
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from agent_fuse.calls import Usage
from agent_fuse.errors import SentinelError

FOLDER = Path(__file__).parents[1] / "data" / "spans"


@dataclass(frozen=True)
class Case:
    """One recorded call or agent run. The recorder's `Session.case` says what its facts mean."""

    file: str
    name: str
    steps: list[list[Any]]
    served: list[dict[str, Any]]
    exact: bool = True
    """The spans tell all usage."""
    calls: int | None = None
    """Model calls that the spans show; as many as were served, unless told otherwise."""
    untold: tuple[str, ...] = ()
    """Token figures that the instrumentation leaves out."""
    over: int = 0
    """Output tokens too many that the spans tell, and nothing in them gives away."""
    tool: str = ""
    session: str = ""
    raised: str = ""

    @property
    def dialect(self) -> str:
        return self.file.partition("@")[0]

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [step[2] for step in self.steps if step[0] == "start"]

    @property
    def seen(self) -> int:
        """How many model calls its spans show."""
        if not self.starts:
            return 0
        return len(self.served) if self.calls is None else self.calls

    @property
    def usages(self) -> list[tuple[str, Usage]]:
        """Model and usage of each call, as far as the instrumentation tells."""
        found = []
        for one in self.served:
            told = {key: figure for key, figure in one.items() if key != "model" and key not in self.untold}
            told["output_tokens"] = told.get("output_tokens", 0) + self.over
            found.append((one["model"], Usage(**told)))
        return found

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"


def load(folder: Path = FOLDER) -> list[Case]:
    """Every recorded case."""
    return [
        Case(file=path.stem, **{key: tuple(value) if key == "untold" else value for key, value in case.items()})
        for path in sorted(folder.glob("*.json"))
        for case in json.loads(path.read_text())["cases"]
    ]


@dataclass
class Outcome:
    """What a replay came to."""

    requests: int = 0
    """Requests that left."""
    trip: SentinelError | None = None
    at: list[Any] = field(default_factory=list)
    """The step that the trip was raised at."""


def replay(tracing: TracerProvider, case: Case) -> Outcome:
    """Make the spans of a case again. A trip ends it, as it ends the code that the spans are of."""
    spans: dict[int, Any] = {}
    outcome = Outcome()
    for step in case.steps:
        try:
            _step(tracing, spans, step, outcome)
        except SentinelError as trip:
            outcome.trip, outcome.at = trip, step
            break
    if outcome.trip is not None:
        for span in reversed(spans.values()):
            if span.is_recording():
                span.end()
    left = any(span.is_recording() for span in spans.values())
    spans.clear()
    if left:
        gc.collect()  # they were never ended
    return outcome


def _step(tracing: TracerProvider, spans: dict[int, Any], step: list[Any], outcome: Outcome) -> None:
    if step[0] == "request":
        outcome.requests += 1
        return
    word, number, facts = step
    if word == "start":
        parent = spans.get(facts.get("parent"))
        at = context.Context() if parent is None else trace.set_span_in_context(parent, context.Context())
        spans[number] = tracing.get_tracer(facts["scope"]).start_span(
            facts["name"],
            context=at,
            kind=SpanKind[facts.get("kind", "INTERNAL")],
            attributes=facts["attributes"],
            start_time=time.time_ns() - 500_000_000 if facts.get("late") else None,
        )
    elif word == "set":
        spans[number].set_attributes(facts)
    elif word == "name":
        spans[number].update_name(facts)
    else:
        _end(spans[number], facts)


def _end(span: Any, facts: dict[str, Any]) -> None:
    if "exception" in facts:
        said = {"exception.type": facts["exception"], "exception.message": facts.get("message", "")}
        span.add_event("exception", said)
    if "status" in facts:
        code = StatusCode[facts["status"]]
        span.set_status(Status(code, facts.get("message") if code is StatusCode.ERROR else None))
    span.end()
