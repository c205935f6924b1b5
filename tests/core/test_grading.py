"""Graders as tables: the answer, the truth, the grade."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.core_samples import said
from toolkit import grading
from toolkit.grading import (
    NDCG,
    Case,
    Confidence,
    Contains,
    Exact,
    Grader,
    Grounded,
    Normalised,
    Numeric,
    Passes,
    Recall,
    Recorded,
    Regex,
    Schema,
    TokenF1,
    graded,
)
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
    (Numeric("truth"), "1.5e3 metres", 1500, 1.0),
    (Numeric("truth"), "2E-2", 0.02, 1.0),
]


@pytest.mark.parametrize(("grader", "value", "truth", "grade"), GRADES)
def test_an_answer_is_held_against_the_truth(grader: Grader, value: Any, truth: Any, grade: float | None) -> None:
    given = graded(grader, Case(value, {"truth": truth}))
    assert (None if given is None else given.value) == grade
    assert given is None or (given.grader, given.kind) == (repr(grader), "assertion")


@pytest.mark.parametrize(
    "grader",
    [
        Exact("truth"), Normalised("truth"), Contains("truth"), Numeric("truth"), TokenF1("truth"), Recall("truth"),
        NDCG("truth"), Passes("truth"),
    ],
)  # fmt: skip
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


def test_f1_is_over_the_words_shared_with_the_nearest_truth() -> None:
    grade = TokenF1("truth").grade(Case("the red Parcel", {"truth": ["a blue one", "red parcel"]}))
    assert grade is not None
    assert grade.value == pytest.approx(2 * 2 / (3 + 2))
    assert (grade.kind, grade.reason) == ("score", "2 words shared of 3 given and 2 expected")


@pytest.mark.parametrize(
    ("given", "truth", "score"),
    [("", "x", 0.0), ("!", "?", 1.0), ("a a a", "a", 0.5), (None, "x", 0.0), ("x", "x", 1.0)],
)
def test_f1_at_the_edges(given: Any, truth: str, score: float) -> None:
    grade = TokenF1("truth").grade(Case(given, {"truth": truth}))
    assert grade is not None
    assert grade.value == score


@pytest.mark.parametrize(
    ("grader", "value", "right"),
    [
        (Regex(r"[A-Z]{2}-\d+"), "order AB-12, please", 1.0),
        (Regex(r"[A-Z]{2}-\d+", whole=True), "order AB-12, please", 0.0),
        (Regex(r"\d", of="n"), {"n": 7}, 1.0),
        (Regex(r"x"), None, 0.0),
        (Schema(), '{"a": 1}', 1.0),
        (Schema(), "no json", 0.0),
        (Schema({"type": "object", "required": ["a"]}), '```json\n{"a": 1}\n```', 1.0),
        (Schema({"type": "object", "required": ["a"]}), {"b": 1}, 0.0),
        (Schema('{"type": "integer"}', of="n"), {"n": 3}, 1.0),
        (Schema({"$ref": "https://example.org/schema"}), {}, 0.0),
    ],
)
def test_a_shape_is_had_or_not(grader: Grader, value: Any, right: float) -> None:
    grade = graded(grader, Case(value))
    assert grade is not None
    assert (grade.kind, grade.value) == ("assertion", right)


def test_what_is_no_pattern_schema_or_depth_is_told_when_it_is_built() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        Regex("(")
    with pytest.raises(ValueError, match="no JSON schema"):
        Schema({"type": "nothing"})
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Recall("relevant", k=0)
    with pytest.raises(ValueError, match="allows too little"):
        Passes("tests", seconds=0)


@pytest.mark.parametrize(
    ("got", "recall", "ndcg"),
    [
        (["a", "b", "x"], 1.0, 1.0),
        (["x", "a", "b"], 1.0, (1 / 1.584963 + 1 / 2) / (1 + 1 / 1.584963)),
        (["x", "y", "z", "a"], 0.0, 0.0),
        (["a", "a", "a"], 0.5, 1 / (1 + 1 / 1.584963)),
        ([{"id": "b"}, {"id": "a"}], 1.0, 1.0),
        ([], 0.0, 0.0),
        (None, 0.0, 0.0),
    ],
)
def test_retrieval_is_judged_by_what_is_found_and_in_which_order(got: Any, recall: float, ndcg: float) -> None:
    case = Case({"passages": got}, {"relevant": ["a", "b"]})
    found = [grader("relevant", k=3, of="passages").grade(case) for grader in (Recall, NDCG)]
    assert [grade and grade.value for grade in found] == pytest.approx([recall, ndcg], abs=1e-6)


def test_gains_weigh_the_order() -> None:
    case = Case(["low", "high"], {"relevant": {"high": 3, "low": 1, "none": 0}})
    grade = NDCG("relevant").grade(case)
    assert grade is not None
    assert grade.value == pytest.approx((1 + 3 / 1.584963) / (3 + 1 / 1.584963), abs=1e-6)


ADDS = "assert add(2, 3) == 5"


@pytest.mark.parametrize(
    ("program", "right", "told"),
    [
        ("def add(a, b):\n    return a + b", 1.0, "the tests passed"),
        ("Here:\n```python\ndef add(a, b):\n    return a + b\n```\nDone.", 1.0, "the tests passed"),
        ("def add(a, b):\n    return a - b", 0.0, "AssertionError"),
        ("def add(a, b:", 0.0, "SyntaxError"),
        ("raise SystemExit(0)", 0.0, "it ended before the tests did"),
        ("import os\nos._exit(0)", 0.0, "it ended before the tests did"),
        ("while True: pass", 0.0, "it ran longer than 1 s"),
        ("import time\ntime.sleep(60)", 0.0, "it ran longer than 1 s"),
        ("x = bytearray(10 ** 10)", 0.0, "MemoryError"),
        ("import os\nassert 'CANARY' not in os.environ\ndef add(a, b):\n    return a + b", 1.0, "the tests passed"),
        ("", 0.0, "NameError"),
    ],
)
def test_a_program_passes_where_the_tests_come_to_their_end(
    program: str, right: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "of the parent")
    grade = Passes("tests", seconds=1).grade(Case(program, {"tests": ADDS}))
    assert grade is not None
    assert grade.value == right
    assert told in grade.reason


@pytest.mark.parametrize(
    "grader",
    [TokenF1("truth"), Regex("a+"), Schema({"type": "object"}), Recall("r", k=3), NDCG("r"), Passes("tests"),
     Grounded(("a",)), Numeric("n")],
)  # fmt: skip
def test_the_repr_of_a_grader_builds_it(grader: Grader) -> None:
    assert eval(repr(grader)) == grader
    assert hash(grader) == hash(eval(repr(grader)))


# ------------------------------------------------------------------------------------------------- answers in the wild
@pytest.mark.parametrize(
    ("text", "number"),
    [
        (".5", 0.5), ("It is .75.", 0.75), ("between 10-12", 12.0), ("COVID-19", 19.0), ("12 m2", 12.0), ("USD5", 5.0),
        ("-3", -3.0), ("about −3.5 degrees", -3.5), ("(7)", 7.0), ("1.2e3", 1200.0), ("costs 3.", 3.0),
    ],
)  # fmt: skip
def test_the_last_number_that_stands_alone_is_the_answer(text: str, number: float) -> None:
    grade = graded(Numeric("truth"), Case(text, {"truth": number}))
    assert grade is not None and grade.value == 1, grade


@pytest.mark.parametrize(("one", "other"), [("-5", "5"), ("C++", "C"), ("C#", "C")])
def test_a_sign_and_a_plus_are_no_punctuation(one: str, other: str) -> None:
    grade = graded(Normalised("truth"), Case(one, {"truth": other}))
    assert grade is not None and grade.value == 0
    same = graded(Normalised("truth"), Case(f" {one.lower()}. ", {"truth": one}))
    assert same is not None and same.value == 1


def test_a_field_that_is_a_text_need_be_no_json() -> None:
    grader = Schema({"type": "string", "enum": ["refund"]}, of="intent")
    for intent, value in (("refund", 1), ("other", 0)):
        grade = graded(grader, Case({"intent": intent}))
        assert grade is not None and grade.value == value


CODE = "def f(n):\n    return n + 1"


FENCED = (
    f"```python\n{CODE}\n```\nExample output:\n```\n>>> f(1)\n2\n```",
    f"```bash\npip install x\n```\n```py\n{CODE}\n```",
    f"```python3\n{CODE}\n```",
    f"```\n{CODE}\n```",
)


@pytest.mark.parametrize("answer", [CODE, *FENCED])
def test_of_an_answer_with_fences_the_python_counts(answer: str) -> None:
    grade = graded(Passes("tests"), Case(answer, {"tests": "assert f(1) == 2"}))
    assert grade is not None and grade.value == 1, grade


@pytest.mark.parametrize("tests", ["def test_f():\n    assert f(1) == 3", "def check(g):\n    assert g(1) == 3"])
def test_tests_that_call_nothing_give_no_grade(tests: str) -> None:
    grade = graded(Passes("tests"), Case(CODE, {"tests": tests}))
    assert grade is not None and grade.value is None and "call nothing" in grade.reason


def test_what_is_retrieved_twice_takes_two_places() -> None:
    grade = graded(Recall("relevant", k=2), Case(["a", "a", "a", "b"], {"relevant": ["b"]}))
    assert grade is not None and grade.value == 0


def test_nothing_is_in_an_empty_answer() -> None:
    assert graded(Contains("truth"), Case("", {"truth": ["???"]})) is None
