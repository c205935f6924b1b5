"""A run on record, and a receiver made of OpenTelemetry's own protobuf classes."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.telemetry.telemetry_samples import ROWS, WORKFLOW, Desk, fleet, rows
from toolkit.ledger.reading.history import History


@dataclass
class Receiver:
    """What arrived, as OpenTelemetry's own classes read it; `statuses` are what it answers first, then 200.

    `rejects` spans of each request are refused by the answer, and those whose name is in `hates` by HTTP 400.
    """

    port: int = 0
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    schemas: set[str] = field(default_factory=set)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    rejects: int = 0
    hates: frozenset[str] = frozenset()
    requests: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Any]:
        """The spans of that name."""
        return [span for span in self.spans if span.name == name]

    def take(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The answer to a request: status and body."""
        self.requests += 1
        if self.statuses:
            return self.statuses.pop(0), b""
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            spans = [s for r in traces.resource_spans for scope in r.scope_spans for s in scope.spans]
            if self.hates & {span.name for span in spans}:
                return 400, b""
            self.spans += spans[self.rejects :]
            for resource in traces.resource_spans:
                self.resources.append({a.key: a.value.string_value for a in resource.resource.attributes})
                self.schemas |= {scope.schema_url for scope in resource.scope_spans}
            answer = ExportTraceServiceResponse()
            answer.partial_success.rejected_spans = self.rejects
            answer.partial_success.error_message = "too old" if self.rejects else ""
            return 200, answer.SerializeToString()
        measured = ExportMetricsServiceRequest.FromString(body)
        self.metrics += [m for r in measured.resource_metrics for scope in r.scope_metrics for m in scope.metrics]
        return 200, ExportMetricsServiceResponse().SerializeToString()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as made:
        yield made


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver on the loopback."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            status, body = made.take(self.path, gzip.decompress(sent) if packed else sent)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter gives up after a second, and nothing of this machine's environment reaches it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A run with a retry, an escalation, a tool step, a list of items, a parked row and a failed one."""
    home = tmp_path_factory.mktemp("record")
    run = WORKFLOW.run(rows(*ROWS), fleet(), home=home)
    return Desk(History(home), run.id)
