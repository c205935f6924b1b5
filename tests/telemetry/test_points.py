"""Metrics are what the record adds up to."""

from __future__ import annotations

import random
from bisect import bisect_left
from pathlib import Path

import pytest

from tests.ledger.ledger_samples import attempt, place, run_record
from tests.telemetry.telemetry_samples import Desk
from toolkit.ledger import Journal, attempt_entries, run_entry
from toolkit.ledger.reading.history import History
from toolkit.telemetry.conventions import SECONDS, conventions
from toolkit.telemetry.facts import Window
from toolkit.telemetry.points import Metric, Point, metrics


def measured(desk: Desk, version: str = "1.41") -> dict[str, Metric]:
    return {m.name: m for m in metrics(desk.history, Window(desk.run_id), conventions(version))}


def by(metric: Metric, *names: str) -> dict[tuple[object, ...], Point]:
    """Points by some of their attributes."""
    return {tuple(dict(point.attributes).get(name) for name in names): point for point in metric.points}


def test_buckets_hold_what_is_at_most_their_bound(tmp_path: Path) -> None:
    drawn = random.Random(7)
    seconds = [*SECONDS, *(drawn.lognormvariate(0, 3) for _ in range(200))]
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()))
        for each in seconds:
            journal.write(*attempt_entries(place(), None, attempt(service_seconds=each), None))
    found = metrics(History(tmp_path), Window(), conventions())
    (point,) = next(m for m in found if m.name == "gen_ai.client.operation.duration").points
    expected = [0] * (len(SECONDS) + 1)
    for each in seconds:
        expected[bisect_left(SECONDS, each)] += 1
    assert point.counts == tuple(expected)
    assert point.count == len(seconds) == sum(point.counts)
    assert (point.least, point.greatest) == (min(seconds), max(seconds))
    assert point.total == pytest.approx(sum(seconds))


def test_tokens_durations_and_rows_add_up_to_the_record(desk: Desk) -> None:
    found = measured(desk)
    tokens = by(found["gen_ai.client.token.usage"], "gen_ai.request.model", "gen_ai.token.type")
    assert {key: point.total for key, point in tokens.items()} == {
        ("small", "input"): 500, ("small", "output"): 50, ("large", "input"): 600, ("large", "output"): 60,
    }  # fmt: skip
    durations = by(found["gen_ai.client.operation.duration"], "gen_ai.request.model", "error.type")
    assert {key: point.count for key, point in durations.items()} == {
        ("small", None): 5, ("small", "rate_limited"): 1, ("large", None): 2,
    }  # fmt: skip
    rows = by(found["toolkit.rows"], "toolkit.status")
    assert {key[0]: point.total for key, point in rows.items()} == {"answered": 3, "parked": 1, "failed": 1}


def test_unknown_costs_are_counted_and_are_not_nothing(desk: Desk) -> None:
    found = measured(desk)
    recorded = desk.history.sql("select sum(cost_usd), count(*) - count(cost_usd) from attempts").rows[0]
    cost = sum(point.total for point in found["toolkit.cost"].points) if "toolkit.cost" in found else None
    assert (cost, sum(point.total for point in found["toolkit.calls_of_unknown_cost"].points)) == recorded


def test_the_newer_conventions_count_tokens_and_time_tools_and_workflows(desk: Desk) -> None:
    found = measured(desk, "genai-0.1")
    totals = {name: sum(point.total for point in metric.points) for name, metric in found.items()}
    assert totals["gen_ai.client.inference.usage.input_tokens"] == 1_100
    assert totals["gen_ai.client.inference.usage.cache_read.input_tokens"] == 200
    assert totals["gen_ai.client.inference.usage.reasoning.output_tokens"] == 10
    tools = by(found["gen_ai.execute_tool.duration"], "gen_ai.tool.name", "error.type")
    assert {key: point.count for key, point in tools.items()} == {
        ("glossary", None): 1, ("words", None): 3, ("words", "failed"): 1, ("length", None): 3,
    }  # fmt: skip
    workflows = by(found["gen_ai.invoke_agent.duration"], "gen_ai.agent.name", "error.type")
    assert {key: point.count for key, point in workflows.items()} == {("desk", None): 4, ("desk", "failed"): 1}


def test_what_lies_outside_of_the_window_does_not_count(desk: Desk) -> None:
    (first,) = desk.history.sql("select epoch_us(min(started_at)) from attempts").rows[0]
    assert metrics(desk.history, Window(until_us=first), conventions()) == ()
    one = metrics(desk.history, Window(until_us=first + 1), conventions())
    assert next(m for m in one if m.name == "gen_ai.client.operation.duration").points[0].count == 1
