"""Routers by measurement: the fastest model, and the best trade of quality, money and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.records import Candidate, Decision
from toolkit.routing.measured import Measured, Measurement, known
from toolkit.routing.router import Router, RoutingFacts, judged, settle


@dataclass(frozen=True, init=False)
class Fastest(Router):
    """The model with the least median service time among those that qualify; unmeasured ones last, persons after.

    A candidate's score is the negative of its seconds.
    """

    source: str
    models: tuple[str, ...]
    measured: Measured

    def __init__(self, measured: str | Path | Measured, *models: str) -> None:
        source, value = known(measured)
        for name, each in {"source": source, "models": models, "measured": value}.items():
            object.__setattr__(self, name, each)

    def decide(self, facts: RoutingFacts) -> Decision:
        found = self.measured.about(facts.step)
        scores = {name: -row.seconds for name, row in found.items() if row.seconds is not None}
        return _best(self, facts, judged(facts, self.models or None), scores, aim="fastest as measured")

    def names(self) -> tuple[str, ...] | None:
        return self.models or None

    def __repr__(self) -> str:
        return f"Fastest({', '.join(map(repr, (self.source, *self.models)))})"


@dataclass(frozen=True, init=False)
class Balanced(Router):
    """The model with the highest quality - worth x cost - per_second x seconds, as measured; the unmeasured come last.

    `worth` is what a US dollar must buy in quality, as for `Learned`, `per_second` what a second must. A candidate's
    score is that sum; where a term that counts is unknown it has none.
    """

    source: str
    models: tuple[str, ...]
    worth: float
    per_second: float
    measured: Measured

    def __init__(
        self, measured: str | Path | Measured, *models: str, worth: float = 0.0, per_second: float = 0.0
    ) -> None:
        if worth < 0 or per_second < 0:
            raise ValueError("Balanced: worth and per_second are numbers from 0 up")
        source, value = known(measured)
        told = {"source": source, "models": models, "worth": worth, "per_second": per_second, "measured": value}
        for name, each in told.items():
            object.__setattr__(self, name, each)

    def decide(self, facts: RoutingFacts) -> Decision:
        found = self.measured.about(facts.step)
        candidates = judged(facts, self.models or None)
        scores = {
            c.model: score
            for c in candidates
            if (score := self._score(found.get(c.model), c.expected_cost_usd)) is not None
        }
        return _best(self, facts, candidates, scores, aim="best balance of quality, cost and time as measured")

    def names(self) -> tuple[str, ...] | None:
        return self.models or None

    def __repr__(self) -> str:
        parts = [*map(repr, (self.source, *self.models))]
        parts += [f"worth={self.worth!r}"] if self.worth else []
        parts += [f"per_second={self.per_second!r}"] if self.per_second else []
        return f"Balanced({', '.join(parts)})"

    def _score(self, row: Measurement | None, cost_usd: float | None) -> float | None:
        if row is None or row.quality is None or (self.worth and cost_usd is None):
            return None
        if self.per_second and row.seconds is None:
            return None
        return row.quality - self.worth * (cost_usd or 0.0) - self.per_second * (row.seconds or 0.0)


def _best(
    router: Fastest | Balanced,
    facts: RoutingFacts,
    candidates: tuple[Candidate, ...],
    scores: Mapping[str, float],
    *,
    aim: str,
) -> Decision:
    """By score, the highest first; those without one in the order that they have."""

    def rank(name: str) -> tuple[bool, bool, float]:
        return facts.models[name].is_person, name not in scores, -scores.get(name, 0.0)

    scored = tuple(replace(c, score=scores.get(c.model)) for c in candidates)
    order = sorted((c.model for c in candidates), key=rank)
    first = next((c.model for name in order for c in scored if c.model == name and c.eligible), "")
    reason = aim if first in scores else "nothing is measured of who may be asked"
    return replace(settle(scored, order, router=router, reason=reason, facts=facts), snapshot=router.measured.hash)
