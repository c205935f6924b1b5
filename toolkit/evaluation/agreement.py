"""How well a judge agrees with people, beyond chance, and which way it leans. Pure numpy.

    grades of the same answers by the judge and by people ─▶ Agreement: a number with its interval, or why there is none

Three measures, as each misleads somewhere: Cohen's kappa falls where one label is frequent, Gwet's AC1 does not, and
Krippendorff's alpha takes scores as numbers and more than two raters.

Sources: Cohen (1960) and, weighted, (1968); Krippendorff (2011), Computing Krippendorff's Alpha-Reliability; Gwet
(2008). Intervals are the jackknife's over rows (Efron & Stein 1981) with Student's t; where nobody ever disagrees, or
always, that of Clopper & Pearson (1934) for the share of agreement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from toolkit.evaluation.estimates import Estimate, Refusal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = Literal["none", "linear", "quadratic"]
Scale = Literal["labels", "numbers"]

FEWEST_ROWS = 10


@dataclass(frozen=True)
class Agreement:
    """Judge and people on the same rows. `confusion[i][j]` counts rows that the judge gave the i-th of `labels` and
    people the j-th; `bias` is how much higher the judge grades, on average, None where labels are no numbers."""

    n: int
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    agreed: Estimate | Refusal
    kappa: Estimate | Refusal
    alpha: Estimate | Refusal
    ac1: Estimate | Refusal
    bias: Estimate | Refusal | None

    def __str__(self) -> str:
        told = [("agreed", self.agreed), ("kappa", self.kappa), ("alpha", self.alpha), ("AC1", self.ac1)]
        told += [("bias", self.bias)] if self.bias is not None else []
        return "; ".join(f"{name} {_said(each)}" for name, each in told) + f"; {self.n:,} rows"


def agreement(judge: Sequence[Any], people: Sequence[Any], *, level: float = 0.95) -> Agreement:
    """All of it, for grades given row by row: numbers, or words. None, NaN and NA are rows without a grade, left out.

    Numbers are weighted by their distance (quadratic kappa, alpha of numbers); words agree or do not, and numbers among
    words are words: 1, 1.0 and True the same. Raises ValueError where grades are not paired, or infinite.
    """
    if len(judge) != len(people):
        raise ValueError(f"grades must be paired row by row: {len(judge)} and {len(people)}")
    told = [(_plain(a), _plain(b)) for a, b in zip(judge, people, strict=True)]
    pairs = [(a, b) for a, b in told if a is not None and b is not None]
    if any(isinstance(each, float) and math.isinf(each) for pair in pairs for each in pair):
        raise ValueError("a grade is infinite; grades are numbers or words")
    numbers = bool(pairs) and all(isinstance(each, float) for pair in pairs for each in pair)
    key: Callable[[Any], Any] = float if numbers else _word
    first, second = [key(a) for a, _ in pairs], [key(b) for _, b in pairs]
    labels = sorted({*first, *second})
    codes = {label: code for code, label in enumerate(labels)}
    counted = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counted, ([codes[a] for a in first], [codes[b] for b in second]), 1)
    values = np.array(labels, dtype=np.float64) if numbers else np.arange(len(labels), dtype=np.float64)
    both = np.column_stack([values[[codes[a] for a in first]], values[[codes[b] for b in second]]])
    return Agreement(
        n=len(pairs),
        labels=tuple(f"{label:g}" if numbers else str(label) for label in labels),
        confusion=tuple(tuple(map(int, row)) for row in counted),
        agreed=observed(counted, level=level),
        kappa=kappa(
            counted, values=values if numbers else None, weights="quadratic" if numbers else "none", level=level
        ),
        alpha=alpha(both, scale="numbers" if numbers else "labels", level=level),
        ac1=ac1(counted, level=level),
        bias=bias(both[:, 0], both[:, 1], level=level) if numbers else None,
    )


def by_segment(
    judge: Sequence[Any], people: Sequence[Any], segments: Sequence[Any], *, level: float = 0.95
) -> Mapping[str, Agreement]:
    """The agreement within each segment: languages, models, topics. A judge may be good on one and poor on another."""
    if len(segments) != len(judge):
        raise ValueError(f"segments are of the same rows: {len(segments)} and {len(judge)}")
    found = {}
    for segment in sorted(set(map(str, segments))):
        rows = [row for row, each in enumerate(segments) if str(each) == segment]
        found[segment] = agreement([judge[row] for row in rows], [people[row] for row in rows], level=level)
    return found


# ---------------------------------------------------------------------------------------------------------- measures
def observed(counted: Ints, *, level: float = 0.95) -> Estimate | Refusal:
    """The share of rows on which both said the same, out of a table of counts (k, k)."""
    n, same = int(counted.sum()), int(np.trace(counted))
    if fault := _too_few(n):
        return Refusal("share agreed", fault)
    low, high = _clopper_pearson(same, n, level)
    return _estimate(
        "share agreed", same / n, low=low, high=high, error=math.sqrt(same * (n - same) / n**3), n=n, level=level
    )


def kappa(
    counted: Ints, *, values: Floats | None = None, weights: Weights = "none", level: float = 0.95
) -> Estimate | Refusal:
    """Cohen's kappa of a table of counts (k, k): agreement beyond that of two who grade by chance, each as often.

    Weighted, near misses count in part, by the distance of `values` (k,), the labels' order if they are not given.
    """
    k = len(counted)
    place = np.arange(k, dtype=np.float64) if values is None else values
    apart = np.abs(place[:, None] - place[None, :])
    loss = (apart > 0).astype(np.float64) if weights == "none" else apart if weights == "linear" else apart**2

    def statistic(table: Floats) -> float:
        share = table / table.sum()
        chance = float((loss * np.outer(share.sum(axis=1), share.sum(axis=0))).sum())
        return 1 - float((loss * share).sum()) / chance if chance > 0 else math.nan

    return _of_table("Cohen's kappa", counted, statistic, level)


def ac1(counted: Ints, *, level: float = 0.95) -> Estimate | Refusal:
    """Gwet's AC1 of a table of counts (k, k): agreement beyond chance, not hurt by one frequent label."""
    k = len(counted)

    def statistic(table: Floats) -> float:
        share = table / table.sum()
        mean = (share.sum(axis=0) + share.sum(axis=1)) / 2
        chance = float((mean * (1 - mean)).sum()) / (k - 1)
        return (float(np.trace(share)) - chance) / (1 - chance)

    return _of_table("Gwet's AC1", counted, statistic, level)


