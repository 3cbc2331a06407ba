"""One set-up in one process, inside an environment of its own: `python -m conformance.run SETUP gate|spans`."""

import importlib.metadata
import json
import logging
import os
import sys

FOREIGN = ("OTEL_", "AGENTFUSE_", "OPENAI_", "ANTHROPIC_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "TRACELOOP_")


def main(name: str, mode: str) -> None:
    """Print the rows of one set-up as JSON on the last line."""
    for variable in [one for one in os.environ if one.startswith(FOREIGN)]:
        del os.environ[variable]
    os.environ.update(OPENAI_API_KEY="test", ANTHROPIC_API_KEY="test", LITELLM_LOCAL_MODEL_COST_MAP="True")

    from .setups import SETUPS

    setup = SETUPS[name]
    os.environ.update(setup.environ)
    os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "true" if "anthropic-own" in setup.on else "false"
    logging.disable(logging.CRITICAL)

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from agent_fuse.otel.installing import wrap_sampler
    from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
    from agent_fuse.testing import LoopbackProvider

    from .gemini import GeminiProvider
    from .kinds import of_group
    from .measure import Bench, quiet
    from .place import Place
    from .switches import SWITCHES

    tracing = TracerProvider()
    trace.set_tracer_provider(tracing)
    with quiet(), LoopbackProvider() as openai, GeminiProvider() as google:
        processor = AgentFuseSpanProcessor(
            budget=1, db_path="memory://", request_gate=mode == "gate", endpoints=(openai.url, google.url)
        )
        tracing.add_span_processor(processor)
        wrap_sampler(tracing)
        kinds = [one for group in setup.groups for one in of_group(group)]
        for switch in setup.on:
            SWITCHES[switch](tracing)
        bench = Bench(Place(openai, google), processor, setup.naming, setup.linger)
        rows = {one.name: bench.measure(one) for one in kinds}
    versions = {}
    for package in setup.packages:
        versions[package] = importlib.metadata.version(package)
    sys.stdout.write("\nROWS" + json.dumps({"versions": versions, "rows": rows}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # other people's exporters and background threads have nothing more to say


if __name__ == "__main__":
    main(*sys.argv[1:])
