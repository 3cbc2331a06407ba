"""Starts what is installed of the way from a call to a panel, makes a few calls, and shows what the store then knows.

    make observability          or   python examples/observability/run.py [--keep]

A collector (`otelcol`) and a store (`victoria-metrics`) are looked for on PATH and in ../shared/bin; what is missing is
named and left out. The model provider is a loopback one: no key, no network, no cost. With --keep all stays up until
Ctrl-C, so that Grafana can be pointed at it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import openai
import yaml
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import agent_fuse
from agent_fuse.testing import LoopbackProvider

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COLLECTOR, STORE = int(os.environ.get("COLLECTOR_PORT", "4318")), int(os.environ.get("STORE_PORT", "8428"))
HERE_ONLY = {
    "OTLP_HTTP": f"127.0.0.1:{COLLECTOR}",
    "OTLP_GRPC": f"127.0.0.1:{COLLECTOR - 1}",
    "METRICS_ENDPOINT": f"http://127.0.0.1:{STORE}/opentelemetry/v1/metrics",
}


def program(name: str) -> str | None:
    """Where a program is, if it is installed."""
    near = ROOT.parent / "shared" / "bin" / name
    return shutil.which(name) or (str(near) if near.is_file() else None)


def start(stack: ExitStack, folder: Path, name: str, port: int, *flags: str) -> bool:
    """Start a program, if it is installed and its port is free; wait until it listens."""
    found = program(name)
    if found is None:
        print(f"{name:<17} is not installed: left out")
        return False
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            sys.exit(f"port {port} is taken: stop what listens there, then run this again")
    with (folder / f"{name}.log").open("w") as log:
        process = stack.enter_context(
            subprocess.Popen([found, *flags], stdout=log, stderr=log, env=os.environ | HERE_ONLY)
        )
    stack.callback(process.terminate)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                print(f"{name:<17} listens on 127.0.0.1:{port}")
                return True
        if process.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-2000:]}")


def spend(stack: ExitStack, folder: Path) -> None:
    """A few calls of an instrumented app, until its budget refuses."""
    to = f"http://127.0.0.1:{COLLECTOR}/v1"
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{to}/metrics"))
    metering, tracing = MeterProvider([reader]), TracerProvider()
    stack.callback(metering.shutdown)
    stack.callback(tracing.shutdown)
    metrics.set_meter_provider(metering)
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{to}/traces")))
    trace.set_tracer_provider(tracing)
    agent_fuse.init(budget=0.01, session_id="observability", db_path=str(folder / "ledger.db"))
    with LoopbackProvider() as provider:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="none", max_retries=0)
        try:
            while True:
                for model in ("gpt-4o", "gpt-4o-mini"):
                    client.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": "Hello!"}], max_tokens=100
                    )
        except agent_fuse.SentinelBudgetExceeded as trip:
            print(f"\n{len(provider.served)} calls were made, then: {trip}")
    metering.force_flush()
    tracing.force_flush()


def ask(expr: str) -> list[tuple[dict[str, str], str]]:
    """What the store answers to a query."""
    urlopen(f"http://127.0.0.1:{STORE}/internal/force_flush").close()
    query = urlencode({"query": expr.replace("$__range", "1h").replace("$__rate_interval", "1h")})
    with urlopen(f"http://127.0.0.1:{STORE}/api/v1/query?{query}") as answer:
        return [(one["metric"], one["value"][1]) for one in json.load(answer)["data"]["result"]]


def show() -> None:
    """What the dashboard's single figures and the alerts say now."""
    for _ in range(100):
        if ask("agent_fuse_trips_total > 0"):
            break
        time.sleep(0.1)
    print("\nThe dashboard would show:")
    for panel in json.loads((HERE / "dashboard.json").read_text())["panels"]:
        for labels, value in ask(panel["targets"][0]["expr"]) if panel["type"] != "timeseries" else ():
            names = " ".join(text for name, text in labels.items() if name != "__name__")
            print(f"  {panel['title']:<34} {float(value):>12.9g}  {names}")
    print("\nAlerts that fire:")
    for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            if ask(rule["expr"]):
                print(f"  {rule['alert']}")


def main() -> None:
    """Start, spend, show."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flags = [
            "-search.latencyOffset=0s",
            "-opentelemetry.usePrometheusNaming",
            f"-storageDataPath={folder / 'data'}",
        ]
        store = start(stack, folder, "victoria-metrics", STORE, *flags, f"-httpListenAddr=127.0.0.1:{STORE}")
        config = ["--config", str(ROOT / "otel-collector-config.yaml")]
        if "TRACES_ENDPOINT" not in os.environ:
            print("TRACES_ENDPOINT   is not set: traces end in the collector's log")
            config.append("--set=service::pipelines::traces::exporters=[debug]")
        if not start(stack, folder, "otelcol", COLLECTOR, *config):
            sys.exit(
                "Nothing to send to. Core collectors: https://github.com/open-telemetry/opentelemetry-collector-releases"
            )
        spend(stack, folder)
        if store:
            show()
        if "--keep" in sys.argv:
            print(f"\nPrometheus data source for Grafana: http://127.0.0.1:{STORE}. Ctrl-C ends all.")
            try:
                time.sleep(1e9)
            except KeyboardInterrupt:
                print()


if __name__ == "__main__":
    main()
