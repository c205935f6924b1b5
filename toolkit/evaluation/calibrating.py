"""What a judge is worth: held against people's labels of the same answers, and the means that follow from both.

history ─▶ the judge's grades, people's labels ─▶ agreement, by segment too; each model's mean, corrected
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import RunError
from toolkit.evaluation.agreement import Agreement, agreement, by_segment
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.prediction_powered import corrected_mean
from toolkit.evaluation.reading import path_of
from toolkit.grading.judges import Judge
from toolkit.ledger import History
from toolkit.ledger.views import judgements


@dataclass(frozen=True)
class Calibration:
    """A judge against people. `means` are those that people would give each model, by their labels and the judge's
    grades (or why there is none); `judged` and `labelled` count the model's answers that have either."""

    judge: str
    agreement: Agreement
    segments: Mapping[str, Agreement]
    means: Mapping[str, Estimate | Refusal]
    judged: Mapping[str, int]
    labelled: Mapping[str, int]


def calibrated(
    history: History,
    judge: Judge | str,
    *,
    step: str,
    runs: Sequence[str] = (),
    people: str | None = None,
    truth: str | None = None,
    segment: str | None = None,
    level: float = 0.95,
) -> Calibration:
    """The judge (or any grader's label, code too) against people, over the answers of a step in these runs (all).

    `people` names whose labels count, as in "Person('lena')"; `truth` a grader that stands in for people, by its label:
    where the truth of the rows is known, say. `segment` is a field of the row. The means rest on labelled
    rows picked by chance, as `judge_run(…, sample=…)` picks them. Raises RunError where the judge has no grades there.
    """
    label = judge if isinstance(judge, str) else repr(judge)
    about = {"judge": label, "step": step, "runs": list(runs), "people": people, "truth": truth}
    found = history.sql(judgements.SIDE_BY_SIDE, {**about, "segment": path_of(segment)}).rows
    if not found:
        raise RunError(f"the record has no grades by {label!r} at step {step!r}; judge a run first: judge_run(…)")
    given = [judged for _, _, _, judged, _, _ in found]
    truths = [truth for _, _, _, _, truth, _ in found]
    models = [str(model) for _, _, model, _, _, _ in found]
    numbers = np.array(
        [[np.nan if each is None else each for each in pair] for pair in zip(given, truths, strict=True)]
    )
    means, judged, labelled = {}, {}, {}
    for model in sorted(set(models)):
        rows = np.array([each == model for each in models])
        means[model] = corrected_mean(numbers[rows, 1], numbers[rows, 0], level=level)
        judged[model] = int(np.isfinite(numbers[rows, 0]).sum())
        labelled[model] = int((~np.isnan(numbers[rows, 1])).sum())
    return Calibration(
        judge=label,
        agreement=agreement(given, truths, level=level),
        segments={} if segment is None else by_segment(given, truths, [row[5] for row in found], level=level),
        means=means,
        judged=judged,
        labelled=labelled,
    )
