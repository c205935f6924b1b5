"""When did a series change? Watched every day, for as long as one likes, with false alarms held to a rate. Pure.

    values by day ─▶ conformal p-values ─▶ bets against "nothing changed" ─▶ an e-detector ─▶ Changes

Sources: days that are exchangeable make conformal p-values that are independent and uniform (Vovk, Gammerman & Shafer
2005, theorem 8.1), against which one bets (Vovk et al., arXiv 2102.10439). The bets begun on each day are added up: an
e-detector of Shiryaev-Roberts kind (Shin, Ramdas & Rinaldo, arXiv 2203.03532). Its expected value after t days without
change is t, so that by Doob's inequality it passes T / rate within T days with a probability of at most `rate`.

Nothing is assumed of the values but that days are alike while nothing changes: no shape, no variance, no known level.
What recurs by the week is no change: watch weeks then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STAKES = (0.1, 0.3, 0.5, 0.7)
"""Exponents of the bets: the smallest bets on the rarest p-values."""
DAYS_A_YEAR = 365
FEWEST = 5


@dataclass(frozen=True)
class Change:
    """A change that was told on day `alarm` and began, most likely, on day `start` (places in the series).

    `before` and `after` are means on either side of `start`, `evidence` how far the detector went beyond its threshold.
    """

    alarm: int
    start: int
    before: float
    after: float
    evidence: float


@dataclass(frozen=True)
class Detector:
    """Watches one series with at most `rate` false alarms within `days` days; of several series give each its share."""

    rate: float = 0.05
    days: int = DAYS_A_YEAR
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"the rate of false alarms lies between 0 and 1, not {self.rate}")

    @property
    def threshold(self) -> float:
        """What the sum of bets has to pass."""
        return self.days / self.rate

    def changes(self, values: Floats) -> tuple[Change, ...]:
        """The changes in a series: values by day (T,), or shares by day (T, k). After each, it begins anew.

        Raises ValueError where a value is missing or infinite.
        """
        if not np.isfinite(values).all():
            raise ValueError("a day without a value cannot be watched; leave it out")
        rng = np.random.default_rng(self.seed)
        found: list[Change] = []
        begin = 0
        while (alarm := self._alarm(values[begin:], rng)) is not None:
            place, evidence = alarm
            found.append(_change(values, begin, begin + place, evidence))
            begin += place + 1
        return tuple(found)

    def _alarm(self, values: Floats, rng: np.random.Generator) -> tuple[int, float] | None:
        """The first day on which the detector passes its threshold, and by what factor."""
        sums = np.zeros((2 if values.ndim == 1 else 1, len(STAKES)))
        stakes = np.array(STAKES)
        for day in range(len(values)):
            for side, p in enumerate(_p_values(values[: day + 1], float(rng.random()))):
                sums[side] = (sums[side] + 1) * stakes * p ** (stakes - 1)
            reached = float(sums.mean())
            if reached >= self.threshold and day >= FEWEST:
                return day, reached / self.threshold
        return None


def _p_values(seen: Floats, draw: float) -> Sequence[float]:
    """How strange the last day is among all so far: too high and too low, or too far from the mean of all."""
    if seen.ndim == 1:
        higher, lower = int((seen > seen[-1]).sum()), int((seen < seen[-1]).sum())
        alike = len(seen) - higher - lower
        return (higher + draw * alike) / len(seen), (lower + draw * alike) / len(seen)
    far = np.abs(seen - seen.mean(axis=0)).sum(axis=1).round(12)
    further = int((far > far[-1]).sum())
    alike = int((far == far[-1]).sum())
    return ((further + draw * alike) / len(seen),)


def _change(values: Floats, begin: int, alarm: int, evidence: float) -> Change:
    """Where the two sides differ most, for their lengths (likelihood ratio of a shift in the mean, Hinkley 1970)."""
    part = values[begin : alarm + 1]
    table = part[:, None] if part.ndim == 1 else part
    n = len(table)
    sums = table.cumsum(axis=0)[:-1]
    left = np.arange(1, n)[:, None]
    gaps = sums / left - (table.sum(axis=0) - sums) / (n - left)
    split = int(((gaps**2).sum(axis=1) * (left * (n - left))[:, 0]).argmax()) + 1
    if part.ndim == 1:
        before, after = float(part[:split].mean()), float(part[split:].mean())
    else:
        moved = np.abs(part[split:].mean(axis=0) - part[:split].mean(axis=0)).sum() / 2
        before, after = 0.0, float(moved)
    return Change(alarm, begin + split, before, after, evidence)
