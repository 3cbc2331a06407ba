"""Exporters: OTLP over HTTP and gRPC and Prometheus carry the figures to the far end unchanged."""

import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from prometheus_client import start_http_server

from agent_fuse.errors import SentinelBudgetExceeded
from agent_fuse.ledgers.base import Meter
from agent_fuse.limits import Limit
from agent_fuse.metrics import Meters
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.telemetry import instruments as table
from agent_fuse.testing import LedgerReader

from .desk import Desk


def busy(provider: MeterProvider) -> LedgerReader:
    fuse = open_fuse(settings({}, limits=(Limit(usd=0.07),), db_path="memory://"))
    own = Meters(provider)
    own.follow(fuse)
    desk = Desk(fuse, own, None)
    for number in range(7):
        desk.call(told=(1234 + number, 321))
    with pytest.raises(SentinelBudgetExceeded):
        desk.open(estimate=(10**6, 0))
    desk.own = own
    return LedgerReader(fuse.ledger)


def metrics_of(request) -> dict:
    return {
        metric.name: metric
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        if scope.scope.name == "agent_fuse"
        for metric in scope.metrics
    }


def assert_carried(seen: dict, books: LedgerReader) -> None:
    [cost] = seen["agent_fuse.cost"].sum.data_points
    assert seen["agent_fuse.cost"].sum.is_monotonic
    assert seen["agent_fuse.cost"].unit == "{USD}"
    assert round(cost.as_double * 10**9) == books.spent("all")
    assert sum(point.as_int for point in seen["agent_fuse.tokens"].sum.data_points) == books.spent("all", Meter.TOKENS)
    assert [point.as_double for point in seen["agent_fuse.limit.cap"].gauge.data_points] == [0.07]
    assert sum(point.as_int for point in seen["agent_fuse.trips"].sum.data_points) == 1
    [durations] = seen["agent_fuse.gate.duration"].histogram.data_points
    assert (durations.count, tuple(durations.explicit_bounds)) == (8, table.SECONDS)


def test_otlp_over_http():
    """A far end that speaks OTLP over HTTP gets the ledger's figures."""
    bodies = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    exporter = HttpExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/metrics")
    provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)])
    books = busy(provider)
    provider.force_flush()
    provider.shutdown()
    server.shutdown()
    server.server_close()
    request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(bodies[0])
    assert_carried(metrics_of(request), books)


def test_otlp_over_grpc():
    """A far end that speaks OTLP over gRPC gets the ledger's figures."""
    requests = []

    class Sink(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request, context):  # noqa: N802  gRPC's name
            requests.append(request)
            return metrics_service_pb2.ExportMetricsServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Sink(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    exporter = GrpcExporter(endpoint=f"127.0.0.1:{port}", insecure=True)
    provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)])
    books = busy(provider)
    provider.force_flush()
    provider.shutdown()
    server.stop(None).wait()
    assert_carried(metrics_of(requests[0]), books)


def test_prometheus():
    """A scrape by Prometheus gets the ledger's figures, under the names that the table gives."""
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    books = busy(provider)
    server, thread = start_http_server(0, "127.0.0.1")
    with urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
        text = answer.read().decode()
    server.shutdown()
    thread.join()
    server.server_close()
    provider.shutdown()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("agent_fuse")]
    spent = [float(value) for name, value in lines if name.startswith("agent_fuse_cost_total{")]
    assert round(spent[0] * 10**9) == books.spent("all")
    for one in table.TABLE:
        name = one.prometheus + ("_bucket" if one.kind is table.InstrumentKind.HISTOGRAM else "")
        assert any(line.startswith((f"{name}{{", f"{name} ")) for line, _ in lines), one.name
