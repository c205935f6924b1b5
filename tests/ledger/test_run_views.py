"""Runs beside each other, drift of routing from one to the next, and what went into each request."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.ledger_samples import START, STEP, answer, attempt, decision, place, run_record
from toolkit.errors import TimedOut
from toolkit.ledger import Entry, History, Journal, answer_entry, attempt_entries, decision_entry, run_entry
from toolkit.records import Answer, Grade, Place, Run


def begun(run: str, day: int, **changes: Any) -> Entry:
    known = run_record(run, changes.pop("status", "finished"), **changes)
    return run_entry(Run(**{**{f: getattr(known, f) for f in known.__slots__}, "started_at": START + timedelta(day)}))


def home(folder: Path, *entries: Entry) -> History:
    with Journal.open(folder) as journal:
        journal.write(*entries)
    return History(folder)


# -------------------------------------------------------------------------------------------------------- side by side
def test_runs_of_a_workflow_stand_beside_each_other_step_by_step(tmp_path: Path) -> None:
    def row(run: str, number: int, **known: Any) -> list[Entry]:
        tried = attempt(f"{run}.{number}", **known)
        answered = answer(number, run=run, attempt_id=tried.id, model=tried.model)
        return [*attempt_entries(place(number, run=run), None, tried, None), answer_entry(answered)]

    history = home(
        tmp_path,
        begun("late", 2, status="running"),
        begun("early", 1),
        *row("early", 0, cost_usd=0.01, service_seconds=1.0, grades=(Grade("g", "score", 0.5), Grade("w", "label"))),
        *row("early", 1, model="large", cost_usd=0.03, service_seconds=3.0, grades=(Grade("g", "score", 1.0),)),
        *attempt_entries(place(1, run="early"), None, attempt("failed", error=TimedOut("late")), None),
        *row("late", 0, cost_usd=0.002),
        answer_entry(answer(1, run="late", reused_from="early", model="large")),
    )
    found = history.sql(
        """select workflow, step, run_id, is_finished, answers, reused, attempts, errors, round(cost_usd, 6),
        attempts_of_unknown_cost, round(cost_usd_per_answer, 6), p50_service_seconds, mean_quality, grades, models
        from runs_side_by_side"""
    )
    assert found.rows == (
        ("support", STEP, "early", True, 2, 0, 3, 1, 0.04, 1, 0.02, 1.0, 0.75, 2, ["large", "small"]),
        ("support", STEP, "late", False, 2, 1, 1, 0, 0.002, 0, 0.001, 1.0, None, 0, ["small"]),
    )


# -------------------------------------------------------------------------------------------------------------- drift
def test_routing_drift_sets_each_share_beside_the_one_of_the_run_before(tmp_path: Path) -> None:
    def decided(run: str, **models: int) -> list[Entry]:
        chosen = [model for model, times in models.items() for _ in range(times)]
        return [
            decision_entry(f"{run}.{number}", place(number, run=run), decision(model), None)
            for number, model in enumerate(chosen)
        ]

    history = home(
        tmp_path,
        begun("third", 3, status="running"),
        begun("first", 1),
        begun("second", 2),
        *decided("third", large=2, other=2),
        *decided("first", small=3, large=1),
        *decided("second", small=2, large=2),
    )
    found = history.sql(
        """select run_id, model, decisions, share, run_before, share_before, change, share_moved, is_finished
        from routing_drift"""
    )
    assert found.rows == (
        ("first", "large", 1, 0.25, None, None, None, None, True),
        ("first", "small", 3, 0.75, None, None, None, None, True),
        ("second", "large", 2, 0.5, "first", 0.25, 0.25, 0.25, True),
        ("second", "small", 2, 0.5, "first", 0.75, -0.25, 0.25, True),
        ("third", "large", 2, 0.5, "second", 0.5, 0.0, 0.5, False),
        ("third", "other", 2, 0.5, "second", 0.0, 0.5, 0.5, False),
        ("third", "small", 0, 0.0, "second", 0.5, -0.5, 0.5, False),
    )


# ------------------------------------------------------------------------------------------------------------ lineage
def settled(row: str, step: str, key: str, value: object, **known: Any) -> Entry:
    at = Place("run-1", row, f"support/{step}")
    return answer_entry(Answer(at, key, "answered", value, **known))


def asked(row: str, id: str, inputs: dict[str, str], *, tries: int = 1) -> list[Entry]:
    """A reply asked for in a row, out of these inputs, in so many attempts."""
    at = Place("run-1", row, "support/reply")
    entries = [decision_entry(id, at, decision(), None, inputs=inputs)]
    for number in range(1, tries + 1):
        entries += attempt_entries(at, id, attempt(f"{id}.{number}", number=number), None)
    return entries


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Two rows whose tickets are the same, a handbook for all rows, and a child row that reads its parent's answer."""
    return home(
        tmp_path_factory.mktemp("home"),
        run_entry(run_record("run-1", "finished")),
        settled("*", "handbook", "kh", ["page"]),
        settled("a", "triage", "kt", "refund", model="small", attempt_id="t1", answered_at=START),
        settled("b", "triage", "kt", "refund", model="small", attempt_id="t1", reused_from="run-0", answered_at=START),
        settled("a", "shared", "kb", "by a"),
        settled("*", "shared", "kb", "by the batch"),
        *asked("a", "da", {"triage": "kt", "handbook": "kh"}, tries=2),
        *asked("b", "db", {"triage": "kt", "shared": "kb"}),
        *asked("a/0", "dc", {"triage": "kt", "gone": "kx"}),
        *asked("c", "dd", {}),
        settled("a", "reply", "kr", "Dear", model="small", attempt_id="da.2"),
        settled("z", "reply", "kr", "Dear", model="small", attempt_id="da.2"),
    )


def test_lineage_has_a_row_for_each_attempt_and_input_with_the_answer_that_went_in(history: History) -> None:
    found = history.sql(
        """select attempt_id, input, from_row_id, from_step, from_model, from_attempt_id, from_value, gave_the_answer
        from lineage where row_id = 'a' order by attempt_id, input"""
    )
    handbook = ("handbook", "*", "support/handbook", None, None, '["page"]')
    triage = ("triage", "a", "support/triage", "small", "t1", '"refund"')
    assert found.rows == (
        ("da.1", *handbook, False),
        ("da.1", *triage, False),
        ("da.2", *handbook, True),
        ("da.2", *triage, True),
    )


def test_lineage_prefers_the_rows_own_answer_then_the_batchs_and_says_whose_a_reused_one_was(history: History) -> None:
    found = history.sql("select input, from_row_id, from_run_id, from_value from lineage where row_id = 'b' order by 1")
    assert found.rows == (("shared", "*", "run-1", '"by the batch"'), ("triage", "b", "run-0", '"refund"'))


def test_lineage_of_a_child_row_finds_its_parents_answer_and_leaves_open_what_is_nowhere(history: History) -> None:
    found = history.sql("select input, input_key, from_row_id from lineage where row_id = 'a/0' order by input")
    assert found.rows == (("gone", "kx", None), ("triage", "kt", "a"))


def test_an_attempt_whose_request_was_made_of_no_answer_still_has_its_row(history: History) -> None:
    found = history.sql("select attempt_id, input, gave_the_answer from lineage where row_id = 'c'")
    assert found.rows == (("dd.1", None, False),)
