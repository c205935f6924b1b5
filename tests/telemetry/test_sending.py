"""What a receiver gets, and what is said when it refuses or does not answer."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from tests.telemetry.telemetry_samples import Desk
from toolkit.errors import RunError, SetupError
from toolkit.telemetry import export
from toolkit.telemetry.sending import Denied, Unreachable
from toolkit.telemetry.span import span_id_of, trace_id_of

if TYPE_CHECKING:
    from tests.telemetry.conftest import Receiver

NOWHERE = "http://127.0.0.1:9"
"""The port of a service that nobody runs."""


def command(desk: Desk, *arguments: str) -> Result:
    from toolkit.cli.app import app

    return CliRunner().invoke(app, ["telemetry", "--home", str(desk.history.home), *arguments], prog_name="toolkit")


def attributes(of: object) -> dict[str, object]:
    """Attributes of a span, a point or an event."""
    found = {}
    for each in of.attributes:  # type: ignore[attr-defined]
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


@pytest.mark.slow
def test_every_span_arrives_with_its_place_its_times_and_its_attributes(desk: Desk, receiver: Receiver) -> None:
    told = export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint)
    assert (told.rows, told.runs) == (8, 1)  # five rows and three items of lists
    assert (told.spans.accepted, told.spans.refused) == (len(receiver.spans), 0)
    root = next(s for s in receiver.named("invoke_workflow desk") if attributes(s)["toolkit.row_id"] == "hard")
    assert root.trace_id == trace_id_of(desk.run_id, "hard").to_bytes(16, "big")
    assert root.span_id == span_id_of(desk.run_id, "hard").to_bytes(8, "big")
    assert (root.parent_span_id, root.kind) == (b"", 1)
    assert root.links[0].trace_id == trace_id_of(desk.run_id).to_bytes(16, "big")
    (large,) = [s for s in receiver.named("chat large") if attributes(s)["toolkit.row_id"] == "hard"]
    known = attributes(large)
    assert (large.kind, large.trace_id) == (3, root.trace_id)
    assert known["gen_ai.response.finish_reasons"] == ["stop"]
    assert known["gen_ai.response.id"] == "response-1"
    assert known["gen_ai.usage.output_tokens"] == 30
    assert root.start_time_unix_nano <= large.start_time_unix_nano <= large.end_time_unix_nano
    assert large.end_time_unix_nano <= root.end_time_unix_nano
    assert receiver.schemas == {"https://opentelemetry.io/schemas/1.41.0"}
    assert {resource["service.name"] for resource in receiver.resources} == {"toolkit"}


@pytest.mark.slow
def test_a_failed_attempt_arrives_as_an_error_without_its_words(desk: Desk, receiver: Receiver) -> None:
    export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint)
    (failed,) = [s for s in receiver.named("chat small") if s.status.code == 2]
    assert (failed.status.message, attributes(failed)["error.type"]) == ("rate_limited", "rate_limited")
    export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint, content=True)
    failed = [s for s in receiver.named("chat small") if s.status.code == 2][-1]
    assert failed.status.message.startswith("slow down")


@pytest.mark.slow
def test_metrics_arrive_with_the_times_of_the_run_that_is_over(desk: Desk, receiver: Receiver) -> None:
    told = export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint)
    began, ended = desk.history.sql("select epoch_us(started_at), epoch_us(finished_at) from runs").rows[0]
    found = {metric.name: metric for metric in receiver.metrics}
    durations = found["gen_ai.client.operation.duration"].histogram
    assert durations.aggregation_temporality == 2
    assert {point.start_time_unix_nano for point in durations.data_points} == {began * 1_000}
    assert {point.time_unix_nano for point in durations.data_points} == {(ended + 1) * 1_000}
    assert list(durations.data_points[0].explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    rows = found["toolkit.rows"].sum
    assert rows.is_monotonic and sum(point.as_int for point in rows.data_points) == 5
    points = [p for m in receiver.metrics for p in (m.histogram.data_points or m.sum.data_points)]
    assert (told.points.accepted, told.points.refused) == (len(points), 0)


@pytest.mark.slow
def test_headers_and_the_services_name_come_from_the_environment(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20let-me-in")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "helpdesk")
    told = export(desk.history, run_id=desk.run_id)
    assert told.spans.accepted == len(receiver.spans) > 0
    assert {headers["authorization"] for headers in receiver.headers} == {"Bearer let-me-in"}
    assert {resource["service.name"] for resource in receiver.resources} == {"helpdesk"}


@pytest.mark.slow
def test_a_window_sends_what_ended_in_it_and_nothing_else(desk: Desk, receiver: Receiver) -> None:
    told = export(desk.history, since=datetime(2020, 1, 1, tzinfo=UTC), endpoint=receiver.endpoint)
    assert told.rows == 8
    assert export(desk.history, since=datetime.now(UTC), endpoint=receiver.endpoint).spans.accepted == 0


@pytest.mark.slow
def test_what_a_receiver_takes_and_rejects_in_part_is_counted(desk: Desk, receiver: Receiver) -> None:
    receiver.rejects = 3
    told = export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint, with_metrics=False)
    assert (told.spans.refused, told.spans.why) == (3, "too old")
    assert told.spans.accepted == len(receiver.spans)


@pytest.mark.slow
def test_one_bad_span_takes_no_other_with_it(desk: Desk, receiver: Receiver) -> None:
    receiver.hates = frozenset({"execute_tool glossary"})
    told = export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint, with_metrics=False)
    assert told.spans.refused == 1
    assert told.spans.accepted == len(receiver.spans) == len({span.span_id for span in receiver.spans})
    assert "HTTP 400" in told.spans.why


@pytest.mark.slow
def test_a_receiver_that_is_busy_for_a_moment_gets_everything_once(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "10")
    receiver.statuses = [503]
    told = export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint, with_metrics=False)
    assert told.spans.accepted == len(receiver.spans) == len({span.span_id for span in receiver.spans})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (401, Denied, "set OTEL_EXPORTER_OTLP_HEADERS"),
        (404, Denied, "no OTLP receiver is there"),
        (503, Unreachable, "HTTP 503"),
    ],
)
def test_a_receiver_that_will_not_take_it_is_told_in_a_sentence(
    desk: Desk, receiver: Receiver, status: int, error: type[Exception], told: str
) -> None:
    receiver.statuses = [status] * 20
    with pytest.raises(error, match=told):
        export(desk.history, run_id=desk.run_id, endpoint=receiver.endpoint)


@pytest.mark.slow
def test_nothing_is_imported_that_is_not_installed_and_the_sentence_says_how(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SetupError, match=r"pip install 'toolkit\[otel\]'"):
        export(desk.history, run_id=desk.run_id, endpoint=NOWHERE)
    assert export(desk.history, run_id=desk.run_id, dry_run=True).spans.accepted > 0


def test_an_unknown_run_is_refused(desk: Desk) -> None:
    with pytest.raises(RunError, match="there is no run 'nobody'"):
        export(desk.history, run_id="nobody", endpoint=NOWHERE)


# ------------------------------------------------------------------------------------------------------------- command
@pytest.mark.slow
def test_the_command_says_what_was_accepted(desk: Desk, receiver: Receiver) -> None:
    ended = command(desk, "--run", "latest", "--endpoint", receiver.endpoint, "--conventions", "genai-0.1")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith(f"8 rows and 1 runs: {len(receiver.spans)} spans accepted, ")
    assert "refused" not in ended.stdout
    assert "gen_ai.client.inference.duration" in {metric.name for metric in receiver.metrics}
    root = receiver.named("invoke_workflow desk")[0]
    assert attributes(root)["gen_ai.agent.name"] == "desk"


@pytest.mark.slow
def test_the_command_fails_where_some_was_refused(desk: Desk, receiver: Receiver) -> None:
    receiver.rejects = 1
    ended = command(desk, "--run", "latest", "--endpoint", receiver.endpoint, "--no-metrics")
    assert ended.exit_code == 1
    assert "1 spans and 0 metric points refused" in ended.stdout
    assert "toolkit: too old" in ended.stderr


@pytest.mark.slow
def test_a_dry_run_shows_a_rows_spans_and_sends_nothing(desk: Desk, receiver: Receiver) -> None:
    ended = command(desk, "--since", "1d", "--endpoint", receiver.endpoint, "--dry-run")
    assert ended.exit_code == 0, ended.output
    assert "invoke_workflow desk" in ended.stdout and "\n    chat small" in ended.stdout
    assert "would be sent" in ended.stdout
    assert receiver.requests == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--run", "latest", "--endpoint", NOWHERE), "no receiver answers at http://127.0.0.1:9/v1/traces"),
        (("--run", "latest", "--since", "1h"), "give --run or --since, not both"),
        (("--since", "yesterday"), "is neither like 30m, 24h or 7d nor a date"),
        (("--follow", "--dry-run"), "goes with neither --run nor --dry-run"),
        (("--conventions", "2"), "no conventions '2'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(desk: Desk, arguments: tuple[str, ...], told: str) -> None:
    ended = command(desk, *arguments)
    assert ended.exit_code == 2, ended.output
    assert [line for line in ended.stderr.splitlines() if told in line] == ended.stderr.splitlines()
