"""Money in the views: what was pruned still counts, and another price book gives what Python reckons with it."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.ledger_samples import START, attempt, place, run_record
from toolkit.errors import TimedOut
from toolkit.ledger import Entry, History, Journal, attempt_entries, price_entry, run_entry
from toolkit.ledger.history.schema import BY_NAME
from toolkit.ledger.views.catalogue import VIEWS
from toolkit.messages import Text
from toolkit.money.prices import Price, PriceBook
from toolkit.records import Reply, Usage, new_id

FOLD = """
    select run_id, 'support' as workflow, step, model, timezone('UTC', started_at)::DATE as day, count(*) as calls,
        count(error_type) as errors, sum(cost_usd) as cost_usd,
        count(*) - count(cost_usd) as calls_of_unknown_cost, sum(input_tokens)::BIGINT as input_tokens,
        sum(output_tokens)::BIGINT as output_tokens, sum(cache_read_input_tokens)::BIGINT as cache_read_input_tokens,
        sum(reasoning_output_tokens)::BIGINT as reasoning_output_tokens, sum(wait_seconds) as wait_seconds,
        sum(service_seconds) as service_seconds
    from attempts where run_id = 'run-1' group by all"""
TOTALS = {
    "model_costs": "step, model, calls, errors, round(cost_usd, 9), calls_of_unknown_cost, "
    "round(cost_usd_per_call, 9), input_tokens, output_tokens, cache_read_input_tokens, reasoning_output_tokens, "
    "is_finished",
    "daily_costs": "day, model, calls, errors, round(cost_usd, 9), calls_of_unknown_cost, input_tokens, output_tokens",
    "run_summary": "run_id, attempts, errors, round(cost_usd, 9), attempts_of_unknown_cost, round(service_seconds, 9)",
    "runs_side_by_side": "run_id, step, attempts, errors, round(cost_usd, 9), attempts_of_unknown_cost, models",
}


def tries(run: str, *, shift: int = 0) -> list[Entry]:
    """Twelve attempts of a run over three days by two models, one of which nobody knows the cost of; one fails."""
    entries: list[Entry] = []
    for row in range(12):
        known: dict[str, Any] = {"started_at": START + timedelta(hours=6 * row + shift), "cost_usd": 0.001 * (row + 1)}
        if row == 5:
            known = {**known, "error": TimedOut("late"), "cost_usd": None}
        model = ("small", "large")[row % 2]
        known = {**known, "cost_usd": None} if model == "large" and row > 6 else known
        entries += attempt_entries(place(row, run=run), None, attempt(f"{run}.{row}", model=model, **known), None)
    return entries


def home(folder: Path, *entries: Entry) -> History:
    ended = [run_entry(run_record(run, "finished")) for run in ("run-1", "run-2")]
    with Journal.open(folder) as journal:
        journal.write(*ended, *entries)
    return History(folder)


def test_costs_are_the_same_before_and_after_attempts_are_pruned(tmp_path: Path) -> None:
    whole = home(tmp_path / "whole", *tries("run-1"), *tries("run-2", shift=5))
    folded = whole.sql(FOLD)
    bodies = [dict(zip(folded.columns, row, strict=True)) for row in folded]
    pruned = [Entry("pruned", new_id(), orjson.dumps(body)) for body in bodies]
    assert len(pruned) > 4
    kept = home(tmp_path / "kept", *pruned, *tries("run-2", shift=5))
    assert kept.sql("select count(*) from attempts").rows == ((12,),)
    for view, columns in TOTALS.items():
        query = f"select {columns} from {view} order by all"
        assert kept.sql(query).rows == whole.sql(query).rows, view


def test_pruned_calls_of_unknown_cost_do_not_become_free(tmp_path: Path) -> None:
    body = {"run_id": "run-1", "step": "s", "model": "m", "day": date(2026, 3, 1), "calls": 3, "errors": 0}
    folded = orjson.dumps({**body, "cost_usd": 0.0, "calls_of_unknown_cost": 3})
    history = home(tmp_path, Entry("pruned", new_id(), folded))
    found = history.sql("select calls, cost_usd, calls_of_unknown_cost, cost_usd_per_call from model_costs")
    assert found.rows == ((3, None, 3, None),)


def test_daily_costs_are_by_the_day_in_utc(tmp_path: Path) -> None:
    history = home(tmp_path, *tries("run-1"))
    found = history.sql("select day, model, calls, round(cost_usd, 6), calls_of_unknown_cost from daily_costs")
    first = START.astimezone(UTC).date()  # from nine o'clock, every six hours
    assert found.rows == (
        (first, "small", 2, 0.004, 0),
        (first, "large", 1, 0.002, 0),
        (first + timedelta(days=1), "small", 2, 0.012, 0),
        (first + timedelta(days=1), "large", 2, 0.004, 1),
        (first + timedelta(days=2), "small", 2, 0.02, 0),
        (first + timedelta(days=2), "large", 2, None, 2),
        (first + timedelta(days=3), "large", 1, None, 1),
    )


# ------------------------------------------------------------------------------------------------------------ drift
def reported(id: str, cost: float | None, computed: float | None, *, model: str = "small") -> tuple[Entry, ...]:
    reply = Reply((Text("x"),), usage=Usage(10, 1), cost_usd=cost)
    tried = attempt(id, model=model, reply=reply, computed_cost_usd=computed, cost_usd=cost, price_version="book")
    return attempt_entries(place(), None, tried, None)


def test_price_drift_sets_what_providers_report_beside_what_the_book_computes(tmp_path: Path) -> None:
    calls = [("a", 1.0, 1.0), ("b", 2.2, 2.0), ("c", 1.5, 3.0), ("d", 1.0, None), ("e", None, 1.0), ("f", 0.0, 0.0)]
    history = home(
        tmp_path,
        *(entry for call in calls for entry in reported(*call)),
        *reported("g", 1.0, 0.0, model="free"),
    )
    found = history.sql(
        """select model, calls, round(reported_cost_usd, 6), computed_cost_usd, round(ratio, 6),
        round(median_deviation, 6), worst_deviation, worst_attempt_id, price_versions, is_finished from price_drift"""
    )
    assert found.rows == (
        ("small", 4, 4.7, 6.0, 0.783333, 0.0, -0.5, "c", ["book"], True),
        ("free", 1, 1.0, 0.0, None, None, None, None, ["book"], True),
    )


# --------------------------------------------------------------------------------------------------------- repricing
def test_history_is_shown_under_every_book_that_knows_the_model(tmp_path: Path) -> None:
    tiers = Price(1.0, 0.0, tiers=((299, Price(10.0, 0.0)),))
    books = [PriceBook.of({"small": Price(2.0, 1.0), "other": Price(1.0)}), PriceBook.of({"small": tiers})]
    listed = [price_entry(*entry, noted_at=START) for book in books for entry in book.entries()]
    known = attempt_entries(place(), None, attempt("a", computed_cost_usd=0.7), None)
    failed = attempt_entries(place(1), None, attempt("b", error=TimedOut("late")), None)
    history = home(tmp_path, *listed, *known, *failed)
    found = history.sql(
        """select attempt_id, version, round(repriced_cost_usd, 9), computed_cost_usd from repriced
        order by attempt_id, repriced_cost_usd"""
    )
    first, second = (book.stamp("small") for book in books)
    assert found.rows[:2] == (("a", first, 0.00062, 0.7), ("a", second, 0.003, 0.7))
    assert sorted(found.rows[2:]) == sorted([("b", first, None, None), ("b", second, None, None)])


COUNTS = st.one_of(st.none(), st.integers(0, 50), st.integers(0, 3_000_000))
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, st.none())
AMOUNTS = st.one_of(st.just(0.0), st.floats(0.0, 200.0, allow_subnormal=False))
CACHED = st.one_of(st.none(), AMOUNTS)
FLAT = st.builds(Price, AMOUNTS, AMOUNTS, CACHED, CACHED, AMOUNTS)
TIERS = st.lists(st.tuples(st.integers(0, 100), FLAT), max_size=3, unique_by=lambda tier: tier[0])
PRICES = st.builds(
    lambda base, tiers: Price(base.input, base.output, base.cache_read, base.cache_write, base.request, tiers),
    FLAT,
    TIERS.map(lambda tiers: tuple(sorted(tiers, key=lambda tier: tier[0]))),
)


@pytest.fixture(scope="module")
def tables() -> duckdb.DuckDBPyConnection:
    """The two tables and the view, in memory."""
    connection = duckdb.connect(":memory:")
    for table in ("attempts", "prices"):
        connection.execute(BY_NAME[table].ddl)
    connection.execute(f"create view repriced as {next(view.sql for view in VIEWS if view.name == 'repriced')}")
    return connection


@pytest.mark.slow
@given(price=PRICES, usages=st.lists(USAGES, min_size=1, max_size=5))
def test_the_view_and_the_price_in_python_agree_on_every_cost(
    tables: duckdb.DuckDBPyConnection, price: Price, usages: list[Usage]
) -> None:
    tables.execute("delete from attempts")
    tables.execute("delete from prices")
    for entry in PriceBook.of({"m": price}).entries():
        body = orjson.loads(price_entry(*entry, noted_at=START).body)
        marks = ", ".join("?" for _ in body)
        tables.execute(f"insert into prices ({', '.join(body)}) values ({marks})", list(body.values()))
    for place_, usage in enumerate(usages):
        counts = (usage.input_tokens, usage.output_tokens)
        cached = (usage.cache_read_input_tokens, usage.cache_write_input_tokens)
        tables.execute(
            """insert into attempts (id, model, finish_reasons, input_tokens, output_tokens, cache_read_input_tokens,
            cache_write_input_tokens) values (?, 'm', [], ?, ?, ?, ?)""",
            [str(place_), *counts, *cached],
        )
    found = tables.execute("select repriced_cost_usd from repriced order by attempt_id").fetchall()
    wanted = [price.cost(usage) for usage in usages]
    assert [cost for (cost,) in found] == [None if c is None else pytest.approx(c, rel=1e-12) for c in wanted]
