"""A mean from few labels of people and many grades of a judge; it holds whatever the judge is worth. Pure numpy.

    people's labels (NaN where there is none), the judge's grades of the same rows ─▶ Estimate | Refusal

The judge's mean over the rows without a label is corrected by how far judge and people are apart where both spoke. A
useless judge adds nothing, a biased one no bias. It rests on one assumption: the labelled rows were picked by chance.

Sources: prediction-powered inference (Angelopoulos et al. 2023, arXiv 2301.09633) with its power tuning (PPI++, arXiv
2311.01453). What is ours is the care for few labels: Student's t, the error that a tuning fitted to them adds, with
residuals enlarged by their leverage (HC2, MacKinnon & White 1985), and two supposed rows, one at each bound and of both
the judge says the contrary (after Agresti & Caffo 2000).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from toolkit.evaluation.estimates import Estimate, Refusal, checked_level

Floats = NDArray[np.float64]

FEWEST_LABELS = 10
UNLIKELY = 0.001
"""Below this chance the labelled rows are told not to look like the rest."""

CORRECTED, ALONE = "people's labels and the judge", "people's labels alone"


def corrected_mean(
    labels: Floats, judged: Floats, *, bounds: tuple[float, float] = (0.0, 1.0), level: float = 0.95
) -> Estimate | Refusal:
    """The mean of what people would say of all rows (n,), by the `labels` there are and the judge's grades of all.

    `labels` are NaN where no person spoke; `bounds` are the least and most that a label can be. Refuses on fewer than
    10 labels, labels that are all the same, and rows that the judge has no number for.
    """
    checked_level(level)
    labels, judged = np.asarray(labels, dtype=np.float64), np.asarray(judged, dtype=np.float64)
    if labels.shape != judged.shape or labels.ndim != 1:
        raise ValueError(f"labels and grades are of the same rows: {labels.shape} and {judged.shape}")
    if fault := _fault(labels, bounds) or _unjudged(judged):
        return Refusal(CORRECTED, fault)
    known = ~np.isnan(labels)
    return _estimate(labels[known], judged[known], judged[~known], bounds=bounds, level=level)


def labels_alone(
    labels: Floats, *, bounds: tuple[float, float] = (0.0, 1.0), level: float = 0.95
) -> Estimate | Refusal:
    """The mean by people's labels and nothing else, for comparison; NaN where no person spoke."""
    checked_level(level)
    labels = np.asarray(labels, dtype=np.float64)
    if fault := _fault(labels, bounds):
        return Refusal(ALONE, fault)
    known = labels[~np.isnan(labels)]
    nothing = np.zeros(0)
    return _estimate(known, np.zeros(len(known)), nothing, bounds=bounds, level=level)


def corrected_difference(
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Estimate | Refusal:
    """How much better people would find the first model than the second, over rows that both answered.

    Each is a pair of labels and the judge's grades of its answers (n,), row by row. A row counts as labelled where both
    answers are. `bounds` are those of a label.
    """
    (labels, judged), (other_labels, other_judged) = first, second
    widest = bounds[1] - bounds[0]
    return corrected_mean(labels - other_labels, judged - other_judged, bounds=(-widest, widest), level=level)


# ----------------------------------------------------------------------------------------------------------- helpers
def _fault(labels: Floats, bounds: tuple[float, float]) -> str:
    """Why these labels give no number; empty where they do."""
    known = labels[~np.isnan(labels)]
    if not len(known):
        return "no row has a label of a person; label some, picked by chance"
    if not np.isfinite(known).all():
        return "a label is infinite; labels are numbers within their bounds"
    if known.min() < bounds[0] or known.max() > bounds[1]:
        return (
            f"labels go from {known.min():g} to {known.max():g}, and should be within {bounds[0]:g} and {bounds[1]:g}"
        )
    if len(known) < FEWEST_LABELS:
        return f"{len(known)} rows have a label of a person; at least {FEWEST_LABELS} are needed"
    if known.min() == known.max():
        return f"all {len(known):,} labels are {known[0]:g}: label more rows, until they differ"
    return ""


def _unjudged(judged: Floats) -> str:
    missing = int((~np.isfinite(judged)).sum())
    return (
        f"the judge has no number for {missing:,} of {len(judged):,} rows; have it judge those too" if missing else ""
    )


def _estimate(labels: Floats, beside: Floats, rest: Floats, *, bounds: tuple[float, float], level: float) -> Estimate:
    """By the labels (n,), the judge's grades `beside` them and those of the `rest` (m,)."""
    n, m = len(labels), len(rest)
    supposed, said = _supposed(labels, beside, rest, bounds=bounds)
    off = said - said.mean()
    tuning = _tuning(supposed, said, share=m / (m + n + 2))
    value, centre = float(labels.mean()), float(supposed.mean())
    weight, lever, judges = np.full(n + 2, 1 / (n + 2)), np.full(n + 2, 1 / (n + 2)), 0.0
    if tuning:
        apart, squares = float(rest.mean() - said.mean()), float((off**2).sum())
        value, centre = value + tuning * float(rest.mean() - beside.mean()), centre + tuning * apart
        weight, lever = weight + off * apart * m / (m + n + 2) / squares, lever + off**2 / squares
        judges = tuning**2 * float(np.concatenate([beside, rest]).var(ddof=1)) / m
    left = supposed - supposed.mean() - tuning * off
    error = math.sqrt(float((weight**2 * left**2 / (1 - lever)).sum()) + judges)
    reach = float(stats.t.ppf(0.5 + level / 2, n - 1 - (tuning > 0))) * error
    return Estimate(
        method=CORRECTED if tuning else ALONE,
        value=min(max(value, bounds[0]), bounds[1]),
        low=max(min(centre - reach, value), bounds[0]),
        high=min(max(centre + reach, value), bounds[1]),
        standard_error=error,
        n=n + m,
        effective_n=float(labels.var(ddof=1)) / error**2,
        largest_weight=1 / n,
        level=level,
        note=_note(beside, rest, tuning),
    )


def _supposed(labels: Floats, beside: Floats, rest: Floats, *, bounds: tuple[float, float]) -> tuple[Floats, Floats]:
    """The labelled rows and two more, one at each bound, of which the judge says the contrary: labels that hardly
    differ, or a judge that was right by luck, are no certainty."""
    judged = np.concatenate([beside, rest])
    return np.append(labels, bounds), np.append(beside, [judged.max(), judged.min()])


def _tuning(labels: Floats, beside: Floats, *, share: float) -> float:
    """How much of the judge is taken: PPI++'s plug-in, never below 0; 0 where the judge tells nothing apart."""
    spread = float(((beside - beside.mean()) ** 2).sum())
    if not share or spread <= 1e-12 * max(1.0, float((beside**2).sum())):
        return 0.0
    return max(0.0, share * float(((labels - labels.mean()) * (beside - beside.mean())).sum()) / spread)


def _note(beside: Floats, rest: Floats, tuning: float) -> str:
    if not tuning:
        return "the judge adds nothing" if len(rest) else "every row has a label"
    error = math.sqrt(float(beside.var(ddof=1)) / len(beside) + float(rest.var()) / len(rest))
    if 2 * float(stats.t.sf(abs(float(rest.mean() - beside.mean())) / error, len(beside) - 1)) < UNLIKELY:
        return "the judge finds the labelled rows unlike the rest: were they picked by chance?"
    return f"the judge counts {tuning:.2f}"
