"""How good routers are, by the measures that were published for them. Pure numpy.

* PGR, APGR, CPT: RouteLLM (Ong et al., arXiv 2406.18665, section 3.2), for two models, over the share of strong calls.
* AIQ over the non-decreasing convex hull: RouterBench (Hu et al., arXiv 2403.12031, section 3), here as the mean
  quality over a range of costs, over their logarithm or linearly.
* Gap closed: (AIQ over log cost - the zero router's) / (the oracle's - the zero router's).
* Arena score: RouterArena (Lu et al., arXiv 2510.00202), a weighted harmonic mean of accuracy and log-scaled cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolkit.routing.exchange import gap_closed
from toolkit.routing.frontier import Floats, Frontier, mean_quality

ARENA_BETA, ARENA_DEAREST, ARENA_CHEAPEST = 0.1, 200.0, 0.0044

__all__ = ["Interval", "aiq", "apgr", "arena_score", "bootstrapped", "cpt", "gap_closed", "recovered", "saving"]


def recovered(score: Floats, weak: Floats, strong: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """The curve of RouteLLM: (share of strong calls, share of the performance gap recovered), n + 1 points each.

    `score` (n,) says how much a row wants the strong model: rows are moved to it from the highest score down; rows of
    equal score in proportion. `weak` and `strong` (n,) are the qualities of the two answers. NaN where the strong model
    is not better on the whole.
    """
    order = np.argsort(-score, kind="stable")
    share = np.full(len(score), 1 / len(score)) if weights is None else weights / weights.sum()
    gain = (share * (strong - weak))[order]
    x, gained = np.cumsum(np.append(0.0, share[order])), np.cumsum(np.append(0.0, gain))
    ends = np.append(np.flatnonzero(np.diff(score[order])) + 1, len(score))
    corners = np.append(0, ends)
    level = np.interp(x, x[corners], gained[corners])
    return x, level / gained[-1] if gained[-1] > 0 else np.full(len(x), np.nan)


def apgr(
    score: Floats, weak: Floats, strong: Floats, weights: Floats | None = None, *, surcharge: float = 0.0
) -> float:
    """Average performance gap recovered: the area under the curve of `recovered`. Random: 0.5.

    A cascade pays for the weak answer also where it asks the strong model: `surcharge`, as a share of the difference in
    cost, stretches the axis, so that its area is cut where it has spent as much as strong calls alone.
    """
    x, level = recovered(score, weak, strong, weights)
    if np.isnan(level).any():
        return float("nan")
    if surcharge:
        x = x * (1 + surcharge)
        level = np.append(level[x < 1], np.interp(1.0, x, level))
        x = np.append(x[x < 1], 1.0)
    return float((np.diff(x) * (level[1:] + level[:-1]) / 2).sum())


def cpt(score: Floats, weak: Floats, strong: Floats, level: float) -> float:
    """Call-performance threshold: the least share of strong calls that recovers `level` (0..1) of the gap."""
    x, found = recovered(score, weak, strong)
    reached = np.flatnonzero(found >= level - 1e-12)
    if not len(reached):
        return float("nan")
    last = int(reached[0])
    if last == 0:
        return 0.0
    step = found[last] - found[last - 1]
    return float(x[last] - (x[last] - x[last - 1]) * (found[last] - level) / step) if step > 0 else float(x[last])


def aiq(cost: Floats, quality: Floats, *, low: float, high: float, log: bool = True) -> float:
    """Average improvement in quality: the mean quality that the points' hull reaches over costs from low to high."""
    return mean_quality(Frontier.of(cost, quality), low, high, log=log)


def saving(router: Frontier, single: Frontier, share: float) -> float:
    """The share of the best single model's cost that the router saves at `share` of its quality; NaN where it never
    reaches that quality."""
    wanted = share * float(single.quality[-1])
    paid = router.price_of(wanted)
    return 1 - paid / float(single.cost[-1]) if math.isfinite(paid) else float("nan")


def arena_score(accuracy: float, cost_per_1000: float, *, beta: float = ARENA_BETA) -> float:
    """RouterArena's score: ((1 + β) A C) / (β A + C), with C = 1 at $0.0044 per 1,000 queries and 0 at $200, on a
    logarithmic scale in between."""
    if not 0 <= accuracy <= 1 or cost_per_1000 <= 0:
        raise ValueError(f"accuracy lies in 0..1 and cost above 0, not {accuracy} and {cost_per_1000}")
    within = min(max(cost_per_1000, ARENA_CHEAPEST), ARENA_DEAREST)
    cheapness = math.log(ARENA_DEAREST / within) / math.log(ARENA_DEAREST / ARENA_CHEAPEST)
    total = beta * accuracy + cheapness
    return (1 + beta) * accuracy * cheapness / total if total else 0.0


# --------------------------------------------------------------------------------------------------------- intervals
@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap percentile interval of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrapped(measure: Callable[[Floats | None], float], n: int, *, replicates: int, seed: int = 0) -> Interval:
    """`measure` of weights over n rows (None: all alike), with its interval over rows drawn with replacement.

    The same seed draws the same rows, so two measures of one pool, and their difference, are paired.
    """
    rng = np.random.default_rng(seed)
    drawn = [measure(rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64)) for _ in range(replicates)]
    found = np.array([each for each in drawn if math.isfinite(each)])
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (float("nan"), float("nan"))
    return Interval(measure(None), float(low), float(high))
