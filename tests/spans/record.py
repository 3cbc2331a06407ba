"""Record golden spans: `python tests/spans/record.py DIALECT …`, in an environment that has the packages of its recipe."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def record(name: str) -> None:
    """One dialect, in this process: instrumentations do not come off cleanly."""
    sys.path[0] = str(HERE.parent)
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from agent_fuse.testing import LoopbackProvider
    from spans.recipes import RECIPES
    from spans.recorder import FOLDER, Recorder, Session

    run, packages = RECIPES[name]
    recorder, tracing = Recorder(), TracerProvider()
    tracing.add_span_processor(recorder)
    trace.set_tracer_provider(tracing)
    with LoopbackProvider(watch=recorder.request) as provider:
        session = Session(name, recorder, provider, packages)
        run(session, tracing)
        session.write(Path(os.environ.get("AGENT_FUSE_RECORD_TO", FOLDER)))
    print(name, {case["name"]: len(case["served"]) for case in session.cases})


def main(names: list[str]) -> None:
    """Each dialect in a process of its own."""
    for name in names:
        environment = {**os.environ, "AGENT_FUSE_RECORD": name}
        if name != "anthropic-sdk":
            environment["ANTHROPIC_OPEN_TELEMETRY"] = "false"
        if name.endswith("@content"):
            environment["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "span_only"
            environment["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
        if name.endswith("-stable"):
            environment["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
        done = subprocess.run([sys.executable, __file__], env=environment, check=False)
        if done.returncode:
            sys.exit(f"{name} could not be recorded")


if __name__ == "__main__":
    if name := os.environ.get("AGENT_FUSE_RECORD"):
        record(name)
    else:
        main(sys.argv[1:])
