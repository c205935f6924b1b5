"""The named statements: each runs, lists its columns, and gives what one counts by hand."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.ledger_samples import START, STEP, answer, attempt, decision, place, row_record, run_record
from toolkit.errors import RateLimited
from toolkit.ledger import (
    Entry,
    History,
    Journal,
    Table,
    answer_entry,
    attempt_entries,
    decision_entry,
    row_entry,
    run_entry,
)
from toolkit.ledger.views import questions
from toolkit.records import Grade

STATEMENTS = {name: text for name, text in vars(questions).items() if name.isupper() and isinstance(text, str)}
VALUES = {"split": None, "row": "row-00000"}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Four rows: answered by small, escalated to large, failed, reused from another run; and one set aside."""
    home: Path = tmp_path_factory.mktemp("home")

    def tried(row: int, number: int, model: str, **known: Any) -> tuple[Entry, ...]:
        made = attempt(f"{row}.{number}", model=model, number=number, **known)
        return attempt_entries(place(row), f"d{row}", made, None)

    with Journal.open(home) as journal:
        journal.write(
            run_entry(run_record("run-1", "finished", rows_total=5, finished_at=START + timedelta(seconds=9))),
            *(decision_entry(f"d{row}", place(row), decision("small"), None) for row in (0, 1)),
            decision_entry("d2", place(2), decision("large"), None),
            *tried(0, 1, "small", grades=(Grade("exact", "score", 1.0), Grade("Confidence()", "score", 0.1))),
            *tried(1, 1, "small", error=RateLimited("slow")),
            *tried(1, 2, "large", why="escalated: unsure", cost_usd=0.01, grades=(Grade("exact", "score", 0.0),)),
            *tried(2, 1, "large", cost_usd=None),
            answer_entry(answer(0, "parked", attempt_id=None, reason="asked 7 times", model="person")),
            answer_entry(answer(0, attempt_id="0.1", answered_at=START + timedelta(seconds=60))),
            answer_entry(answer(1, model="large", attempt_id="1.2")),
            answer_entry(answer(2, "failed", model=None, reason="took 31.5 s")),
            answer_entry(answer(3, attempt_id="x", reused_from="run-0")),
            answer_entry(answer(3, step="support/withheld", value=None, value_hash="h")),
            *(row_entry(row_record(row, "failed" if row == 2 else "answered")) for row in range(4)),
            row_entry(row_record(4, "set_aside", reason="row 4 has no 'ticket'")),
        )
    return History(home)


def asked(history: History, statement: str, **values: Any) -> Table:
    return history.sql(statement, values or None, run_id="run-1")


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_each_statement_runs_and_lists_its_columns(history: History, name: str) -> None:
    statement = STATEMENTS[name]
    values = {key: value for key, value in VALUES.items() if f"${key}" in statement}
    assert asked(history, statement, **values).columns
    assert re.search(r"select\s+\*", statement) is None
    assert len(set(asked(history, statement, **values).columns)) == len(asked(history, statement, **values).columns)


def test_calls_count_errors_and_prices_that_are_unknown(history: History) -> None:
    assert asked(history, questions.CALLS).rows == ((4, 1, pytest.approx(0.011), 1),)


def test_steps_have_a_line_per_model_with_what_was_asked_and_what_was_answered(history: History) -> None:
    steps = f"select step, model, calls, errors, answers, reused, unpriced from ({questions.STEPS})"
    found = asked(history, f"{steps} where step = 'triage'")
    assert sorted(found) == [("triage", "large", 2, 0, 1, 0, 1), ("triage", "small", 2, 1, 1, 1, 0)]


def test_quality_leaves_out_what_models_say_of_themselves(history: History) -> None:
    found = asked(history, questions.QUALITY, split=None)
    assert found.rows == (("triage", "large", "exact", 0.0, 1), ("triage", "small", "exact", 1.0, 1))


def test_the_mix_counts_choices_and_what_was_climbed_to(history: History) -> None:
    found = asked(history, questions.MIX)
    assert found.rows == (("triage", "small", 2, 0, 0, 0), ("triage", "large", 1, 0, 1, 0))


def test_problems_are_what_a_step_ended_with_at_last_and_rows_that_never_fitted(history: History) -> None:
    found = asked(history, questions.PROBLEMS)
    assert found.rows == (
        ("triage", "failed", "took 31.5 s", 1, ["row-00002"]),
        ("", "set_aside", "row 4 has no 'ticket'", 1, ["row-00004"]),
    )


def test_grading_sees_the_last_answered_answer_of_each_place_unless_its_value_is_withheld(history: History) -> None:
    found = asked(history, questions.ANSWERED)
    assert [(row[1], row[2], row[5], row[6]) for row in found] == [
        ("row-00000", STEP, "0.1", "small"),
        ("row-00001", STEP, "1.2", "large"),
        ("row-00003", STEP, "x", "small"),
    ]


def test_charts_leave_out_calls_of_unknown_cost(history: History) -> None:
    found = asked(history, questions.STEP_COSTS)
    assert [(row[1], round(row[2], 6), row[3]) for row in found] == [("large", 0.01, 1), ("small", 0.001, 1)]
