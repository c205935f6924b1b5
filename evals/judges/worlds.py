"""Worlds in which it is known what people would say of every answer, and judges of every sort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

JUDGES = ("good", "perfect", "useless", "lenient", "contrary", "constant", "nearly constant")


@dataclass(frozen=True)
class World:
    """Answers of which people pass a share `right` (`scored`: mark in quarters, with that mean); `labels` are known."""

    right: float
    labels: int
    others: int
    judge: str
    scored: bool = False

    @property
    def truth(self) -> float:
        """What people would say of all answers there could be, on average."""
        return float((_MARKS * _chances(self.right)).sum()) if self.scored else self.right

    def drawn(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """(n,) labels, NaN where there is none, and (n,) the judge's grades."""
        n = self.labels + self.others
        if self.scored:
            said = rng.choice(_MARKS, size=n, p=_chances(self.right))
        else:
            said = (rng.random(n) < self.right).astype(np.float64)
        labels = np.where(np.arange(n) < self.labels, said, np.nan)
        return labels, judged(self.judge, said, rng=rng, scored=self.scored)


def judged(judge: str, said: Floats, *, rng: np.random.Generator, scored: bool) -> Floats:
    """What a judge of that sort grades, where people say this."""
    luck = rng.random(len(said))
    match judge:
        case "good" if scored:
            return np.clip(said + rng.normal(0, 0.15, len(said)), 0, 1)
        case "good":
            return np.where(luck < 0.9, said, 1 - said)
        case "perfect":
            return said.copy()
        case "useless":
            return luck
        case "lenient":
            return np.where((said < 0.5) & (luck < 0.4), 1.0, said)
        case "contrary":
            return np.where(luck < 0.8, 1 - said, said)
        case "constant":
            return np.ones(len(said))
        case "nearly constant":
            return np.where(luck < 0.97, 1.0, said)
    raise ValueError(f"no judge is called {judge!r}")


_MARKS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def _chances(right: float) -> Floats:
    """Of each mark: binomial of four, with the mean asked for."""
    ways = np.array([1.0, 4.0, 6.0, 4.0, 1.0])
    found: Floats = ways * right ** np.arange(5) * (1 - right) ** np.arange(4, -1, -1)
    return found