def alpha(ratings: Floats, *, scale: Scale = "labels", level: float = 0.95) -> Estimate | Refusal:
    """Krippendorff's alpha of ratings (n, raters), NaN where a rater gave none; rows with one rating do not count.

    As "labels" ratings agree or do not; as "numbers" by the square of their distance.
    """
    name = "Krippendorff's alpha"
    kept = ratings[(~np.isnan(ratings)).sum(axis=1) >= 2]
    if fault := _too_few(len(kept)):
        return Refusal(name, fault)
    if not np.isfinite(kept[~np.isnan(kept)]).all():
        return Refusal(name, "a rating is infinite; ratings are numbers or labels")
    if len(np.unique(kept[~np.isnan(kept)])) < 2:
        return Refusal(name, ONE_LABEL)
    within, totals, sizes = _disagreement(kept, scale)
    whole = float(_alpha(within.sum(), totals.sum(axis=0), sizes.sum(), scale))
    without = _alpha(within.sum() - within, totals.sum(axis=0) - totals, sizes.sum() - sizes, scale)
    if within.sum() == 0:
        same = len(kept)
        low = 1 - (1 - _clopper_pearson(same, same, level)[0]) / max(_chance(totals, sizes, scale, kept), 1e-12)
        return _estimate(name, whole, low=max(low, -1.0), high=1.0, error=0.0, n=same, level=level)
    known = without[np.isfinite(without)]
    if len(known) < len(kept):
        return Refusal(name, ONE_ROW)
    return _jackknifed(name, whole, known, np.ones(len(known)), level)


def bias(judge: Floats, people: Floats, *, level: float = 0.95) -> Estimate | Refusal:
    """How much higher the judge grades than people, on average over rows that both graded; Student's interval."""
    apart = np.asarray(judge, dtype=np.float64) - np.asarray(people, dtype=np.float64)
    apart = apart[~np.isnan(apart)]
    n = len(apart)
    if fault := _too_few(n):
        return Refusal("mean difference", fault)
    if not np.isfinite(apart).all():
        return Refusal("mean difference", "a grade is infinite; grades are numbers")
    # As in `pairs`: two rows more, of which one differs as far as any does, so that few rows are no certainty.
    farthest = float(np.abs(apart).max()) or 1.0
    squares = float(((apart - apart.mean()) ** 2).sum()) * n / (n - 1) + farthest**2
    error, centre = math.sqrt(squares) / (n + 2), float(apart.sum()) / (n + 2)
    reach = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    value = float(apart.mean())
    low, high = min(centre - reach, value), max(centre + reach, value)
    return _estimate("mean difference", value, low=low, high=high, error=error, n=n, level=level)


# ----------------------------------------------------------------------------------------------------------- helpers
ONE_LABEL = "all grades are the same: agreement beyond chance needs rows that differ; grade such rows too"
ONE_ROW = "but for one row all grades are the same: grade more rows that differ"


def _too_few(n: int) -> str:
    if n >= FEWEST_ROWS:
        return ""
    return f"judge and people both graded {n or 'no'} rows; at least {FEWEST_ROWS} are needed"


