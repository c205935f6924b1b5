"""Thompson sampling: each model is drawn as often as it is believed to be the best, so doubt explores by itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from toolkit.records import Decision
from toolkit.routing.measured import Measured, Measurement, known
from toolkit.routing.router import Router, RoutingFacts, judged, settle

DRAWS = 4_000


@dataclass(frozen=True, init=False)
class Thompson(Router):
    """The model whose quality, drawn from what is believed of it, is highest (Thompson 1933; Chapelle and Li 2011).

    The belief in a model at a step is Beta(1 + good, 1 + bad): of each graded answer its quality is good and the rest
    bad, a failed call is all bad. Persons and models that fail a hard constraint are never drawn. Probabilities are
    shares of 4,000 draws, the same for the same snapshot and arms, and flagged "monte_carlo"; one is added to each
    count, as no arm that may be drawn has probability 0. A candidate's score is its believed mean.
    """

    source: str
    models: tuple[str, ...]
    measured: Measured

    def __init__(self, measured: str | Path | Measured, *models: str) -> None:
        source, value = known(measured)
        for name, each in {"source": source, "models": models, "measured": value}.items():
            object.__setattr__(self, name, each)

    def decide(self, facts: RoutingFacts) -> Decision:
        candidates = judged(facts, self.models or None)
        found = self.measured.about(facts.step)
        beliefs = {c.model: belief(found.get(c.model)) for c in candidates}
        arms = [c.model for c in candidates if c.eligible and not facts.models[c.model].is_person]
        chance = facts.chance(self)
        drawn = {name: chance.betavariate(*beliefs[name]) for name in arms}
        decision = settle(
            tuple(replace(c, score=beliefs[c.model][0] / sum(beliefs[c.model])) for c in candidates),
            sorted(arms, key=lambda name: -drawn[name]),
            router=self,
            reason=f"drawn as likely the best of {len(arms)}",
            facts=facts,
            probabilities=dict(zip(arms, shares(tuple(beliefs[name] for name in arms)), strict=True)),
            exploration_rate=1.0,
        )
        return replace(decision, probabilities="monte_carlo", snapshot=self.measured.hash)

    def names(self) -> tuple[str, ...] | None:
        return self.models or None

    def __repr__(self) -> str:
        return f"Thompson({', '.join(map(repr, (self.source, *self.models)))})"


def belief(row: Measurement | None) -> tuple[float, float]:
    """The parameters of the Beta distribution over a model's quality; nothing known is Beta(1, 1)."""
    if row is None:
        return 1.0, 1.0
    good = min(max(row.quality or 0.0, 0.0), 1.0) * row.graded
    return 1.0 + good, 1.0 + row.graded - good + row.failed


@lru_cache(maxsize=256)
def shares(beliefs: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """With which probability each of these is the highest, by simulation; the same each time."""
    chance = random.Random(repr(beliefs))
    counts = [1] * len(beliefs)
    for _ in range(DRAWS if len(beliefs) > 1 else 0):
        values = [chance.betavariate(good, bad) for good, bad in beliefs]
        counts[values.index(max(values))] += 1
    return tuple(count / sum(counts) for count in counts)
