"""Graders: small frozen values that judge an answer.

A grader says a bool (assertion), a number (score) or a word (label), with its reason. `expects` names a column of the
row that holds the truth; where the row has none, there is no grade. All are pure but `Passes`, which runs a program.
Graders that ask a model are judges:
`JudgedBy` grades a step while it runs, `toolkit.evaluation.judging` a finished run.
"""

from toolkit.grading.grader import Case, Grader, Marking, graded, normalised
from toolkit.grading.judges import JudgedBy, Pairwise, Pointwise, Similar
from toolkit.grading.passages import NDCG, Grounded, Recall, grounded
from toolkit.grading.programs import Passes
from toolkit.grading.shapes import Regex, Schema
from toolkit.grading.told import Confidence, Recorded
from toolkit.grading.truths import Contains, Exact, Normalised, Numeric, TokenF1

__all__ = [
    "NDCG",
    "Case",
    "Confidence",
    "Contains",
    "Exact",
    "Grader",
    "Grounded",
    "JudgedBy",
    "Marking",
    "Normalised",
    "Numeric",
    "Pairwise",
    "Passes",
    "Pointwise",
    "Recall",
    "Recorded",
    "Regex",
    "Schema",
    "Similar",
    "TokenF1",
    "graded",
    "grounded",
    "normalised",
]
