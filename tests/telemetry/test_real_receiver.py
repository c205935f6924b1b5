"""A run of the support desk through a collector that is not ours: Rotel, installed here and started on the loopback.

It parses OTLP by itself, traces and metrics, keeps what it understood, and passes that on in its own words: to a second
receiver, where it is compared with the record.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.environments import installed
from tests.telemetry.conftest import Receiver, listening
from toolkit.errors import RateLimited
from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import support
from toolkit.fleet import Fleet
from toolkit.ledger.reading.history import History
from toolkit.records import Reply, Request
from toolkit.telemetry import export
from toolkit.telemetry.conventions import conventions
from toolkit.telemetry.facts import Window
from toolkit.telemetry.points import Metric, metrics
from toolkit.telemetry.span import span_id_of, trace_id_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOCK = Path(__file__).with_name("collector.lock")
ROWS = 12


@pytest.fixture(scope="session")
def behind() -> Iterator[Receiver]:
    """Who receives what the collector passes on."""
    with listening() as made:
        yield made


@pytest.fixture(scope="session")
def collector(behind: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The collector's endpoint."""
    folder = tmp_path_factory.mktemp("collector")
    python = installed(LOCK, folder)
    agent = next(python.parents[1].glob("lib/python*/site-packages/rotel/rotel-agent"))
    grpc, http = _free_port(), _free_port()
    command: list[str | Path] = [
        agent,
        "start",
        "--exporter",
        "otlp",
        "--otlp-exporter-protocol",
        "http",
        "--batch-timeout",
        "50ms",
    ]
    command += ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"]
    for signal in ("traces", "metrics", "logs"):
        command += [f"--otlp-exporter-{signal}-endpoint", f"{behind.endpoint}/v1/{signal}"]
    command += ["--pid-file", folder / "pid"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ROTEL_"))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_open(http, process, folder / "log")
            yield f"http://127.0.0.1:{http}"
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The support desk over a few tickets, whose small model is busy when it is first asked."""
    home = tmp_path_factory.mktemp("support")
    fleet = Fleet.load(FLEET)
    spec, small, moments = fleet["small"], fleet.open("small"), iter([True])

    async def busy_at_first(request: Request) -> Reply:
        if next(moments, False):
            raise RateLimited("one moment please", retry_after=0.01)
        return await small.send(request)

    fields = {"capabilities": spec.capabilities, "window": spec.window, "price": spec.price, "model": spec.model}
    support.run(str(REQUESTS), fleet.with_function("small", busy_at_first, **fields), home=home, limit=ROWS)
    return home


@dataclass(frozen=True)
class Stored:
    """What was exported, by the record and by what the collector passed on."""

    history: History
    run_id: str
    spans: list[dict[str, Any]]
    metrics: list[Any]

    def of(self, name: str, value: object) -> list[dict[str, Any]]:
        """The spans that have that attribute."""
        return [span for span in self.spans if span["attributes"].get(name) == value]

    def span(self, span_id: int) -> dict[str, Any]:
        (found,) = [span for span in self.spans if span["span_id"] == f"{span_id:016x}"]
        return found


@pytest.fixture(scope="session")
def stored(collector: str, behind: Receiver, home: Path) -> Stored:
    history = History(home)
    run_id = history.sql("select id from runs").rows[0][0]
    told = export(history, run_id=run_id, endpoint=collector)
    assert (told.rows, told.runs, told.spans.refused, told.points.refused) == (ROWS, 1, 0, 0)
    deadline = time.monotonic() + 60
    while len(behind.spans) < told.spans.accepted or _points(behind.metrics) < told.points.accepted:
        assert time.monotonic() < deadline, f"{len(behind.spans)} of {told.spans.accepted} spans were passed on"
        time.sleep(0.05)
    return Stored(history, run_id, [_plain(span) for span in behind.spans], behind.metrics)


def _points(received: list[Any]) -> int:
    return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in received)


def _plain(span: Any) -> dict[str, Any]:
    """A span as a dict: ids in hexadecimal, attributes as a mapping."""
    return {
        "name": span.name,
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "start_time_unix_nano": span.start_time_unix_nano,
        "end_time_unix_nano": span.end_time_unix_nano,
        "status": {"code": span.status.code},
        "attributes": _attributes(span.attributes),
    }


def _attributes(listed: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in listed}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)


# --------------------------------------------------------------------------------------------------------------- tests
def test_all_that_was_sent_arrives_once(stored: Stored) -> None:
    expected: list[int] = []
    export(
        stored.history,
        run_id=stored.run_id,
        dry_run=True,
        sample=lambda spans: expected.extend(s.span_id for s in spans),
    )
    assert sorted(span["span_id"] for span in stored.spans) == sorted(f"{each:016x}" for each in expected)


def test_every_attempt_on_record_arrives_with_its_usage_cost_and_times(stored: Stored) -> None:
    recorded = stored.history.sql(
        "select id, operation_name, request_model, provider_name, input_tokens, output_tokens, cost_usd, error_type, "
        "epoch_us(started_at), service_seconds from attempts"
    ).rows
    assert len(recorded) > ROWS
    for id, operation, model, provider, input_tokens, output_tokens, cost_usd, error, started_us, seconds in recorded:
        (span,) = stored.of("toolkit.attempt_id", id)
        known = span["attributes"]
        assert span["name"] == f"{operation} {model}"
        assert (known["gen_ai.operation.name"], known["gen_ai.provider.name"]) == (operation, provider)
        assert known.get("gen_ai.usage.input_tokens") == input_tokens
        assert known.get("gen_ai.usage.output_tokens") == output_tokens
        assert known.get("toolkit.cost_usd") == cost_usd
        assert known.get("error.type") == error
        assert abs(span["start_time_unix_nano"] - started_us * 1_000) < 1_000
        lasted = span["end_time_unix_nano"] - span["start_time_unix_nano"]
        assert abs(lasted - seconds * 1e9) < 2_000


def test_rows_steps_and_attempts_stand_below_each_other(stored: Stored) -> None:
    by_id = {span["span_id"]: span for span in stored.spans}
    rows = stored.history.sql("select row_id from rows").column("row_id")
    for row_id in rows:
        root = stored.span(span_id_of(stored.run_id, row_id))
        assert root["name"] == "invoke_workflow support"
        assert root["trace_id"] == f"{trace_id_of(stored.run_id, row_id):032x}"
        assert not root["parent_span_id"]
    for attempt in [span for span in stored.spans if "toolkit.attempt_id" in span["attributes"]]:
        step = by_id[attempt["parent_span_id"]]
        assert step["name"] == attempt["attributes"]["toolkit.step"].split("/")[-1]
        assert by_id[step["parent_span_id"]]["name"] in ("invoke_workflow support", "run support")
        assert step["trace_id"] == attempt["trace_id"] == by_id[step["parent_span_id"]]["trace_id"]
    assert stored.of("gen_ai.tool.name", "passages")[0]["name"] == "execute_tool passages"


def test_the_failed_attempt_arrives_as_an_error_and_its_retry_beside_it(stored: Stored) -> None:
    (failed,) = stored.of("error.type", "rate_limited")
    assert failed["status"]["code"] == 2
    beside = [span for span in stored.spans if span["parent_span_id"] == failed["parent_span_id"]]
    retried = next(span for span in beside if span["attributes"]["toolkit.number"] == 2)
    assert retried["attributes"]["toolkit.why"] == "retry 1 after rate_limited"


def test_an_escalation_arrives_with_its_reason(stored: Stored) -> None:
    escalated = [s for s in stored.spans if str(s["attributes"].get("toolkit.why", "")).startswith("escalated: small")]
    count = stored.history.sql("select count(*) from attempts where why like 'escalated: small%'").rows[0][0]
    assert len(escalated) == count > 0
    step = stored.span(int(escalated[0]["parent_span_id"], 16))["attributes"]
    assert step["toolkit.route.router"] == "Explore(Ladder('small', 'large', 'person'), rate=0.1)"


def test_no_ticket_has_left_the_record(stored: Stored) -> None:
    tickets = stored.history.sql("select fields ->> 'ticket' from rows").rows
    everything = repr(stored.spans)
    assert not [ticket for (ticket,) in tickets if ticket in everything]


def test_the_metrics_that_arrive_are_those_of_the_record(stored: Stored) -> None:
    sent = metrics(stored.history, Window(), conventions())
    assert sorted(metric.name for metric in stored.metrics) == sorted(metric.name for metric in sent)
    received = {metric.name: metric for metric in stored.metrics}
    for metric in sent:
        assert received[metric.name].unit == metric.unit
        assert _measured(received[metric.name]) == _expected(metric)


def _expected(metric: Metric) -> dict[frozenset[tuple[str, Any]], tuple[float, ...]]:
    return {
        frozenset(point.attributes): (point.count, point.total, *point.counts) if metric.bounds else (point.total,)
        for point in metric.points
    }


def _measured(metric: Any) -> dict[frozenset[tuple[str, Any]], tuple[float, ...]]:
    found = {}
    for point in getattr(metric, metric.WhichOneof("data")).data_points:
        name = frozenset(_attributes(point.attributes).items())
        if metric.WhichOneof("data") == "histogram":
            found[name] = (point.count, point.sum, *point.bucket_counts)
        else:
            found[name] = (getattr(point, point.WhichOneof("value")),)
    return found