def _of_table(name: str, counted: Ints, statistic: Callable[[Floats], float], level: float) -> Estimate | Refusal:
    """A statistic of a table of counts, with the jackknife's interval: a row left out is one less in its cell."""
    n = int(counted.sum())
    if fault := _too_few(n):
        return Refusal(name, fault)
    if int((counted.sum(axis=0) + counted.sum(axis=1) > 0).sum()) < 2:
        return Refusal(name, ONE_LABEL)
    table = counted.astype(np.float64)
    value = statistic(table)
    same = int(np.trace(counted))
    if same in (0, n):
        low, high = _clopper_pearson(same, n, level)
        alike = np.diag(np.full(len(table), n / len(table)))
        edge = low * table + (1 - low) * _crossed(table) if same else high * alike + (1 - high) * table
        limit = statistic(edge)
        return _estimate(name, value, low=min(value, limit), high=max(value, limit), error=0.0, n=n, level=level)
    cells = np.argwhere(counted > 0)
    without = []
    for i, j in cells:
        table[i, j] -= 1
        without.append(statistic(table))
        table[i, j] += 1
    if not np.isfinite(without).all():
        return Refusal(name, ONE_ROW)
    return _jackknifed(name, value, np.array(without), counted[tuple(cells.T)].astype(np.float64), level)


def _crossed(table: Floats) -> Floats:
    """As many rows, all of them disagreements, spread as chance would."""
    chance = np.outer(table.sum(axis=1), table.sum(axis=0))
    np.fill_diagonal(chance, 0.0)
    found: Floats = chance / chance.sum() * table.sum()
    return found


def _jackknifed(name: str, value: float, without: Floats, times: Floats, level: float) -> Estimate:
    n = float(times.sum())
    middle = float((times * without).sum()) / n
    error = math.sqrt((n - 1) / n * float((times * (without - middle) ** 2).sum()))
    reach = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    low, high = max(value - reach, -1.0), min(value + reach, 1.0)
    return _estimate(name, value, low=low, high=high, error=error, n=int(n), level=level)


def _disagreement(ratings: Floats, scale: Scale) -> tuple[Floats, Floats, Floats]:
    """(n,) how far the ratings of a row are apart, (n, c) what they add to the totals, (n,) how many they are."""
    known = ~np.isnan(ratings)
    sizes = known.sum(axis=1).astype(np.float64)
    if scale == "numbers":
        ratings = ratings - np.nanmean(ratings)
        totals = np.column_stack([np.nansum(ratings, axis=1), np.nansum(ratings**2, axis=1)])
        within = 2 * (sizes * totals[:, 1] - totals[:, 0] ** 2)
    else:
        labels = np.unique(ratings[known])
        totals = np.column_stack([(ratings == label).sum(axis=1) for label in labels]).astype(np.float64)
        within = sizes**2 - (totals**2).sum(axis=1)
    return np.maximum(np.where(within < 1e-9, 0.0, within) / (sizes - 1), 0.0), totals, sizes


def _alpha(within: Any, totals: Floats, sizes: Any, scale: Scale) -> Any:
    """1 less what is disagreed within rows by what would be if all ratings were dealt out anew."""
    if scale == "numbers":
        between = 2 * (sizes * totals[..., 1] - totals[..., 0] ** 2)
    else:
        between = sizes**2 - (totals**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(between > 1e-9, 1 - (within / sizes) / (between / (sizes * (sizes - 1))), np.nan)


def _chance(totals: Floats, sizes: Floats, scale: Scale, ratings: Floats) -> float:
    """The disagreement by chance, as a share of the largest that two ratings can have."""
    n, summed = float(sizes.sum()), totals.sum(axis=0)
    if scale == "numbers":
        widest = float(np.nanmax(ratings) - np.nanmin(ratings)) ** 2
        return float(2 * (n * summed[1] - summed[0] ** 2) / (n * (n - 1))) / widest
    return float((n**2 - (summed**2).sum()) / (n * (n - 1)))


def _clopper_pearson(same: int, n: int, level: float) -> tuple[float, float]:
    found = stats.binomtest(same, n).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def _estimate(
    name: str, value: float, *, low: float, high: float, error: float, n: int, level: float = 0.95
) -> Estimate:
    return Estimate(name, value, low, high, error, n, float(n), 1 / n, level=level)


def _said(found: Estimate | Refusal) -> str:
    if isinstance(found, Refusal):
        return f"unknown ({found.reason})"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _plain(value: Any) -> float | str | None:
    """A grade as a number or a word, whatever type it came as; None where there is none."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Number | np.bool_ | np.number):
        number = float(value)  # type: ignore[arg-type]
        return None if math.isnan(number) else number
    return str(value)


def _word(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else value
