"""Spans and metrics to a receiver by OTLP over HTTP: OpenTelemetry's own exporters, and the count of what was taken.

In: our spans and metrics. Out: how many the receiver accepted and how many it refused. What only failed for now (the
receiver is down or busy) raises `Unreachable`, and nothing of that call counts; encoding, compression, headers and the
first seconds of retrying are the exporters' own, by the standard OTEL_EXPORTER_OTLP_* variables.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import SetupError, ToolkitError
from toolkit.telemetry.conventions import Conventions
from toolkit.telemetry.facts import Window
from toolkit.telemetry.points import Metric
from toolkit.telemetry.span import Span

SERVICE = "toolkit"
_EXPORTERS = "opentelemetry.exporter.otlp.proto.http"
_SPLIT = (400, 413, 422)
"""The receiver objects to what was sent; half of it may do."""
_MISSING = (404, 405, 501)
_DENIED = (401, 403)


class Unreachable(ToolkitError):
    """The receiver could not be reached, or was too busy; what was to be sent is still to be sent."""


class Denied(ToolkitError):
    """The receiver does not let us in, or has no such address."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How many spans or points a receiver accepted and refused, and why the last were refused."""

    accepted: int = 0
    refused: int = 0
    why: str = ""

    def __add__(self, other: Sent) -> Sent:
        return Sent(self.accepted + other.accepted, self.refused + other.refused, other.why or self.why)


