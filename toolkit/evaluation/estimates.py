"""What an estimator gives: a number with its interval and what it rests on, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """An estimated mean with a two-sided interval at `level`.

    `n` counts rows (or clusters, where rows belong together), `effective_n` those that the weights leave over, and
    `largest_weight` is the share of the heaviest row in the sum of weights. `uncovered` is the share of the target's
    choices that history never makes; the interval is widened by what the reward could have been there.
    """

    method: str
    value: float
    low: float
    high: float
    standard_error: float
    n: int
    effective_n: float
    largest_weight: float
    uncovered: float = 0.0
    level: float = 0.95
    note: str = ""

    @property
    def width(self) -> float:
        """From the lower to the upper end of the interval."""
        return self.high - self.low

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}] by {self.method} over {self.n:,} rows"


@dataclass(frozen=True)
class Refusal:
    """Why history cannot answer, in words, and what would help."""

    method: str
    reason: str

    def __str__(self) -> str:
        return f"no estimate by {self.method}: {self.reason}"


def checked_level(level: float) -> float:
    """The level. Raises ValueError where it is none."""
    if not 0 < level < 1:
        raise ValueError(f"the level lies between 0 and 1, as 0.95 does, not {level}")
    return level
