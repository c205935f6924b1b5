"""Where contenders stand in cost and quality, by draws of the rows that all answered. Pure: `Scored` in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.evaluation.pairs import FEWEST_PAIRS, frontier
from toolkit.evaluation.resampling import Floats, means_drawn, percentiles
from toolkit.evaluation.scored import Measure, Scored


@dataclass(frozen=True)
class Point:
    """A contender on the plane of cost and quality, with its bootstrap intervals, over the rows that all answered.

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


def drawn_means(scored: Scored, measures: Sequence[Measure], replicates: int, seed: int) -> dict[str, Floats]:
    """Measure → (replicates, k) means over the common rows, all by the same draws."""
    rows = np.flatnonzero(scored.common)
    k = len(scored.contenders)
    if not len(rows):
        return {measure: np.empty((0, k)) for measure in measures}
    tables = [table[rows] for measure in measures if (table := scored.table(measure)) is not None]
    clusters = None if scored.clusters is None else scored.clusters[rows]
    drawn = means_drawn(np.hstack(tables), clusters=clusters, replicates=replicates, seed=seed)
    return {measure: drawn[:, n * k : (n + 1) * k] for n, measure in enumerate(measures)}


def points_of(scored: Scored, drawn: Mapping[str, Floats], level: float) -> tuple[Point, ...]:
    rows, k, unknown = scored.common, len(scored.contenders), float("nan")
    if int(rows.sum()) < FEWEST_PAIRS or "quality" in scored.faults or "quality" not in drawn:
        return ()
    quality = scored.quality[rows].mean(axis=0)
    cost = (
        np.full(k, unknown)
        if scored.cost is None or "cost" in scored.faults or "cost" not in drawn
        else scored.cost[rows].mean(axis=0)
    )
    priced = bool(np.isfinite(cost).all())
    members = frontier(cost.tolist(), quality.tolist()) if priced else []
    shares = _frontier_shares(drawn["cost"], drawn["quality"]) if priced else np.full(k, unknown)
    return tuple(
        Point(
            name,
            float(quality[n]),
            *percentiles(drawn["quality"][:, n], level=level),
            float(cost[n]),
            *(percentiles(drawn["cost"][:, n], level=level) if np.isfinite(cost[n]) else (unknown, unknown)),
            on_frontier=n in members if priced else None,
            frontier_share=float(shares[n]),
        )
        for n, name in enumerate(scored.contenders)
    )


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
