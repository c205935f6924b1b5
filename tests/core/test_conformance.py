"""Every grader and policy that ships keeps the laws that authors of plug-ins are given; others are caught by them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import toolkit as tk
from toolkit import grading
from toolkit.grading import Case, Grader, JudgedBy, Pointwise, Similar
from toolkit.grading.conformance import GraderConformance
from toolkit.policies import Accept, Facts, Move, Policy, Try
from toolkit.policies.conformance import PolicyConformance
from toolkit.records import Grade, Reply

PASSED = Pointwise("It is right.", shows=("truth",), scale="pass/fail")
PASSAGES = {"passages": "refund within 30 days"}
PROGRAM = {"tests": "assert double(2) == 4"}
GRADERS: dict[str, tuple[Callable[[], Grader], Case, Case]] = {
    name: (
        made,
        Case(right, fields, {"passages": "refund within 30 days"}),
        Case(wrong, fields, {"passages": "refund"}),
    )
    for name, made, fields, right, wrong in (
        ("Exact", lambda: grading.Exact("truth"), {"truth": "a"}, "a", "b"),
        ("Normalised", lambda: grading.Normalised("truth"), {"truth": "Café"}, "cafe", "tea"),
        ("Contains", lambda: grading.Contains("truth"), {"truth": ["Bonn", "Rome"]}, "in Bonn", "in Paris"),
        ("Numeric", lambda: grading.Numeric("truth", tolerance=0.01), {"truth": 10}, "about 10.05", "11"),
        ("TokenF1", lambda: grading.TokenF1("truth"), {"truth": "red parcel"}, "the red parcel", "blue"),
        ("Regex", lambda: grading.Regex(r"[A-Z]{2}-\d+"), {}, "AB-12", "none"),
        ("Schema", lambda: grading.Schema({"type": "object", "required": ["a"]}), {}, '{"a": 1}', "[]"),
        ("Recall", lambda: grading.Recall("truth", k=2), {"truth": ["a", "b"]}, ["a", "b"], ["x"]),
        ("NDCG", lambda: grading.NDCG("truth"), {"truth": {"a": 3, "b": 1}}, ["a", "b"], ["x", "b"]),
        ("Grounded", lambda: grading.grounded("passages"), {}, "within 30 days", "a free car"),
        ("JudgedBy", lambda: JudgedBy(PASSED, "judge"), {"truth": "a"}, "a", "b"),
        ("Similar", lambda: JudgedBy(Similar("truth"), "judge"), {"truth": "a"}, "a", "b"),
    )
}


@pytest.mark.parametrize("name", GRADERS)
def test_every_law_holds_for_every_grader(name: str) -> None:
    made, high, low = GRADERS[name]

    class Suite(GraderConformance):
        right, wrong = high, low

        def grader(self) -> Grader:
            return made()

        def reply(self, case: Case) -> Reply:
            alike = case.value == case.fields.get("truth")
            if name == "Similar":
                return Reply(value=[[1.0, 0.0], [1.0, 0.0] if alike else [0.0, 1.0]])
            return Reply(value={"reason": "held against the truth", "passed": alike})

    all_laws(Suite())


def test_a_program_is_graded_by_the_laws_too() -> None:
    class Suite(GraderConformance):
        right = Case("def double(x): return 2 * x", PROGRAM)
        wrong = Case("def double(x): return x", PROGRAM)

        def grader(self) -> Grader:
            return grading.Passes("tests", seconds=2)

    for law in ("test_right_is_above_wrong", "test_it_is_a_value"):
        getattr(Suite(), law)()


POLICIES: dict[str, Callable[[], Policy]] = {
    "Once": tk.Once,
    "Retry": lambda: tk.Retry(2),
    "Repair": lambda: tk.Repair(1),
    "Refit": lambda: tk.Refit(1),
    "Escalate": lambda: tk.Escalate(below=0.6),
    "Escalate to a person": lambda: tk.Escalate(below=0.9, person_below=0.2),
    "Fallback": lambda: tk.Fallback(below=0.6),
    "Hedge": lambda: tk.Hedge(after=1.0),
    "Within": lambda: tk.Within(usd=0.02, seconds=30),
    "joined": lambda: (
        tk.Within(usd=0.5, seconds=60) | tk.Retry(2) | tk.Repair(1) | tk.Refit() | tk.Escalate() | tk.Fallback()
    ),
}


@pytest.mark.parametrize("name", POLICIES)
def test_every_law_holds_for_every_policy(name: str) -> None:
    class Suite(PolicyConformance):
        def policy(self) -> Policy:
            return POLICIES[name]()

    all_laws(Suite())


# --------------------------------------------------------------------------------------------------- the laws that bite
@dataclass(frozen=True)
class BadGrader(Grader):
    how: str

    def grade(self, case: Case) -> Any:
        name = repr(self)
        return {
            "out of range": Grade(name, "score", 7.0, reason="x"),
            "not a number": Grade(name, "score", float("nan"), reason="x"),
            "without a reason": Grade(name, "score", 0.5),
            "half an assertion": Grade(name, "assertion", 0.5, reason="x"),
            "under another name": Grade("Other()", "score", 0.5, reason="x"),
            "by chance": Grade(name, "score", random.random(), reason="x"),
            "no grade at all": 0.5,
        }[self.how]


@pytest.mark.parametrize(
    "how",
    ["out of range", "not a number", "without a reason", "half an assertion", "under another name", "by chance",
     "no grade at all"],
)  # fmt: skip
def test_a_grader_that_breaks_a_law_is_told(how: str) -> None:
    class Suite(GraderConformance):
        def grader(self) -> Grader:
            return BadGrader(how)

    with pytest.raises((AssertionError, AttributeError)):
        all_laws(Suite())


@dataclass(frozen=True)
class BadPolicy(Policy):
    how: str

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        moves: dict[str, Move | None] = {
            "tries for ever": Try(facts.decision.choice),
            "tries a person": Try("person") if last else None,
            "accepts errors": Accept(last) if last else None,
            "tries a stranger": Try("nobody") if last and not last.ok else None,
            "by chance": Try("small", after=random.random()) if last and not last.ok else None,
        }
        return moves[self.how]


@pytest.mark.parametrize("how", ["tries for ever", "tries a person", "accepts errors", "tries a stranger", "by chance"])
def test_a_policy_that_breaks_a_law_is_told(how: str) -> None:
    class Suite(PolicyConformance):
        def policy(self) -> Policy:
            return BadPolicy(how)

    with pytest.raises(AssertionError):
        all_laws(Suite())


def all_laws(suite: object) -> None:
    for law in sorted(name for name in dir(suite) if name.startswith("test_")):
        getattr(suite, law)()
