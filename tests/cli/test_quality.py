"""Grades after the fact: right by hand-made cases, recorded once, only where there is a truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from toolkit.errors import RunError, WorkflowError
from toolkit.evaluation.quality import grade_run
from toolkit.examples.support.quality import Recall, SameRows
from toolkit.grading import Case, Contains, Exact, Grounded
from toolkit.ledger import History

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Desk


@pytest.fixture
def home(desk: Desk) -> Path:
    """A run of two steps over rows with a truth, but for one."""
    desk.write("rows.csv", "id,text,truth\n1,ticket 1,ticket 1\n2,ticket 2,no such thing\n3,ticket 3,\n4,,x\n")
    assert desk.run("rows.csv").code == 1
    return desk.folder / ".toolkit"


def test_answers_are_graded_where_there_is_a_truth_with_their_model_and_attempt(home: Path) -> None:
    assert grade_run(home, "latest", {"first": [Contains("truth")]}) == 2
    graded = History(home).sql(
        """select g.row_id, g.step, g.model, g.value, a.step
        from grades g join attempts a on a.id = g.attempt_id order by 1"""
    )
    assert graded.rows == (
        ("1", "plain/first", "small", 1.0, "plain/first"),
        ("2", "plain/first", "small", 0.0, "plain/first"),
    )


@pytest.mark.slow
def test_grading_again_adds_only_what_is_new(home: Path) -> None:
    checks = {"first": [Contains("truth")]}
    assert grade_run(home, "latest", checks) == 2
    assert grade_run(home, "latest", checks) == 0
    assert grade_run(home, "latest", {"first": [Contains("truth"), Exact("truth")]}) == 3
    assert History(home).sql("select sum(n) from quality").rows == ((5,),)


@pytest.mark.slow
def test_a_grader_sees_the_values_of_the_rows_other_steps(home: Path) -> None:
    assert grade_run(home, "latest", {"second": [Grounded(("first",))]}) == 3
    assert History(home).sql("select min(value) from grades").rows == ((1.0,),)


def test_a_run_or_a_step_that_is_not_there_is_told(home: Path) -> None:
    with pytest.raises(RunError, match="no run 'nope'"):
        grade_run(home, "nope", {})
    with pytest.raises(WorkflowError, match="no answers of plain/third; it has first, second"):
        grade_run(home, "latest", {"third": [Exact("truth")]})


@pytest.mark.parametrize(
    ("found", "wanted", "grade"),
    [
        ([{"id": "a"}, {"id": "b"}], ["a"], 1.0),
        ([{"id": "a"}, {"id": "b"}], ["a", "c"], 0.5),
        ([], ["a"], 0.0),
        ([{"id": "a"}], [], None),
        ([{"id": "a"}], None, None),
    ],
)
def test_recall_is_the_share_of_the_right_passages_found(found: Any, wanted: Any, grade: float | None) -> None:
    given = Recall("passages").grade(Case(found, {"passages": wanted}))
    assert (given.value if given else None) == grade


@pytest.mark.parametrize(
    ("found", "truth", "grade"),
    [
        ([{"n": 5, "total": 253}], [[5, 253.0]], 1.0),
        ([{"total": 253.004, "n": 5}], [["5", "253.0"]], 1.0),
        ([{"day": "2026-06-03", "status": "delivered"}], [['"2026-06-03"']], 1.0),
        ([{"a": 1}, {"a": 2}], [[2], [1]], 1.0),
        ([{"a": 1}, {"a": 2}], [[1]], 0.0),
        ([{"a": 1}], [[1], [1]], 0.0),
        ([{"a": None}], [[None]], 1.0),
        ([], [[1]], 0.0),
        ([{"a": 1}], None, None),
    ],
)
def test_same_rows_judges_content_and_not_names_or_order(found: Any, truth: Any, grade: float | None) -> None:
    given = SameRows("facts").grade(Case(found, {"facts": truth}))
    assert (given.value if given else None) == grade
