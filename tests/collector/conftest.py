"""The real pieces: a collector with the repository's configuration, VictoriaMetrics behind it, and a sink for traces."""

import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "otel-collector-config.yaml"


def binary(name: str) -> str:
    """Where a program is: beside the repository, or on PATH; skips the test where it is nowhere."""
    near = ROOT.parent / "shared" / "bin" / name
    found = str(near) if near.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: put one on PATH or into ../shared/bin")
    return found


def free_port() -> int:
    """A port for a program that is started later, below those that the system gives to outgoing connections meanwhile."""
    while True:
        port = random.randrange(20000, 32000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def running(command: list[str], port: int, log: Path, **environ: str) -> Iterator[None]:
    """A program, until it listens on the port; ended at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environ})
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.02)
            yield
        finally:
            process.kill()
            process.wait(30)


class Store:
    """VictoriaMetrics."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series that an instant query of PromQL returns."""
        urlopen(f"{self.base}/internal/force_flush").close()
        try:
            with urlopen(f"{self.base}/api/v1/query?{urlencode({'query': expr})}") as answer:
                found: Any = json.load(answer)
        except URLError as bad:
            raise AssertionError(f"{expr}: {bad.read().decode() if hasattr(bad, 'read') else bad}") from bad
        return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]

    def wait_for(self, expr: str) -> None:
        """Until a query returns something."""
        deadline = time.monotonic() + 30
        while not self.query(expr):
            assert time.monotonic() < deadline, f"nothing came of {expr}"
            time.sleep(0.05)


class Traces:
    """A trace store that keeps what it is sent."""

    def __init__(self) -> None:
        requests = self.requests = []

        class Sink(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def marked(self) -> list[dict[str, Any]]:
        """The attributes of each span."""
        return [
            {one.key: getattr(one.value, one.value.WhichOneof("value") or "", None) for one in span.attributes}
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Store, traces, and the collector's two endpoints."""
    otelcol, victoria = binary("otelcol"), binary("victoria-metrics")
    folder = tmp_path_factory.mktemp("pieces")
    grpc, http, store = free_port(), free_port(), free_port()
    traces = Traces()
    flags = ["-search.latencyOffset=0s", "-opentelemetry.usePrometheusNaming", f"-storageDataPath={folder / 'data'}"]
    try:
        with (
            running([victoria, *flags, f"-httpListenAddr=127.0.0.1:{store}"], store, folder / "store.log"),
            running(
                [otelcol, "--config", str(CONFIG)],
                http,
                folder / "collector.log",
                OTLP_GRPC=f"127.0.0.1:{grpc}",
                OTLP_HTTP=f"127.0.0.1:{http}",
                METRICS_ENDPOINT=f"http://127.0.0.1:{store}/opentelemetry/v1/metrics",
                TRACES_ENDPOINT=f"http://127.0.0.1:{traces.server.server_port}/v1/traces",
            ),
        ):
            yield {
                "store": Store(store),
                "traces": traces,
                "grpc": f"127.0.0.1:{grpc}",
                "http": f"http://127.0.0.1:{http}",
                "log": folder / "collector.log",
            }
    finally:
        traces.close()
