"""Graders as tables: the answer, the truth, the grade."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.core_samples import said
from toolkit import grading
from toolkit.grading import Case, Confidence, Contains, Exact, Grader, Grounded, Normalised, Numeric, Recorded
from toolkit.records import Reply

GRADES = [
    (Exact("truth"), "refund", "refund", 1.0),
    (Exact("truth"), "Refund", "refund", 0.0),
    (Exact("truth"), None, None, 1.0),
    (Exact("truth", of="intent"), {"intent": "refund"}, "refund", 1.0),
    (Exact("truth", of="intent"), "refund", "refund", 0.0),
    (Normalised("truth"), "  CAFÉ, please!", "cafe please", 1.0),
    (Normalised("truth"), "Straße", "STRASSE", 1.0),
    (Normalised("truth", of="intent"), {}, "none", 0.0),
    (Normalised("truth"), "x", None, None),
    (Contains("truth"), "It arrives on Monday.", "monday", 1.0),
    (Contains("truth"), "It arrives on Mondays.", "monday", 0.0),
    (Contains("truth"), "Berlin or Bonn", ["Paris", "Bonn"], 1.0),
    (Contains("truth"), "It costs 0 euro", 0, 1.0),
    (Contains("truth"), "anything", "", None),
    (Contains("truth"), "anything", [], None),
    (Numeric("truth"), "about 12.5 euro", 12.5, 1.0),
    (Numeric("truth"), 12.5, 12.5, 1.0),
    (Numeric("truth"), "1,234.50", 1234.5, 1.0),
    (Numeric("truth"), "1.234,50", 1234.5, 1.0),
    (Numeric("truth"), "12,5", 12.5, 1.0),
    (Numeric("truth"), "1,234", 1234, 1.0),
    (Numeric("truth"), "−3", -3, 1.0),
    (Numeric("truth"), "5", "5 pieces", 1.0),
    (Numeric("truth"), "none at all", 5, 0.0),
    (Numeric("truth"), "5", "unknown", None),
    (Numeric("truth"), True, 1, 0.0),
    (Numeric("truth", tolerance=0.1), "10.5", 10, 1.0),
]


@pytest.mark.parametrize(("grader", "value", "truth", "grade"), GRADES)
def test_an_answer_is_held_against_the_truth(grader: Grader, value: Any, truth: Any, grade: float | None) -> None:
    given = grader.grade(Case(value, {"truth": truth}))
    assert (None if given is None else given.value) == grade
    assert given is None or (given.grader, given.kind) == (repr(grader), "assertion")


@pytest.mark.parametrize("grader", [Exact("truth"), Normalised("truth"), Contains("truth"), Numeric("truth")])
def test_without_a_truth_there_is_no_grade(grader: Grader) -> None:
    assert grader.grade(Case("5", {})) is None


def test_grounded_is_the_share_of_words_that_stand_in_the_sources() -> None:
    case = Case("Returns within 30 days, free.", inputs={"passages": ["Returns: 30 days"], "other": "free within"})
    grade = grading.grounded("passages").grade(case)
    assert grade is not None
    assert grade.kind == "score"
    assert grade.value == pytest.approx(3 / 5)
    assert grade.reason == "not in the sources: free, within"
    whole = Grounded(("passages", "other")).grade(case)
    assert whole is not None
    assert whole.value == 1.0


@pytest.mark.parametrize("value", ["", None, "!?"])
def test_an_empty_answer_is_not_grounded(value: Any) -> None:
    grade = grading.grounded("passages").grade(Case(value, inputs={"passages": "x"}))
    assert grade is not None
    assert grade.value == 0.0


def test_recorded_and_confidence_pass_on_what_the_reply_says() -> None:
    reply = Reply(score=0.7, confidence=0.9)
    scored, confident = Recorded().grade(Case("x", reply=reply)), Confidence().grade(Case("x", reply=reply))
    assert scored is not None
    assert confident is not None
    assert (scored.value, confident.value) == (0.7, 0.9)
    assert Recorded().grade(Case("x", reply=said("x"))) is None
    assert Confidence().grade(Case("x")) is None
