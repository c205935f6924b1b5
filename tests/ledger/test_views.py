"""The views give the numbers that one reckons by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.ledger_samples import START, STEP, answer, attempt, decision, place, row_record, run_record
from toolkit.errors import RateLimited, TimedOut
from toolkit.ledger import (
    Entry,
    History,
    Journal,
    Review,
    answer_entry,
    attempt_entries,
    content_entry,
    decision_entry,
    review_entry,
    row_entry,
    run_entry,
)
from toolkit.records import Grade

PROMPT = content_entry(b"Triage this.")


def _row(row: int, *tries: tuple[str, object]) -> list[Entry]:
    """A row whose attempts are (model, seconds or error), decided for the first model."""
    entries = [decision_entry(f"d{row}", place(row), decision(tries[0][0]), PROMPT.id)]
    for number, (model, outcome) in enumerate(tries, 1):
        known: dict[str, Any] = {"number": number, "started_at": START + timedelta(seconds=row), "grades": ()}
        if isinstance(outcome, float):
            known |= {"service_seconds": outcome, "wait_seconds": outcome / 10, "cost_usd": outcome / 1000}
            known["grades"] = (Grade("helpful", "score", outcome / 10),)
        else:
            known |= {"error": outcome}
        entries += attempt_entries(place(row), f"d{row}", attempt(f"a{row}.{number}", model=model, **known), PROMPT.id)
    return entries


@pytest.fixture(scope="module", params=["merged", "not merged", "half merged"])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    home: Path = tmp_path_factory.mktemp("home")
    first = [
        run_entry(run_record("run-1", rows_total=4)),
        PROMPT,
        *_row(0, ("small", 1.0)),
        *_row(1, ("small", 3.0)),
        row_entry(row_record(2, "failed", cost_usd=None)),
        row_entry(row_record(3, "parked")),
        review_entry(Review("k3", place(3), "Refund?", START, why="ladder ended")),
        review_entry(Review("k9", place(9), "Old?", START)),
    ]
    second = [
        *_row(2, ("small", RateLimited("slow")), ("small", RateLimited("slower")), ("large", 8.0)),
        *_row(3, ("large", TimedOut("late"))),
        answer_entry(answer(0, model="small", attempt_id="a0.1", seconds=1.0, attempts=1)),
        answer_entry(answer(1, model="small", attempt_id="a1.1", seconds=2.0, attempts=1)),
        answer_entry(answer(2, model="large", attempt_id="a2.3", seconds=9.0, attempts=3)),
        answer_entry(answer(3, "parked", model=None, seconds=50.0)),
        *(row_entry(row_record(row)) for row in (0, 1, 2)),
        review_entry(Review("k9", place(9), "Old?", START, status="answered", value=True)),
        run_entry(run_record("run-1", "finished", rows_total=4, finished_at=START + timedelta(seconds=90))),
        run_entry(run_record("run-2")),
    ]
    with Journal.open(home, merges=request.param == "merged") as journal:
        journal.write(*first)
        if request.param == "half merged":
            journal.flush()
            journal.merge()
        journal.write(*second)
    return History(home)


def test_model_costs_are_summed_by_step_and_model_and_tell_what_is_unknown(history: History) -> None:
    found = history.sql(
        """select step, model, calls, errors, round(cost_usd, 6), calls_of_unknown_cost, input_tokens, is_finished
        from model_costs order by model"""
    )
    assert found.rows == ((STEP, "large", 2, 1, 0.008, 1, 300, True), (STEP, "small", 4, 2, 0.004, 2, 600, True))


def test_step_timings_tell_service_apart_from_waiting(history: History) -> None:
    found = history.sql(
        "select p50_service_seconds, p95_service_seconds, p50_wait_seconds from step_timings where model = 'small'"
    )
    # services of small: 1, 3 and two failures of 1 second; waits 0.1, 0.3, 0.1, 0.1
    assert [round(value, 6) for value in found.rows[0]] == [1.0, 2.7, 0.1]


def test_slowest_steps_are_ranked_by_what_settling_them_took_and_name_their_slowest_row(history: History) -> None:
    found = history.sql(
        """select step, answers, p50_seconds, max_seconds, total_seconds, share_of_seconds, attempts_per_answer,
        slowest_row_id, is_finished from slowest_steps"""
    )
    # answered in 1, 2 and 9 seconds with 1, 1 and 3 attempts; the parked row waits for a person and is not slow
    assert found.rows == ((STEP, 3, 2.0, 9.0, 12.0, 1.0, 5 / 3, "row-00002", True),)


def test_routing_mix_gives_shares_of_decisions_and_of_answers(history: History) -> None:
    found = history.sql("select model, decisions, share_of_decisions, answers, share_of_answers from routing_mix")
    assert found.rows == (("large", 1, 0.25, 1, 1 / 3), ("small", 3, 0.75, 2, 2 / 3))


def test_failures_are_counted_by_class_model_and_step(history: History) -> None:
    found = history.sql(
        """select error_type, model, step, attempts, rows_affected, attempts_of_class, last_message, is_finished
        from failures"""
    )
    assert found.rows == (
        ("rate_limited", "small", STEP, 2, 1, 2, "slower", True),
        ("timeout", "large", STEP, 1, 1, 1, "late", True),
    )


def test_waiting_shows_open_questions_only_and_since_when(history: History) -> None:
    found = history.sql('select row_id, "index", question, waiting_since, why from waiting')
    assert found.rows == (("row-00003", 3, "Refund?", START, "ladder ended"),)


def test_quality_is_the_mean_grade_by_model(history: History) -> None:
    found = history.sql("select model, grader, n, round(mean, 6) from quality")
    assert found.rows == (("large", "helpful", 1, 0.8), ("small", "helpful", 2, 0.2))


def test_run_summary_counts_rows_by_status_and_tells_whether_the_run_is_finished(history: History) -> None:
    found = history.sql(
        """select run_id, is_finished, rows_total, answered, parked, failed, attempts, errors, round(cost_usd, 6),
        attempts_of_unknown_cost, seconds from run_summary order by run_id"""
    )
    assert found.rows == (
        ("run-1", True, 4, 3, 1, 0, 6, 3, 0.012, 3, 90.0),
        ("run-2", False, None, 0, 0, 0, 0, 0, None, 0, None),
    )


def test_attempts_text_has_prompt_and_output(history: History) -> None:
    found = history.sql("select id, request, output from attempts_text where id in ('a2.2', 'a2.3') order by id")
    assert found.rows == (("a2.2", "Triage this.", None), ("a2.3", "Triage this.", '{"intent":"refund"}'))


def test_lineage_tells_which_attempt_gave_the_answer(history: History) -> None:
    found = history.sql("select attempt_id, gave_the_answer from lineage where row_id = 'row-00002' order by number")
    assert found.rows == (("a2.1", False), ("a2.2", False), ("a2.3", True))


@pytest.mark.parametrize("history", ["merged", "half merged"], indirect=True)
def test_every_view_and_column_says_in_the_file_what_it_is(history: History) -> None:
    found = history.sql(
        """select (select count(*) from duckdb_columns() where database_name = 'history' and comment is null
            and table_name in (select table_name from duckdb_tables() where comment is not null)),
        (select count(*) from duckdb_views() where database_name = 'history' and not internal and comment is null)"""
    )
    assert found.rows == ((0, 0),)
