"""The zero router: the best that mixing single models does without looking at the request (RouterBench, 2403.12031).

A router that does not beat it has learnt nothing. Its corners are single models; between two of them it draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.evaluation.outcomes import Outcomes
from toolkit.routing.exchange import Sweep
from toolkit.routing.frontier import Floats, Frontier


@dataclass(frozen=True)
class Zero:
    """The mixtures of single models, by the outcomes that it was fitted on."""

    models: tuple[str, ...]
    frontier: Frontier

    @classmethod
    def fit(cls, outcomes: Outcomes) -> Zero:
        """By the models' mean score and cost."""
        return cls(outcomes.models, Frontier.of(outcomes.cost.mean(axis=0), outcomes.score.mean(axis=0)))

    def shares(self, cost: float) -> dict[str, float]:
        """Which models to draw from, and how often, to spend `cost` US dollars a query on average."""
        return {self.models[place]: share for place, share in self.frontier.mixture(cost) if share > 0}

    def sweep(self, outcomes: Outcomes) -> Sweep:
        """Its corners on other outcomes: one setting for each of its single models."""
        return Sweep(outcomes.cost[:, self.frontier.member], outcomes.score[:, self.frontier.member])


def singles(outcomes: Outcomes) -> Sweep:
    """Each single model as a setting: what a zero router fitted on these very outcomes chooses from."""
    return Sweep(outcomes.cost, outcomes.score)


def expected(zero: Zero, outcomes: Outcomes, cost: float) -> tuple[float, float]:
    """(cost, score) on average when the mixture for `cost` answers these outcomes."""
    shares: Floats = np.array([zero.shares(cost).get(model, 0.0) for model in outcomes.models])
    return float((outcomes.cost @ shares).mean()), float((outcomes.score @ shares).mean())
