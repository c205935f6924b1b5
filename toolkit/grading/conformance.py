"""What every grader owes the engine and the history, as laws that pytest collects; made for authors of plug-ins, and
used on ours.

    class TestMine(GraderConformance):
        def grader(self) -> Grader:
            return Mine("truth")

`right` and `wrong` are cases in which the grader's number is high and low; beside them it is shown odd ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from toolkit.errors import CallError, StepError
from toolkit.grading.grader import Case, Grader
from toolkit.messages import Text
from toolkit.records import Grade, Reply, canonical

ODD: tuple[Any, ...] = (
    None, "", " ", "x", "Où est 📦?", "1e999", 0, -1.5, True, [], ["a", None, 3], {}, {"intent": None}, [[0.0]],
    "a" * 10_000, {"a": {"b": [1, {"c": "d"}]}},
)  # fmt: skip


class GraderConformance:
    """Subclass it under a name that pytest collects, and say how the grader is made."""

    right: Case | None = None
    wrong: Case | None = None

    def grader(self) -> Grader:
        """The grader."""
        raise NotImplementedError("say how the grader is made: def grader(self) -> Grader")

    def reply(self, case: Case) -> Reply:
        """What a model that the grader asks says about a case."""
        return Reply(parts=(Text("yes"),), value="yes")

    # -------------------------------------------------------------------------------------------------------- the laws
    def test_whatever_is_answered_it_gives_a_grade_or_none(self) -> None:
        """An answer of any shape, a truth of any shape: nothing escapes."""
        grader = self.grader()
        for case in self._cases():
            try:
                found = self._graded(grader, case)
            except StepError:
                if grader.names():
                    continue  # what it is to show is not there
                raise
            owed(found is None or isinstance(found, Grade), f"gave {found!r} for {case.value!r}")

    def test_a_grade_is_a_number_from_0_to_1_or_a_word_and_has_a_reason(self) -> None:
        """An assertion is 0 or 1, a score between them, a label a word."""
        for case, grade in self._grades():
            told = f"{grade!r} for {case.value!r:.60}"
            owed(grade.kind in ("assertion", "score", "label"), told)
            if grade.value is not None:
                owed(math.isfinite(grade.value) and 0 <= grade.value <= 1, f"a number from 0 to 1: {told}")
            if grade.kind == "assertion":
                owed(grade.value in (0.0, 1.0, None), f"an assertion is 0 or 1: {told}")
            if grade.kind == "label":
                owed(bool(grade.label), f"a label is a word: {told}")
            owed(bool(grade.reason.strip()), f"no reason: {told}")
            canonical([grade.value, grade.label, grade.reason])

    def test_the_name_on_record_is_its_own(self) -> None:
        """By that name comparisons, gates and calibrations find its grades."""
        grader = self.grader()
        for _, grade in self._grades():
            owed(
                grade.grader == grader.recorded_as(), f"{grade.grader!r} on record, and it is {grader.recorded_as()!r}"
            )

    def test_the_same_case_gets_the_same_grade(self) -> None:
        """Grading again adds nothing, so nothing may change."""
        grader = self.grader()
        for case, grade in self._grades():
            owed(self._graded(grader, case) == grade, f"graded otherwise the second time: {case.value!r:.60}")

    def test_right_is_above_wrong(self) -> None:
        """It tells the two cases apart that its author says are far apart."""
        if self.right is None or self.wrong is None:
            return
        right, wrong = (self._graded(self.grader(), case) for case in (self.right, self.wrong))
        owed(right is not None and wrong is not None, "one of the two cases has no grade")
        assert right is not None
        assert wrong is not None
        owed((right.value or 0.0) > (wrong.value or 0.0), f"right {right.value}, wrong {wrong.value}")

    def test_it_is_a_value(self) -> None:
        """Equal to one that is made alike, and to be hashed: its label is part of every answer's key."""
        one, other = self.grader(), self.grader()
        owed(one == other, "two that are made alike are not equal; make it a frozen dataclass")
        owed(hash(one) == hash(other), "two that are equal have different hashes")
        owed(repr(one) == repr(other), "two that are made alike have different labels")

    def test_whom_it_asks_may_fail(self) -> None:
        """A grader that asks gives a grade without a number then, or none; the error is not the answer's."""
        grader = self.grader()
        if not grader.names():
            return
        for case in (each for each in (self.right, self.wrong) if each is not None):
            found = self._graded(grader, case, CallError("it is down"))
            owed(found is None or found.value is None, f"a number, though nobody said one: {found!r}")

    # --------------------------------------------------------------------------------------------------------- helpers
    def _cases(self) -> Iterator[Case]:
        known = [case for case in (self.right, self.wrong) if case is not None]
        yield from known
        for value in ODD:
            yield Case(value)
            for case in known:
                yield replace(case, value=value)
                yield replace(case, fields=dict.fromkeys(case.fields, value))

    def _grades(self) -> Iterator[tuple[Case, Grade]]:
        grader = self.grader()
        for case in self._cases():
            try:
                grade = self._graded(grader, case)
            except StepError:
                continue
            if grade is not None:
                yield case, grade

    def _graded(self, grader: Grader, case: Case, said: CallError | None = None) -> Grade | None:
        found = grader.grade(case)
        if found is None or isinstance(found, Grade):
            return found
        owed(bool(grader.names()), "it asks, and names nobody: tell by names() of whom")
        try:
            model, _ = next(found)
            for _ in range(64):
                owed(model in grader.names(), f"it asks {model!r}, and names {grader.names()}")
                model, _ = found.throw(said) if said is not None else found.send(self.reply(case))
        except StopIteration as stop:
            grade: Grade | None = stop.value
            return grade
        raise AssertionError("it goes on asking: 64 replies, and no grade")


def owed(kept: Any, words: str) -> None:
    """Raise an AssertionError in these words where a promise is not kept."""
    if not kept:
        raise AssertionError(words)
