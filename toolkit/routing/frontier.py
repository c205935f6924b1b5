"""What cost buys in quality: the best that mixtures of given points reach, and the area under it. Pure numpy.

A point is (cost, quality). Choosing between two points at random reaches every point on the line between them, so
what a set of points can do is their non-decreasing concave hull (RouterBench, arXiv 2403.12031).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = 513


@dataclass(frozen=True)
class Frontier:
    """The corners of the hull, from cheap to dear; `member` tells which of the given points each corner is."""

    cost: Floats
    quality: Floats
    member: Ints

    @classmethod
    def of(cls, cost: Floats, quality: Floats) -> Frontier:
        """The hull of points. Raises ValueError where there are none, or one is not finite."""
        if not len(cost) or not (np.isfinite(cost).all() and np.isfinite(quality).all()):
            raise ValueError("a frontier needs at least one point, and all of them finite")
        kept: list[int] = []
        best = -np.inf
        for n in np.lexsort((-quality, cost)):
            if quality[n] <= best:
                continue
            best = quality[n]
            while len(kept) >= 2 and _above(kept[-2], kept[-1], n, cost, quality):
                kept.pop()
            kept.append(int(n))
        member = np.array(kept, dtype=np.int64)
        return cls(cost[member], quality[member], member)

    def at(self, cost: Floats) -> Floats:
        """The quality that each cost buys; NaN below the cheapest corner, the best quality above the dearest."""
        found: Floats = np.interp(cost, self.cost, self.quality, left=np.nan)
        return found

    def price_of(self, quality: float) -> float:
        """The least cost that reaches a quality, infinity where none does."""
        if quality > self.quality[-1]:
            return float("inf")
        return float(np.interp(quality, self.quality, self.cost))

    def mixture(self, cost: float) -> tuple[tuple[int, float], ...]:
        """Which points to mix, and in which shares, to spend `cost` on average; the cheapest where less is given."""
        above = int(np.searchsorted(self.cost, cost, side="right"))
        if above == 0 or above == len(self.cost):
            return ((int(self.member[min(above, len(self.cost) - 1)]), 1.0),)
        share = float((cost - self.cost[above - 1]) / (self.cost[above] - self.cost[above - 1]))
        return ((int(self.member[above - 1]), 1 - share), (int(self.member[above]), share))


def mean_quality(frontier: Frontier, low: float, high: float, *, log: bool = True) -> float:
    """The mean quality over costs from `low` to `high`, over their logarithm or linearly: the AIQ.

    Below its cheapest corner a frontier counts with that corner's quality scaled down to what the money buys: asking
    for a share of the requests, and nothing for the rest.
    """
    if not 0 < low <= high:
        raise ValueError(f"costs must be positive and in order, not {low} to {high}")
    costs = np.exp(np.linspace(np.log(low), np.log(high), GRID)) if log else np.linspace(low, high, GRID)
    quality = frontier.at(costs)
    short = np.isnan(quality)
    quality[short] = frontier.quality[0] * costs[short] / frontier.cost[0]
    return float((quality[1:] + quality[:-1]).sum() / 2 / (GRID - 1))


def _above(first: int, middle: int, last: int, cost: Floats, quality: Floats) -> bool:
    """Whether the line from first to last passes over the middle, or through it."""
    rise, run = quality[last] - quality[first], cost[last] - cost[first]
    return bool((quality[middle] - quality[first]) * run <= rise * (cost[middle] - cost[first]))
