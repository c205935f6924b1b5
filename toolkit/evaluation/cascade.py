"""A cascade judged on outcomes: the cheap model answers first, and its answer helps to tell whether to ask another.

The cheap call is always paid for. What is learnt are each model's leads over the cheap one's answer, from the query
and from the answer: its words, its surface, and whether its sums are right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.errors import RowsError
from toolkit.evaluation.outcomes import Outcomes, folds_of
from toolkit.routing.features import Vocabulary
from toolkit.routing.frontier import Floats
from toolkit.routing.predictors import latent_axes
from toolkit.routing.ridge import PENALTIES, out_of_fold, ridge

LATENT_OF_QUERY, LATENT_OF_ANSWER = 128, 64
TASK_WEIGHT, SURFACE_WEIGHT, CUES_WEIGHT = 0.5, 0.2, 0.6
SPREAD = 4.0
EQUATION = re.compile(
    r"(-?\$?\d[\d,]*\.?\d*)\s*%?\s*([-+*/x×÷])\s*\$?(\d[\d,]*\.?\d*)\s*%?[a-z ]{0,12}=\s*\$?(-?\d[\d,]*\.?\d*)",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d[\d,]*\.?\d*")
HEDGES = re.compile(
    r"\b(cannot|can't|unclear|not (?:possible|enough|specified|provided)|sorry|however|assum\w+|approximately|about|"
    r"unknown|impossible|depends)\b",
    re.IGNORECASE,
)
OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "/": lambda a, b: a / b, "÷": lambda a, b: a / b}


def answer_cues(query: str, answer: str) -> list[float]:
    """What an answer shows of its own worth: length, steps, sums right and wrong, how its numbers go with those asked.

    Sums with rounded results count as right within one part in a hundred.
    """
    asked, given = _numbers(query), _numbers(answer)
    right, wrong = _sums(answer)
    last = given[-1] if given else 0.0
    used = sum(number in given for number in set(asked)) / max(len(set(asked)), 1)
    return [
        float(np.log1p(len(answer))),
        float(np.log1p(len(given))),
        float(np.log1p(right)),
        float(np.log1p(wrong)),
        float(wrong > 0),
        used,
        float(np.log1p(abs(last))),
        float(last != int(last)) if abs(last) < 1e15 else 0.0,
        float(last in asked),
        float(last < 0),
        float(np.log1p(len(HEDGES.findall(answer)))),
        float(np.log1p(answer.count("\n"))),
        float(not answer.strip()),
        float(not given),
        float(np.log1p(answer.count("="))),
    ]


@dataclass(frozen=True)
class Cascade:
    """What was learnt of the leads over `first`, the place of the cheap model."""

    first: int
    query_words: Vocabulary = field(repr=False)
    answer_words: Vocabulary = field(repr=False)
    tasks: tuple[str, ...]
    query_axes: Floats = field(repr=False)
    answer_axes: Floats = field(repr=False)
    centre: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    features: Floats = field(repr=False)
    leads_seen: Floats = field(repr=False)
    penalty: float

    @classmethod
    def fit(cls, outcomes: Outcomes, *, seed: int = 0) -> Cascade:
        """Learn from outcomes with responses. Raises RowsError where there are none of the cheapest model."""
        first = int(outcomes.cost.mean(axis=0).argmin())
        answers = _answers(outcomes, first)
        query_words, answer_words = Vocabulary.of(outcomes.queries), Vocabulary.of(answers)
        query_axes = latent_axes(query_words.read(outcomes.queries)[0], LATENT_OF_QUERY, seed)
        answer_axes = latent_axes(answer_words.read(answers)[0], LATENT_OF_ANSWER, seed)
        bare = cls(
            first, query_words, answer_words, tuple(sorted(set(outcomes.tasks))), query_axes, answer_axes,
            np.zeros(1), np.ones(1), np.zeros((0, 0)), np.zeros((0, 0)), 0.0,
        )  # fmt: skip
        dense = bare._dense(outcomes)
        centre, scale = dense.mean(axis=0), dense.std(axis=0) + 1e-9
        leads = outcomes.score - outcomes.score[:, [first]]
        placed = bare._placed(outcomes, centre, scale)
        guess = out_of_fold(placed, leads, folds_of(outcomes.queries))
        penalty = float(PENALTIES[((guess - leads) ** 2).mean(axis=(1, 2)).argmin()])
        return cls(
            first, query_words, answer_words, bare.tasks, query_axes, answer_axes, centre, scale, placed, leads, penalty
        )

    def leads(self, outcomes: Outcomes) -> Floats:
        """(n, k) how much better than the first model's answer each model's is expected to be; 0 for the first."""
        placed = self._placed(outcomes, self.centre, self.scale)
        found: Floats = ridge(self.features, self.leads_seen, placed, np.array([self.penalty]))[0]
        found[:, self.first] = 0.0
        return found

    def costs(self, outcomes: Outcomes) -> Floats:
        """(n, k) what stopping at each model costs: the first always, and the other on top."""
        cost = outcomes.cost + outcomes.cost[:, [self.first]]
        cost[:, self.first] = outcomes.cost[:, self.first]
        return cost

    def _dense(self, outcomes: Outcomes) -> Floats:
        answers = _answers(outcomes, self.first)
        cues = np.array([answer_cues(q, a) for q, a in zip(outcomes.queries, answers, strict=True)])
        return np.hstack([self.query_words.read(outcomes.queries)[1], self.answer_words.read(answers)[1], cues])

    def _placed(self, outcomes: Outcomes, centre: Floats, scale: Floats) -> Floats:
        answers = _answers(outcomes, self.first)
        dense = np.clip((self._dense(outcomes) - centre) / scale, -SPREAD, SPREAD)
        cues = len(answer_cues("", ""))
        surface, told = dense[:, :-cues], dense[:, -cues:]
        task = (np.array(outcomes.tasks)[:, None] == np.array(self.tasks)[None]).astype(np.float64)
        words: list[Any] = [
            self.query_words.read(outcomes.queries)[0] @ self.query_axes,
            self.answer_words.read(answers)[0] @ self.answer_axes,
        ]
        weighted = [surface * np.sqrt(SURFACE_WEIGHT / surface.shape[1]), told * np.sqrt(CUES_WEIGHT / cues)]
        return np.hstack([*words, *weighted, task * TASK_WEIGHT])


def _answers(outcomes: Outcomes, place: int) -> list[str]:
    if outcomes.responses is None or not any(outcomes.responses[:, place]):
        raise RowsError(f"the pool {outcomes.name!r} has no recorded answers of {outcomes.models[place]} to read")
    return [str(answer or "") for answer in outcomes.responses[:, place]]


def _numbers(text: str) -> list[float]:
    return [found for each in NUMBER.findall(text) if (found := _number(each)) is not None]


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").replace("$", "").rstrip("."))
    except ValueError:
        return None


def _sums(text: str) -> tuple[int, int]:
    """How many of the sums written out in a text are right, and how many are wrong."""
    right = wrong = 0
    for first, sign, second, result in EQUATION.findall(text):
        a, b, told = _number(first), _number(second), _number(result)
        if a is None or b is None or told is None or (sign in "/÷" and b == 0):
            continue
        true = OPERATIONS.get(sign, lambda x, y: x * y)(a, b)
        near = abs(true - told) <= 0.01 * max(abs(true), abs(told)) + 0.011
        right, wrong = right + near, wrong + (not near)
    return right, wrong
