"""Where contenders stand in cost and quality, by draws of the rows that all answered. Pure: `Scored` in.

Who lacks the quality of more rows than a few has no point, and takes no row from the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from toolkit.evaluation.clusters import alike
from toolkit.evaluation.pairs import FEWEST_PAIRS, frontier
from toolkit.evaluation.resampling import Floats, Ints, means_drawn, percentiles
from toolkit.evaluation.scored import Measure, Scored

MOST_ONE_SIDED = 0.05


@dataclass(frozen=True)
class Point:
    """A contender on the plane of cost and quality, over the `rows` that all answered. The interval of cost is the
    bootstrap's; that of quality takes two rows more, one at each bound, so that a few rows that are alike are no
    certainty (after Agresti & Coull 1998).

    `on_frontier`: none other is both cheaper and better; `frontier_share` of the draws agree. NaN where unknown.
    """

    contender: str
    quality: float
    quality_low: float
    quality_high: float
    cost: float
    cost_low: float
    cost_high: float
    on_frontier: bool | None
    frontier_share: float
    rows: int = 0


def kept_of(scored: Scored) -> tuple[Ints, Ints]:
    """The places of contenders that can stand beside the first, and the rows whose quality is known of all of them."""
    known = np.isfinite(scored.quality)
    either, both = known | known[:, [0]], known & known[:, [0]]
    one_sided = either.sum(axis=0) - both.sum(axis=0)
    places = np.flatnonzero(both.any(axis=0) & (one_sided <= MOST_ONE_SIDED * either.sum(axis=0)))
    return places, np.flatnonzero(known[:, places].all(axis=1)) if len(places) else np.zeros(0, dtype=np.int64)


def drawn_means(scored: Scored, measures: Sequence[Measure], replicates: int, seed: int) -> dict[str, Floats]:
    """Measure → (replicates, k) means over the common rows, all by the same draws; NaN of those that have no point."""
    places, rows = kept_of(scored)
    k = len(scored.contenders)
    if not len(rows):
        return {measure: np.empty((0, k)) for measure in measures}
    apart = np.isin(np.arange(k), places, invert=True)
    tables = [
        np.where(apart, np.nan, table[rows]) for measure in measures if (table := scored.table(measure)) is not None
    ]
    clusters = None if scored.clusters is None else scored.clusters[rows]
    drawn = means_drawn(np.hstack(tables), clusters=clusters, replicates=replicates, seed=seed)
    return {measure: drawn[:, n * k : (n + 1) * k] for n, measure in enumerate(measures)}


def points_of(scored: Scored, drawn: Mapping[str, Floats], level: float) -> tuple[Point, ...]:
    places, rows = kept_of(scored)
    if len(rows) < FEWEST_PAIRS or "quality" in scored.faults or "quality" not in drawn:
        return ()
    quality = scored.quality[np.ix_(rows, places)].mean(axis=0)
    is_priced = scored.cost is not None and "cost" not in scored.faults and "cost" in drawn
    cost = scored.cost[np.ix_(rows, places)].mean(axis=0) if is_priced and scored.cost is not None else quality * np.nan
    priced = bool(np.isfinite(cost).all())
    members = frontier(cost.tolist(), quality.tolist()) if priced else []
    shares = _frontier_shares(drawn["cost"][:, places], drawn["quality"][:, places]) if priced else quality * np.nan
    n = independent_rows(scored)
    known = scored.quality[np.isfinite(scored.quality)]
    bounds = min(float(known.min()), 0.0), max(float(known.max()), 1.0)
    unknown = (float("nan"), float("nan"))
    return tuple(
        Point(
            scored.contenders[place],
            float(quality[at]),
            *_reach(float(quality[at]), float(drawn["quality"][:, place].std()), n=n, bounds=bounds, level=level),
            float(cost[at]),
            *(percentiles(drawn["cost"][:, place], level=level) if np.isfinite(cost[at]) else unknown),
            on_frontier=at in members if priced else None,
            frontier_share=float(shares[at]),
            rows=len(rows),
        )
        for at, place in enumerate(places)
    )


def farthest_apart(scored: Scored) -> Floats:
    """(k, k) how far the quality of a row of any two is apart at most; by all that a grade can where they are alike, or
    right or wrong."""
    places, rows = kept_of(scored)
    quality = scored.quality[rows]
    known = quality[:, places]
    widest = float(max(known.max(initial=1.0), 1.0) - min(known.min(initial=0.0), 0.0))
    apart = np.array([np.abs(quality - quality[:, [n]]).max(axis=0, initial=0.0) for n in range(quality.shape[1])])
    found: Floats = np.where((apart > 0) & ~np.isin(known, (0.0, 1.0)).all(), apart, widest)
    return found


def independent_rows(scored: Scored) -> float:
    """How many rows there are that all answered, or clusters of one size."""
    rows = kept_of(scored)[1]
    return float(len(rows)) if scored.clusters is None or not len(rows) else alike(scored.clusters[rows])


def _reach(mean: float, error: float, *, n: float, bounds: tuple[float, float], level: float) -> tuple[float, float]:
    """The interval of a mean of n independent rows with that standard error, and of two rows more at the bounds."""
    low, high = bounds
    centre = (n * mean + low + high) / (n + 2)
    squares = n * (n * error**2 + (mean - centre) ** 2) + (low - centre) ** 2 + (high - centre) ** 2
    reach = float(stats.t.ppf(0.5 + level / 2, max(n - 1, 1))) * float(np.sqrt(squares)) / (n + 2)
    return max(min(centre - reach, mean), low), min(max(centre + reach, mean), high)


def _frontier_shares(cost: Floats, quality: Floats) -> Floats:
    """(k,) the share of draws in which none other is at least as cheap and as good, and better in one."""
    k = cost.shape[1]
    found = np.ones(cost.shape, dtype=bool)
    for one in range(k):
        for other in range(k):
            as_good = (cost[:, other] <= cost[:, one]) & (quality[:, other] >= quality[:, one])
            better = (cost[:, other] < cost[:, one]) | (quality[:, other] > quality[:, one])
            found[:, one] &= ~(as_good & better)
    shares: Floats = found.mean(axis=0)
    return shares
