"""The survey tells the truth about this process: what guards it, what is blind, and what to do."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

Run = Callable[..., CompletedProcess[str]]

HEAD = """
import dataclasses, json, logging
logging.basicConfig(level=logging.ERROR)
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider, ConcurrentMultiSpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace import sampling
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.otel.survey import survey
def guard(provider, **options):
    processor = AgentFuseSpanProcessor(budget=1, db_path="memory://", **options)
    provider.add_span_processor(processor)
    return processor
def show(provider=None):
    print("FACTS" + json.dumps([dataclasses.asdict(one) for one in survey(provider)]))
"""


def facts(run: Run, script: str) -> list[dict[str, str]]:
    """What `show()` printed in a fresh process."""
    out = run(HEAD + script).stdout
    found: list[dict[str, str]] = json.loads(out.split("FACTS", 1)[1].splitlines()[0])
    return found


def states(found: list[dict[str, str]], words: str) -> set[str]:
    """States of the facts that have these words."""
    return {one["state"] for one in found if words in one["what"]}


def test_all_is_well(run_python: Run) -> None:
    """A provider that is guarded and instrumented has nothing but good facts, each gate named."""
    found = facts(
        run_python,
        """
import openai
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
provider = TracerProvider()
trace.set_tracer_provider(provider)
guard(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
show()
""",
    )
    assert {one["state"] for one in found} == {"ok"}
    assert states(found, "self-test: a trip raised when a span starts reaches the caller") == {"ok"}
    assert states(found, "every request is judged before it leaves") == {"ok"}
    assert states(found, "opentelemetry.instrumentation.openai.v1: calls are judged") == {"ok"}
    assert states(found, "anthropic 2") == {"ok"}, "not imported yet: it will be gated"


def test_after_init(run_python: Run) -> None:
    """`init()` in a bare process is enough, also where there is no global provider."""
    found = facts(
        run_python,
        """
import os, openai, langchain_core.tools, agent_fuse
os.environ["AGENTFUSE_DB_PATH"] = "memory://"
agent_fuse.init(budget=1)
show()
""",
    )
    assert {one["state"] for one in found} == {"ok"}
    assert states(found, "opentelemetry.instrumentation.langchain: calls") == {"ok"}


def test_after_init_alone(run_python: Run) -> None:
    """Of libraries that are not imported yet it says that their instrumentation will be on when they are."""
    found = facts(
        run_python,
        """
import os, sys, agent_fuse
os.environ["AGENTFUSE_DB_PATH"] = "memory://"
agent_fuse.init(budget=1)
show()
assert not {"openai", "langchain_core"} & set(sys.modules)
""",
    )
    assert {one["state"] for one in found} == {"ok"}
    for library in ("openai", "langchain"):
        assert states(found, f"opentelemetry.instrumentation.{library} will be turned on") == {"ok"}


def test_nothing_is_at_work(run_python: Run) -> None:
    """Without a processor the survey says that nothing is guarded, and how to begin."""
    found = facts(run_python, "show()")
    assert states(found, "nothing is guarded") == {"off"}
    assert any("agent_fuse.init" in one["fix"] for one in found)


def test_every_bad_fact_has_a_fix(run_python: Run) -> None:
    """What is blind or off always says what to do; what is well asks for nothing."""
    found = facts(
        run_python,
        """
import langchain_core.tools, openai
guard(TracerProvider(sampler=sampling.TraceIdRatioBased(0.1)), request_gate=False)
show()
""",
    )
    assert {one["state"] for one in found} >= {"ok", "blind", "off"}
    assert all(bool(one["fix"]) == (one["state"] != "ok") for one in found)


BLIND: list[tuple[str, str, str, str]] = [
    (
        "a sampler that drops",
        "p = TracerProvider(sampler=sampling.TraceIdRatioBased(0.1)); guard(p); show(p)",
        "drops spans",
        "blind",
    ),
    (
        "spans disabled by the environment",
        "import os; os.environ['OTEL_SDK_DISABLED'] = 'true'; p = TracerProvider(); guard(p); show(p)",
        "OTEL_SDK_DISABLED=true",
        "blind",
    ),
    (
        "processors in pool threads",
        "p = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor()); guard(p); show(p)",
        "ConcurrentMultiSpanProcessor",
        "blind",
    ),
    (
        "a guard on another provider",
        "guard(TracerProvider()); show(TracerProvider())",
        "on another tracer provider",
        "blind",
    ),
    (
        "an instrumentation on another provider",
        (
            "import openai; from opentelemetry.instrumentation.openai import OpenAIInstrumentor\n"
            "p, q = TracerProvider(), TracerProvider(); guard(p)\n"
            "OpenAIInstrumentor().instrument(tracer_provider=q); show(p)"
        ),
        "openai.v1 makes its spans at a tracer provider that AgentFuse is not on",
        "blind",
    ),
    ("no instrumentation", "p = TracerProvider(); guard(p); show(p)", "no instrumentation of a model library", "off"),
    (
        "a framework without instrumentation",
        "import langchain_core.tools; p = TracerProvider(); guard(p); show(p)",
        "langchain is imported, and no instrumentation of it is active",
        "off",
    ),
    (
        "the request gate switched off",
        "import openai; p = TracerProvider(); guard(p, request_gate=False); show(p)",
        "the request gate is off",
        "off",
    ),
    (
        "an SDK that has moved",
        "import openai._base_client as base; del base.BaseClient._build_request; p = TracerProvider(); guard(p)\nshow(p)",
        "has no BaseClient._build_request",
        "blind",
    ),
    (
        "a gate taken out again",
        (
            "import openai._base_client as base; original = base.BaseClient._build_request\n"
            "p = TracerProvider(); guard(p); base.BaseClient._build_request = original\nshow(p)"
        ),
        "something took the request gate out again",
        "blind",
    ),
    (
        "a disabled tracer",
        (
            "import openai; from opentelemetry.instrumentation.openai import OpenAIInstrumentor\n"
            "from opentelemetry.sdk.trace import _disable_tracer_configurator as none\n"
            "p = TracerProvider(_tracer_configurator=none); guard(p)\n"
            "OpenAIInstrumentor().instrument(tracer_provider=p); show(p)"
        ),
        "is disabled by a tracer configurator",
        "blind",
    ),
    (
        "a multi-processor that swallows",
        (
            "from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor\n"
            "class Swallows(SynchronousMultiSpanProcessor):\n"
            "    def on_start(self, span, parent_context=None):\n"
            "        try: super().on_start(span, parent_context)\n"
            "        except BaseException: pass\n"
            "p = TracerProvider(active_span_processor=Swallows()); guard(p); show(p)"
        ),
        "does not reach the caller",
        "blind",
    ),
]


@pytest.mark.parametrize(("script", "words", "state"), [row[1:] for row in BLIND], ids=[row[0] for row in BLIND])
def test_blind_spots_are_told(run_python: Run, script: str, words: str, state: str) -> None:
    """Each way to be blind is told, with a fix."""
    found = facts(run_python, script)
    assert states(found, words) == {state}, found
    assert all(one["fix"] for one in found if words in one["what"])


def test_self_test_leaves_no_trace(run_python: Run) -> None:
    """The probe is refused in earnest, and neither the user's exporters, processors nor the ledger see it."""
    out: dict[str, Any] = json.loads(
        run_python(
            HEAD
            + """
seen = []
class Mine(SimpleSpanProcessor):
    def on_start(self, span, parent_context=None): seen.append(span.name)
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(Mine(exporter))
processor = guard(provider)
provider.add_span_processor(SimpleSpanProcessor(exporter))
from agent_fuse.otel.self_test import self_test
fact = self_test(provider)
with provider.get_tracer("user").start_as_current_span("agent_fuse.self_test".lower() + ""): pass
print(json.dumps(dict(state=fact.state, exported=[s.name for s in exporter.get_finished_spans()], seen=seen,
    journal=len(list(processor.fuse.ledger.journal())), nodes=len(processor.gates.nodes))))
"""
        ).stdout
    )
    name = "agent_fuse.self_test"
    assert out == {"state": "ok", "exported": [name, name], "seen": [name], "journal": 0, "nodes": 0}, out


def test_the_mend_of_a_gate_taken_out_again_works(run_python: Run) -> None:
    """`init()` puts it back, as the survey says; also where the settings before had none."""
    found = facts(
        run_python,
        """
import os, agent_fuse, openai._base_client as base
os.environ["AGENTFUSE_DB_PATH"] = "memory://"
original = base.BaseClient._build_request
agent_fuse.init(request_gate=False)
assert base.BaseClient._build_request is original
agent_fuse.init()
assert base.BaseClient._build_request is not original
base.BaseClient._build_request = original
agent_fuse.init()
show()
""",
    )
    assert states(found, "every request is judged before it leaves") == {"ok"}, found


@pytest.mark.parametrize(
    ("kind", "state"), [("SentinelBudgetExceeded", {"blind"}), ("SentinelBudgetExceededError", set())]
)
def test_a_handler_that_breaks_the_application_is_told(run_python: Run, kind: str, state: set[str]) -> None:
    """Registered for the trip itself, which is no Exception, it makes Starlette answer everything with 500."""
    found = facts(
        run_python,
        f"""
import agent_fuse
from fastapi import FastAPI
from fastapi.testclient import TestClient
guard(TracerProvider())
app = FastAPI()
app.add_exception_handler(agent_fuse.{kind}, lambda request, trip: None)
app.get("/")(lambda: "ok")
assert TestClient(app, raise_server_exceptions=False).get("/").status_code == {500 if state else 200}
show()
""",
    )
    assert states(found, "an exception handler is registered for SentinelBudgetExceeded") == state
