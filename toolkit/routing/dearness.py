"""What a request will cost with each model, by its length and its task. Pure numpy.

Costs are products (tokens times price), so their logarithm is what is regressed: on the logarithm of the length and on
the task, a few numbers for each model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.routing.frontier import Floats, Ints
from toolkit.routing.ridge import solved

PENALTY = 3.0
LEAST, MOST = 0.05, 20.0


@dataclass(frozen=True)
class Dearness:
    """How a request's cost goes with its length and task, in multiples of the model's mean cost: tables (., k)."""

    by_length: Floats
    by_task: Floats
    by_no_task: Floats
    offset: Floats
    length: Floats

    @classmethod
    def fit(cls, lengths: Floats, task: Floats, cost: Floats) -> Dearness:
        """`lengths` (n,) by `log_lengths`, `task` (n, t) of zeros and ones, `cost` (n, k) with NaN where not seen: a
        cost that was not seen counts as dear as the other models' answers to that request."""
        mean = np.nanmean(cost, axis=0)
        seen = ~np.isnan(cost) & (mean > 0)
        ratio = np.log(np.clip(np.where(seen, cost / np.maximum(mean, 1e-15), 1.0), LEAST, MOST))
        common = (ratio * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        ratio = np.where(seen, ratio, common[:, None])
        length = np.array([lengths.mean(), lengths.std() + 1e-9])
        features = np.hstack([((lengths - length[0]) / length[1])[:, None], task])
        weights, offset = solved(features, ratio, np.full(cost.shape[1], PENALTY))
        level = np.log(np.exp(features @ weights + offset).mean(axis=0))
        return cls(weights[:1], weights[1:], task.mean(axis=0) @ weights[1:], offset - level, length)

    def at(self, lengths: Floats, places: Ints) -> Floats:
        """(n, k) multiples of the models' mean costs; `places` are of the tasks, -1 where it is not known."""
        told = ((lengths - self.length[0]) / self.length[1])[:, None] @ self.by_length + self.offset
        told += np.where(places[:, None] >= 0, self.by_task[places], self.by_no_task)
        ratio: Floats = np.clip(np.exp(told), LEAST, MOST)
        return ratio


def log_lengths(texts: Sequence[str]) -> Floats:
    return np.log1p(np.fromiter(map(len, texts), np.float64, len(texts)))
