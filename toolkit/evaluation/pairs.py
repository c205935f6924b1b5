"""Two ways of answering the same rows, compared row by row. Pure: scores in, differences with their intervals out.

Sources: the adjusted interval for paired proportions (Agresti & Min 2005), the exact test of McNemar (1947) as a
binomial test on the pairs that differ, Holm's correction (1979), cluster-robust errors (Liang & Zeger 1986) by leaving
each cluster out in turn (CR3, Bell & McCaffrey 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from toolkit.evaluation.clusters import alike, too_alike
from toolkit.evaluation.estimates import Refusal, checked_level

Floats = NDArray[np.float64]
FEWEST_PAIRS = 10
_ROUNDING = 1e-12
Verdict = Literal["better", "worse", "no worse", "not told apart"]


@dataclass(frozen=True)
class Difference:
    """How much better the first is than the second, as a mean over rows that both answered.

    `n` counts rows, `groups` what is independent (rows, or clusters of them); `p_value` is two-sided and that of an
    exact test where scores are right or wrong; `p_corrected` takes the other comparisons made with it into account.
    `spread` is the standard deviation of a row's difference, by which `rows_needed` reckons; `freedom` are the
    interval's degrees of freedom, of clusters as many as if they were of one size.
    """

    value: float
    low: float
    high: float
    p_value: float
    n: int
    groups: int
    spread: float
    test: str
    level: float = 0.95
    p_corrected: float | None = None
    comparisons: int = 1
    centre: float = math.nan
    standard_error: float = math.nan
    widest: float = math.inf
    freedom: float = math.nan

    @property
    def settled(self) -> float:
        """The p-value that counts: the corrected one where there is one."""
        return self.p_value if self.p_corrected is None else self.p_corrected

    def at(self, level: float) -> tuple[float, float]:
        """The interval at another level; the one at its own level where it was not made from an error."""
        if not math.isfinite(self.standard_error):
            return self.low, self.high
        reach = float(stats.t.ppf(0.5 + level / 2, self._freedom)) * self.standard_error
        low, high = self.centre - reach, self.centre + reach
        return max(min(low, self.value), -self.widest), min(max(high, self.value), self.widest)

    @property
    def _freedom(self) -> float:
        return self.freedom if math.isfinite(self.freedom) else float(max(self.groups - 1, 1))

    @property
    def at_once(self) -> tuple[float, float]:
        """The interval that holds together with those of all comparisons made with it (Bonferroni)."""
        return self.at(1 - (1 - self.level) / self.comparisons)


def paired(
    first: Floats,
    second: Floats,
    *,
    clusters: NDArray[np.int64] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Difference | Refusal:
    """The mean of `first - second` (n,), row by row. Rows where either is NaN are left out.

    `clusters` (n,) name rows that belong together; `bounds` are the least and most that a score can be.
    """
    checked_level(level)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"scores must be paired row by row: {first.shape} and {second.shape}")
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    clusters = None if clusters is None else clusters[known]
    differences, n = first - second, len(first)
    if n < FEWEST_PAIRS:
        return Refusal("pairs", f"both answered {n} rows; at least {FEWEST_PAIRS} are needed to compare them")
    groups = n if clusters is None else len(np.unique(clusters))
    if groups < FEWEST_PAIRS:
        return Refusal("pairs", f"the rows form {groups} clusters; at least {FEWEST_PAIRS} are needed")
    if (reason := too_alike(clusters)) is not None:
        return Refusal("pairs", reason)
    differences = np.where(
        np.abs(differences) <= _ROUNDING * np.maximum(np.abs(first), np.abs(second)), 0.0, differences
    )
    widest = bounds[1] - bounds[0]
    error, centre = _error(differences, clusters, groups, reach=widest)
    freedom = (n if clusters is None else alike(clusters)) - 1.0
    bare = Difference(
        value=float(differences.mean()),
        low=math.nan,
        high=math.nan,
        p_value=_p_value(first, second, differences, clusters, centre=centre, error=error, freedom=freedom),
        n=n,
        groups=groups,
        spread=float(differences.std(ddof=1)),
        test=_test(first, second, clusters),
        level=level,
        centre=centre,
        standard_error=error,
        widest=widest,
        freedom=freedom,
    )
    low, high = bare.at(level)
    return replace(bare, low=low, high=high)


def corrected(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """The same with p-values for as many comparisons as there are (Holm): none is told better by luck of the many."""
    ranked = sorted(differences, key=lambda name: differences[name].p_value)
    found, highest, m = {}, 0.0, len(ranked)
    for rank, name in enumerate(ranked):
        highest = max(highest, min(1.0, (m - rank) * differences[name].p_value))
        found[name] = replace(differences[name], p_corrected=highest, comparisons=m)
    return {name: found[name] for name in differences}


def verdict(difference: Difference, *, margin: float | None = None) -> Verdict:
    """What the numbers allow to be said; with a `margin` (at least 0) also whether the first is worse by no more.

    Better and worse need both, the test and the interval. The margin is held against the interval that holds together
    with those of all comparisons made with it.
    """
    if difference.settled < 1 - difference.level and not difference.low <= 0 <= difference.high:
        return "better" if difference.value > 0 else "worse"
    if margin is not None and difference.at_once[0] > -margin:
        return "no worse"
    return "not told apart"


def rows_needed(difference: Difference, *, power: float = 0.8, effect: float | None = None) -> int | None:
    """About how many rows tell a difference of `effect` (default: the one seen) apart; None where there is none.

    The usual formula for the mean of paired differences (Lachin 1981), at the level of all comparisons made with it.
    Rows that belong together are reckoned by the error that they made.
    """
    effect = abs(difference.value if effect is None else effect)
    if effect == 0 or difference.spread == 0:
        return None
    level = 1 - (1 - difference.level) / difference.comparisons
    reach = float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power))
    spread = difference.spread
    if difference.groups < difference.n and math.isfinite(difference.standard_error):
        spread = difference.standard_error * math.sqrt(difference.n)
    return math.ceil((reach * spread / effect) ** 2)


def more_rows(difference: Difference, *, power: float = 0.8) -> int | None:
    """About how many more rows tell such a difference apart; None where the ones there are should have, or none do."""
    needed = rows_needed(difference, power=power)
    return None if needed is None or needed <= difference.n else needed - difference.n


def sentence(difference: Difference, *, first: str, second: str, margin: float | None = None) -> str:
    """The verdict in words, and what it rests on."""
    told = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] over {difference.n:,} rows"
    many = f", corrected for {difference.comparisons} comparisons" if difference.comparisons > 1 else ""
    match verdict(difference, margin=margin):
        case "better":
            return f"{first} is better than {second}: {told} (p = {difference.settled:.2g}{many})."
        case "worse":
            return f"{first} is worse than {second}: {told} (p = {difference.settled:.2g}{many})."
        case "no worse":
            return f"{first} is no worse than {second} by more than {margin:g}: {told}."
        case _:
            more = more_rows(difference)
            hint = "" if more is None else f"; about {more:,} more rows would tell such a difference"
            return f"{first} and {second} cannot be told apart: {told} (p = {difference.settled:.2g}{many}){hint}."


# ----------------------------------------------------------------------------------------------------------- helpers
def _error(
    differences: Floats, clusters: NDArray[np.int64] | None, groups: int, *, reach: float
) -> tuple[float, float]:
    """The standard error and the centre of the interval, with two groups more of which one differs: so that a table in
    which hardly any row differs is not taken for certainty. It differs as far as any does; by `reach` where none does
    or answers are right or wrong."""
    n = len(differences)
    more = 2 * n / groups
    centre = float(differences.sum()) / (n + more)
    parts, group = differences, np.arange(n)
    if clusters is not None:
        _, group = np.unique(clusters, return_inverse=True)
        parts = np.bincount(group, weights=differences).astype(np.float64)
    farthest = float(np.abs(parts).max()) or reach * n / groups
    if clusters is None and np.isin(differences, (-reach, 0.0, reach)).all():
        farthest = reach
    centred = parts - np.bincount(group) * differences.mean()
    if clusters is None:
        squares = float((centred**2).sum()) * groups / (groups - 1)
    else:  # each left out in turn (CR3): a large cluster draws the mean to itself
        squares = float(((centred / (1 - np.bincount(group) / n)) ** 2).sum()) * (groups - 1) / groups
    return math.sqrt(squares + farthest**2) / (n + more), centre


def _test(first: Floats, second: Floats, clusters: NDArray[np.int64] | None) -> str:
    return "McNemar, exact" if clusters is None and _right_or_wrong(first, second) else "paired t"


def _right_or_wrong(first: Floats, second: Floats) -> bool:
    return bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all())


def _p_value(
    first: Floats, second: Floats, differences: Floats, clusters: NDArray[np.int64] | None, *,
    centre: float, error: float, freedom: float,
) -> float:  # fmt: skip
    """Exact where answers are right or wrong; of clusters by the error of the interval, else by the rows' own."""
    if _test(first, second, clusters) == "McNemar, exact":
        won, lost = int((differences > 0).sum()), int((differences < 0).sum())
        return 1.0 if won + lost == 0 else float(stats.binomtest(won, won + lost).pvalue)
    if clusters is None:
        centre, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences))
    if error == 0:
        return 1.0 if centre == 0 else 0.0
    return float(2 * stats.t.sf(abs(centre) / error, freedom))


def frontier(costs: Sequence[float], qualities: Sequence[float]) -> list[int]:
    """The points that none other beats, by being better in one and no worse in the other, from the cheapest to the
    best."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -qualities[i]))
    found: list[int] = []
    for index in order:
        told = costs[index], qualities[index]
        if not found or told[1] > qualities[found[-1]] or told == (costs[found[-1]], qualities[found[-1]]):
            found.append(index)
    return found