class Sender:
    """A way to one receiver. `endpoint` is its base address (None: by environment, else port 4318 of this machine)."""

    def __init__(self, endpoint: str | None, conventions: Conventions) -> None:
        try:
            import requests
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError as error:
            raise SetupError(
                "OpenTelemetry's exporter is not installed; install it with: pip install 'toolkit[otel]'"
            ) from error
        from toolkit import __version__

        base = endpoint.rstrip("/") if endpoint else None
        self._watched = _Watched()
        session = requests.Session()
        session.hooks["response"].append(self._watched.see)
        self._spans = OTLPSpanExporter(f"{base}/v1/traces" if base else None, session=session)
        self._metrics = OTLPMetricExporter(f"{base}/v1/metrics" if base else None, session=session)
        self.endpoint = base or self._spans._endpoint.removesuffix("/v1/traces")
        resource = Resource.create({})
        if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE}))
        self._resource = resource
        self._scope = InstrumentationScope("toolkit", __version__, conventions.schema_url)

    def close(self) -> None:
        self._spans.shutdown()  # type: ignore[no-untyped-call]
        self._metrics.shutdown()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------------- spans
    def spans(self, spans: Sequence[Span]) -> Sent:
        """Send spans in one request; of those that the receiver objects to, halves, so that one bad span is one."""
        if not spans:
            return Sent()
        from opentelemetry.sdk.trace.export import SpanExportResult

        with self._watched:
            result = self._spans.export([self._readable(span) for span in spans])
        if result is SpanExportResult.SUCCESS:
            return self._taken(len(spans), "spans")
        if self._watched.status in _SPLIT and len(spans) > 1:
            half = len(spans) // 2
            return self.spans(spans[:half]) + self.spans(spans[half:])
        return self._refused(len(spans), "/v1/traces")

    def _readable(self, span: Span) -> Any:
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.trace import Link, SpanKind
        from opentelemetry.trace.status import Status, StatusCode

        failed = span.error_type is not None
        return ReadableSpan(
            span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id is not None else None,
            resource=self._resource,
            attributes=_values(span.attributes),
            events=[Event(event.name, _values(event.attributes), event.at_ns) for event in span.events],
            links=[Link(_context(*span.link))] if span.link else [],
            kind=SpanKind.CLIENT if span.kind == "client" else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error_message or span.error_type) if failed else Status(),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )

    # -------------------------------------------------------------------------------------------------------- metrics
    def metrics(self, metrics: Sequence[Metric], window: Window) -> Sent:
        """Send metrics whose points cover the window; cumulative, as each tells all since the window's start."""
        count = sum(len(metric.points) for metric in metrics)
        if not count:
            return Sent()
        from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, ResourceMetrics, ScopeMetrics

        scope = ScopeMetrics(self._scope, [_metric(metric, window) for metric in metrics], self._scope.schema_url or "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], self._resource.schema_url)])
        with self._watched:
            result = self._metrics.export(data)
        if result is MetricExportResult.SUCCESS:
            return self._taken(count, "metric points")
        if self._watched.status in _MISSING:
            why = f"{self.endpoint} takes no metrics (HTTP {self._watched.status} at /v1/metrics); leave them out"
            return Sent(refused=count, why=why)
        return self._refused(count, "/v1/metrics")

    # -------------------------------------------------------------------------------------------------------- answers
    def _taken(self, count: int, what: str) -> Sent:
        rejected = min(self._watched.rejected, count)
        why = self._watched.said or f"the receiver rejected {what}" if rejected else ""
        return Sent(count - rejected, rejected, why)

    def _refused(self, count: int, path: str) -> Sent:
        """What a failure means: sent again later, not let in, or refused for good."""
        status, told = self._watched.status, self._watched.told
        where = f"{self.endpoint}{path}"
        if status is None:
            raise Unreachable(f"no receiver answers at {where} ({told}); start it, or name another with --endpoint")
        if status in _DENIED:
            raise Denied(f"{where} answers HTTP {status}; set OTEL_EXPORTER_OTLP_HEADERS to what it asks for")
        if status in _MISSING:
            raise Denied(f"{where} answers HTTP {status}: no OTLP receiver is there; name another with --endpoint")
        if status in (408, 429) or status >= 500:
            raise Unreachable(f"{where} answers HTTP {status}; try again when it is less busy")
        return Sent(refused=count, why=f"{where} answers HTTP {status} {self._watched.said}".rstrip())


class _Watched:
    """What came back during one call: the last status, what a partial success rejected, and the exporter's words."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.rejected = 0
        self.said = ""
        self.told = ""
        self._quiet = contextlib.ExitStack()

    def __enter__(self) -> _Watched:
        self.status, self.rejected, self.said, self.told = None, 0, "", ""
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(_overheard(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._quiet.close()

    def see(self, response: Any, *_: Any, **__: Any) -> None:
        """A hook on the session: a receiver may take a request and reject a part of it."""
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

        self.status = response.status_code
        if response.status_code >= 300:
            self.said = " ".join(response.text.split())[:200] if response.encoding else ""
            return
        answers: Mapping[str, tuple[Any, str]] = {
            "/v1/traces": (ExportTraceServiceResponse, "rejected_spans"),
            "/v1/metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
        }
        for path, (kind, count) in answers.items():
            if response.url.split("?")[0].endswith(path):
                with contextlib.suppress(DecodeError):
                    partial = kind.FromString(response.content).partial_success
                    self.rejected, self.said = getattr(partial, count), partial.error_message


@contextlib.contextmanager
def _overheard(watched: _Watched) -> Iterator[None]:
    """The exporters' log goes to us, who tell it in a sentence, and not to the screen."""
    log = logging.getLogger(_EXPORTERS)
    listener = logging.Handler()
    listener.emit = lambda record: _note(watched, record)  # type: ignore[method-assign]
    propagated = log.propagate
    log.addHandler(listener)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.propagate = propagated


def _note(watched: _Watched, record: logging.LogRecord) -> None:
    if record.levelno >= logging.WARNING and not watched.told:
        error = next((each for each in record.args if isinstance(each, Exception)), None) if record.args else None
        watched.told = _cause(error) if error is not None else record.getMessage()


def _cause(error: BaseException) -> str:
    """The words at the bottom of a connection's error: what the operating system said."""
    told = str(error)
    for words in ("Connection refused", "Name or service not known", "timed out", "Connection reset"):
        if words.lower() in told.lower():
            return words.lower()
    return type(error).__name__


# ------------------------------------------------------------------------------------------------------------- the SDK
def _context(trace_id: int, span_id: int) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}


def _metric(metric: Metric, window: Window) -> Any:
    from opentelemetry.sdk.metrics import export as sdk

    start, end = window.since_us * 1_000, window.until_us * 1_000
    cumulative = sdk.AggregationTemporality.CUMULATIVE
    data: Any
    if metric.bounds:
        histograms = [
            sdk.HistogramDataPoint(
                dict(point.attributes),
                start,
                end,
                count=point.count,
                sum=point.total,
                bucket_counts=point.counts,
                explicit_bounds=metric.bounds,
                min=point.least,
                max=point.greatest,
            )
            for point in metric.points
        ]
        data = sdk.Histogram(histograms, cumulative)
    else:
        numbers = [sdk.NumberDataPoint(dict(point.attributes), start, end, point.total) for point in metric.points]
        data = sdk.Sum(numbers, cumulative, is_monotonic=True)
    return sdk.Metric(metric.name, metric.description, metric.unit, data)
