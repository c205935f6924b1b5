"""Grades that the reply itself carries."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.grading.grader import Case, Grader
from toolkit.records import Grade


@dataclass(frozen=True)
class Recorded(Grader):
    """The score that a recorded outcome carries."""

    def grade(self, case: Case) -> Grade | None:
        score = case.reply.score if case.reply else None
        return None if score is None else Grade(repr(self), "score", score, reason="recorded")


@dataclass(frozen=True)
class Confidence(Grader):
    """The model's own confidence as a score; an answer without one gets no grade."""

    def grade(self, case: Case) -> Grade | None:
        confidence = case.reply.confidence if case.reply else None
        return None if confidence is None else Grade(repr(self), "score", confidence, reason="the model's own word")
