"""Records golden spans: what an instrumentation says, in the order it says it, and where the request leaves between."""

import json
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from agent_fuse.testing import LoopbackProvider, Reply, Request
from spans.check import problems

FOLDER = Path(__file__).parents[1] / "data" / "spans"
LONGEST_TEXT = 700
"""Longer attributes are cut: what dialects read of them is at their start, or is JSON that is short here."""

PAST_NS = 20_000_000


class Recorder(SpanProcessor):
    """Writes down starts, attributes set, and ends. `request` is told each model request that arrives."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.steps: list[list[Any]] = []
        self.numbers: dict[int, int] = {}
        self.live: list[Any] = []

    def clear(self) -> None:
        with self.lock:
            self.steps, self.numbers, self.live = [], {}, []

    def request(self, request: Request, status: int) -> None:
        """A watcher for LoopbackProvider."""
        del status
        if request.priced:
            with self.lock:
                self.steps.append(["request"])

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        with self.lock:
            number = self.numbers[span.get_span_context().span_id] = len(self.numbers)
            facts: dict[str, Any] = {
                "scope": span.instrumentation_scope.name,
                "name": span.name,
                "kind": span.kind.name,
                "attributes": _plain(span.attributes or {}),
            }
            if span.kind is SpanKind.INTERNAL:
                del facts["kind"]
            if span.parent is not None and span.parent.span_id in self.numbers:
                facts["parent"] = self.numbers[span.parent.span_id]
            if time.time_ns() - span.start_time > PAST_NS:
                facts["late"] = True
            self.steps.append(["start", number, facts])
        self._shadow(span, number)

    def _shadow(self, span: Span, number: int) -> None:
        kind = type(span)

        def set_attributes(attributes: Any) -> None:
            with self.lock:
                if span.is_recording() and attributes:
                    last = self.steps[-1]
                    if last[:2] == ["set", number]:
                        last[2].update(_plain(attributes))
                    else:
                        self.steps.append(["set", number, _plain(attributes)])
            kind.set_attributes(span, attributes)

        def update_name(name: str) -> None:
            with self.lock:
                self.steps.append(["name", number, name])
            kind.update_name(span, name)

        span.set_attributes = set_attributes  # type: ignore[method-assign]
        span.set_attribute = lambda key, value: set_attributes({key: value})  # type: ignore[method-assign]
        span.update_name = update_name  # type: ignore[method-assign]
        self.live.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        facts: dict[str, Any] = {}
        if span.status.status_code is not StatusCode.UNSET:
            facts["status"] = span.status.status_code.name
        if span.status.description:
            facts["message"] = span.status.description.partition("Traceback")[0][:LONGEST_TEXT]
        raised = [event.attributes or {} for event in span.events if event.name == "exception"]
        if raised:
            facts["exception"] = str(raised[-1].get("exception.type", ""))
            facts.setdefault("message", str(raised[-1].get("exception.message", ""))[:LONGEST_TEXT])
        with self.lock:
            self.steps.append(["end", self.numbers[span.get_span_context().span_id], facts])


def _plain(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if "stack" in key:
            continue  # it names files of the machine
        plain = list(value) if isinstance(value, tuple | list) else value
        if isinstance(plain, str) and len(plain) > LONGEST_TEXT:
            plain = plain[:LONGEST_TEXT]
        if plain is None or isinstance(plain, str | int | float | bool | list):
            found[str(key)] = plain
    return found


class Session:
    """Records the cases of one dialect into its file."""

    def __init__(self, name: str, recorder: Recorder, provider: LoopbackProvider, packages: tuple[str, ...]) -> None:
        self.name, self.recorder, self.provider = name, recorder, provider
        self.packages = packages
        self.cases: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}
        """Of every case that follows."""
        self.extra: list[dict[str, Any]] = []
        """What a stand-in for another API served."""

    def case(self, name: str, run: Callable[[], Any], *replies: Reply, fails: str = "", **expected: Any) -> None:
        """Run one call or agent, with the replies that the provider gives; `expected` joins the facts of the case.

        `fails` is the class that the call raises, where it does. Anything else that is raised is a mistake of the
        recipe, and ends the recording: a case that never came to its call must not look like one that was refused.
        """
        self.provider.reset()
        self.recorder.clear()
        self.provider.reply(*replies)
        error = ""
        try:
            run()
        except Exception as failed:
            error = type(failed).__name__
            if error != fails:
                raise
        if error != fails:
            raise AssertionError(f"{self.name}: {name} was to raise {fails}, and did not")
        time.sleep(0.05)
        with self.recorder.lock:
            steps = list(self.recorder.steps)
        served = [
            {
                "model": one.model,
                **{
                    field: getattr(one.usage, field)
                    for field in (
                        "input_tokens",
                        "output_tokens",
                        "cache_read_tokens",
                        "cache_write_tokens",
                        "reasoning_tokens",
                    )
                    if getattr(one.usage, field)
                },
            }
            for one in self.provider.served
        ]
        served, self.extra = served + self.extra, []
        case: dict[str, Any] = {"name": name, "steps": steps, "served": served, **self.facts, **expected}
        if error:
            case["raised"] = error
        self.cases.append(case)

    def write(self, folder: Path = FOLDER) -> None:
        """Write the file, if it can be believed.

        Raises:
            ValueError: it can't be; nothing is written.
        """
        versions = {one: version(one) for one in self.packages}
        wrong = problems({"recorded": versions, "cases": self.cases})
        if wrong:
            raise ValueError(f"{self.name}: {'; '.join(wrong)}")
        lines = [f'{{"recorded": {json.dumps(versions)},', '"cases": [']
        for number, case in enumerate(self.cases):
            facts = {key: value for key, value in case.items() if key != "steps"}
            lines += [f'{json.dumps(facts)[:-1]}, "steps": [']
            lines += [",\n".join("  " + json.dumps(step, ensure_ascii=True) for step in case["steps"])]
            lines += ["]}" + ("," if number + 1 < len(self.cases) else "")]
        folder.mkdir(exist_ok=True)
        (folder / f"{self.name}.json").write_text("\n".join([*lines, "]}", ""]))
