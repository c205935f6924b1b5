"""Tasks left out of training: what a router does where it has not been, against the zero router of the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evals.routing.judging import swept, told_by
from toolkit.evaluation.outcomes import Outcomes
from toolkit.evaluation.routing_metrics import Interval
from toolkit.evaluation.zero import Zero
from toolkit.routing.exchange import Sweep
from toolkit.routing.frontier import Floats, mean_quality
from toolkit.routing.learning import fit

LOTS = 8


@dataclass(frozen=True)
class Unseen:
    """What a router does on tasks that were left out of its training, against the zero router fitted on the same rows.

    `gain` is in AIQ (mean quality over log cost); `worst` that of the worst lot of tasks. `abstained` is the share of
    queries that go where the zero router sends them, `lots_routed` in how many lots it did more than that.
    """

    lots: int
    lots_routed: int
    abstained: float
    gain: Interval
    worst: float


def unseen(pool: Outcomes, *, replicates: int) -> Unseen | None:
    """Leave tasks out, one at a time where they are few, in lots where they are many; None where there is one task."""
    names = sorted(set(pool.tasks))
    if len(names) < 2:
        return None
    lots = min(LOTS, len(names)) if len(names) > 2 * LOTS else len(names)
    tasks = np.array(pool.tasks)
    parts: list[tuple[Sweep, Sweep, float, float]] = []
    abstained, routed = 0, 0
    for lot in range(lots):
        out = np.isin(tasks, names[lot::lots])
        train, test = pool.take(~out), pool.take(out)
        knowledge = fit(train.examples())
        merit, cost = told_by(knowledge, test)
        told = knowledge.expect(test.queries, test.tasks)
        spent = test.cost.mean(axis=0)
        parts.append((swept(merit, cost, test), Zero.fit(train).sweep(test), float(spent.min()), float(spent.max())))
        abstained += sum(bool(why) for why in told.unlike)
        routed += not all(told.unlike)
    gains = [_gain(part, None) for part in parts]
    sizes = np.array([len(part[0].cost) for part in parts], dtype=np.float64)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(replicates):
        weights = [rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for n in sizes.astype(int)]
        each = [_gain(part, weight) for part, weight in zip(parts, weights, strict=True)]
        drawn.append(float(np.average(each, weights=sizes)))
    low, high = np.quantile(drawn, [0.025, 0.975])
    whole = Interval(float(np.average(gains, weights=sizes)), float(low), float(high))
    return Unseen(lots, routed, abstained / len(pool), whole, min(gains))


def _gain(part: tuple[Sweep, Sweep, float, float], weights: Floats | None) -> float:
    ours, zero, low, high = part
    return mean_quality(ours.frontier(weights), low, high) - mean_quality(zero.frontier(weights), low, high)
