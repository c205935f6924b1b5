"""Challenger against champion: whether a newly learned router is to replace the one that serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.evaluation.outcomes import Outcomes
from toolkit.evaluation.routing_metrics import Interval, bootstrapped
from toolkit.routing.frontier import Floats
from toolkit.routing.learned import Learned

REPLICATES = 1_000
LEAST_ROWS = 50


@dataclass(frozen=True)
class Match:
    """How much better the challenger did on the same queries: quality less what it cost, at the rate of the aim.

    It replaces the champion where it did better, and is surely no worse than `margin`.
    """

    difference: Interval
    queries: int
    margin: float

    @property
    def replaces(self) -> bool:
        return self.difference.value > 0 and self.difference.low >= -self.margin

    def __str__(self) -> str:
        verdict = "the challenger replaces the champion" if self.replaces else "the champion stays"
        return (
            f"{verdict}: {self.difference.value:+.4f} [{self.difference.low:+.4f}, {self.difference.high:+.4f}] in "
            f"quality net of cost over {self.queries:,} queries (margin {self.margin:g})"
        )


def match(champion: Learned, challenger: Learned, outcomes: Outcomes, *, margin: float = 0.0, seed: int = 0) -> Match:
    """Both on outcomes that neither has learned from. Raises ValueError where they are too few or lack a model."""
    if len(outcomes) < LEAST_ROWS:
        raise ValueError(f"{len(outcomes)} queries are too few for a match; at least {LEAST_ROWS} are needed")
    net = [_net(router, outcomes, challenger.price) for router in (champion, challenger)]
    better = net[1] - net[0]

    def difference(weights: Floats | None) -> float:
        return float(better.mean() if weights is None else weights @ better / weights.sum())

    return Match(bootstrapped(difference, len(outcomes), replicates=REPLICATES, seed=seed), len(outcomes), margin)


def _net(router: Learned, outcomes: Outcomes, price: float) -> Floats:
    places = {model: place for place, model in enumerate(outcomes.models)}
    absent = [model for model in router.knowledge.models if model not in places]
    if absent:
        raise ValueError(f"the outcomes have no answers of {', '.join(absent)}, which {router!r} may choose")
    to_outcomes = np.array([places[model] for model in router.knowledge.models])
    chosen = to_outcomes[router.choose_many(outcomes.queries, outcomes.tasks)]
    rows = np.arange(len(outcomes))
    net: Floats = outcomes.score[rows, chosen] - price * outcomes.cost[rows, chosen]
    return net
