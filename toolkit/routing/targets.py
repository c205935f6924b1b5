"""What is to be predicted of a request: how easy it is, and each model's lead over the others at it. Pure numpy.

A lead is what choices are made by; what all models share changes none. Both are held against the models that matter:
those that some price of quality would choose, or nearly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolkit.routing.examples import Examples
from toolkit.routing.frontier import Floats, Frontier

NEARLY = 0.05
PRICES, PRICES_BEYOND = 60, 3.0


@dataclass(frozen=True)
class Targets:
    """`all` (n, 1 + k): the ease of each request, then the models' leads. `weight` (k,) is how much a model matters.

    `quality` and `cost` (n, k) are filled in where they were not seen; `mean_quality` and `mean_cost` (k,) are of what
    was seen.
    """

    mean_quality: Floats
    mean_cost: Floats
    quality: Floats
    cost: Floats
    weight: Floats
    all: Floats = field(repr=False)

    @classmethod
    def of(cls, examples: Examples) -> Targets:
        """What was not seen of a model counts as its mean, moved by how easy the request was for the others; what was
        seen weighs the more the rarer it is, so that leads are right on average where models were asked by chance. Only
        where all models answered is it known what they share; elsewhere it stays in the leads, of all models alike.
        """
        mean_quality, mean_cost = np.nanmean(examples.quality, axis=0), np.nanmean(examples.cost, axis=0)
        weight = relevance(mean_quality, mean_cost)
        seen = ~np.isnan(examples.quality)
        away = np.where(seen, examples.quality - mean_quality, 0.0)
        ease = (away * weight).sum(axis=1) / np.maximum((seen * weight).sum(axis=1), 1e-12)
        shared = np.where(seen.all(axis=1), ease, 0.0)[:, None]
        lead = np.where(seen, away - shared, 0.0) / seen.mean(axis=0)
        likely = mean_quality + np.where(seen.sum(axis=1) > 1, ease, 0.0)[:, None]
        quality = np.where(seen, examples.quality, np.clip(likely, 0, 1))
        return cls(
            mean_quality,
            mean_cost,
            quality,
            np.where(np.isnan(examples.cost), mean_cost, examples.cost),
            weight,
            np.column_stack([ease, lead]),
        )

    @property
    def lead(self) -> Floats:
        return self.all[:, 1:]


def relevance(quality: Floats, cost: Floats) -> Floats:
    """(k,) how near each model comes to being the choice, over the prices of quality at which single models turn.

    A model that is worse than the choice by 0.05 of quality, net of cost, matters e times less. They add up to 1.
    """
    zero = Frontier.of(cost, quality)
    if len(zero.cost) == 1:
        return np.full(len(quality), 1 / len(quality))
    turning = np.log(np.diff(zero.quality) / np.maximum(np.diff(zero.cost), 1e-15))
    beyond = np.log(PRICES_BEYOND)
    prices = np.exp(np.linspace(turning.min() - beyond, turning.max() + beyond, PRICES))
    net = quality - prices[:, None] * cost
    near: Floats = np.exp((net - net.max(axis=1, keepdims=True)) / NEARLY).mean(axis=0)
    near /= near.sum()
    return near
