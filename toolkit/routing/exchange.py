"""Choosing by an exchange rate: what quality is worth in money, over a sweep of rates. Pure numpy.

At the rate r (quality per US dollar) each request goes to the model with the highest quality - r x cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.routing.frontier import Floats, Frontier, Ints, mean_quality

LOG_RATES, QUANTILES = 40, 120
MOST_PAIRS = 400_000
FREE = 1e-6


def rates(quality: Floats, cost: Floats) -> Floats:
    """Exchange rates at which choices turn: quantiles of where one model of a row passes another; 0 and 1e12, as ends.

    `quality` is (n, k), `cost` (k,) or (n, k).
    """
    cost = np.broadcast_to(cost, quality.shape)
    step = max(1, len(quality) * quality.shape[1] ** 2 // MOST_PAIRS)
    gain = quality[::step, :, None] - quality[::step, None, :]
    dearer = cost[::step, :, None] - cost[::step, None, :]
    turning = (gain > 0) & (dearer > 0)
    found = gain[turning] / dearer[turning]
    if not len(found):
        return np.array([0.0, 1e12])
    spread = np.exp(np.linspace(np.log(found.min()), np.log(found.max()), LOG_RATES))
    return np.unique(
        np.concatenate([[0.0], np.quantile(found, np.linspace(0, 1, QUANTILES)), spread * 1.000001, [1e12]])
    )


def choices(quality: Floats, cost: Floats, at: Floats) -> Ints:
    """(n, rates) the model that each row goes to at each rate; the first of the table where two are alike."""
    cost = np.broadcast_to(cost, quality.shape)
    return np.stack([np.argmax(quality - rate * cost, axis=1) for rate in at], axis=1)


@dataclass(frozen=True)
class Sweep:
    """What each row costs and how good its answer is, at each setting of a router: two (n, settings) arrays."""

    cost: Floats
    quality: Floats

    @classmethod
    def of(cls, chosen: Ints, quality: Floats, cost: Floats) -> Sweep:
        """Choices (n, settings) looked up in the true quality and cost, (n, k) each."""
        return cls(np.take_along_axis(cost, chosen, axis=1), np.take_along_axis(quality, chosen, axis=1))

    def frontier(self, weights: Floats | None = None) -> Frontier:
        """The frontier of the settings' means over the rows, each row counted `weights` times."""
        n = len(self.cost)
        share = np.full(n, 1 / n) if weights is None else weights / weights.sum()
        return Frontier.of(share @ self.cost, share @ self.quality)


def gap_closed(sweep: Sweep, zero: Sweep, oracle: Sweep, weights: Floats | None = None) -> float:
    """(AIQ - zero router's) / (oracle's - zero router's), over the logarithm of cost; NaN where there is no gap.

    The range of costs is that of `zero`, whose settings are the single models; what is free counts as a millionth of
    the dearest.
    """
    n = len(zero.cost)
    share = np.full(n, 1 / n) if weights is None else weights / weights.sum()
    means = share @ zero.cost
    high = float(means.max())
    if high <= 0:
        return float("nan")
    low = max(float(means.min()), FREE * high)
    ours, base, best = (mean_quality(each.frontier(weights), low, high) for each in (sweep, zero, oracle))
    return (ours - base) / (best - base) if best > base else float("nan")
