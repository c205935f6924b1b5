"""Routers that need no more than the fleet: one model, an order, the cheapest, any at random."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.records import Decision
from toolkit.routing.router import Router, RoutingFacts, judged, settle


@dataclass(frozen=True)
class Fixed(Router):
    """Always the same model."""

    model: str

    def decide(self, facts: RoutingFacts) -> Decision:
        return settle(judged(facts, (self.model,)), (self.model,), router=self, reason="fixed", facts=facts)

    def names(self) -> tuple[str, ...]:
        return (self.model,)

    def __repr__(self) -> str:
        return f"Fixed({self.model!r})"


@dataclass(frozen=True, init=False)
class Ladder(Router):
    """An order from first to last resort. It picks the first that may be asked; the policy Escalate climbs it."""

    rungs: tuple[str, ...]

    def __init__(self, *rungs: str) -> None:
        object.__setattr__(self, "rungs", _distinct("Ladder", rungs))

    def decide(self, facts: RoutingFacts) -> Decision:
        return settle(
            judged(facts, self.rungs), self.rungs, router=self, reason="first rung that may be asked", facts=facts
        )

    def names(self) -> tuple[str, ...]:
        return self.rungs

    def __repr__(self) -> str:
        return f"Ladder({', '.join(map(repr, self.rungs))})"


@dataclass(frozen=True, init=False)
class Uniform(Router):
    """One of the models that qualify, each with the same probability. Persons are never drawn."""

    models: tuple[str, ...]

    def __init__(self, *models: str) -> None:
        object.__setattr__(self, "models", _distinct("Uniform", models))

    def decide(self, facts: RoutingFacts) -> Decision:
        candidates = judged(facts, self.models or None)
        drawn = [c.model for c in candidates if c.eligible and not facts.models[c.model].is_person]
        facts.chance(self).shuffle(drawn)
        chances = {name: 1 / len(drawn) for name in drawn}
        return settle(candidates, drawn, router=self, reason="drawn at random", facts=facts, probabilities=chances,
                      exploration_rate=1.0)  # fmt: skip

    def names(self) -> tuple[str, ...] | None:
        return self.models or None

    def __repr__(self) -> str:
        return f"Uniform({', '.join(map(repr, self.models))})"


@dataclass(frozen=True, init=False)
class Cheapest(Router):
    """The model with the lowest expected cost among those that qualify; unknown prices come last, persons after."""

    models: tuple[str, ...]

    def __init__(self, *models: str) -> None:
        object.__setattr__(self, "models", _distinct("Cheapest", models))

    def decide(self, facts: RoutingFacts) -> Decision:
        candidates = judged(facts, self.models or None)

        def dearness(name: str) -> tuple[bool, bool, float]:
            cost = costs[name]
            return facts.models[name].is_person, cost is None, cost or 0.0

        costs = {c.model: c.expected_cost_usd for c in candidates}
        order = sorted(costs, key=dearness)
        return settle(candidates, order, router=self, reason="lowest expected cost", facts=facts)

    def names(self) -> tuple[str, ...] | None:
        return self.models or None

    def __repr__(self) -> str:
        return f"Cheapest({', '.join(map(repr, self.models))})"


def _distinct(router: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{router} names {twice!r} twice")
    return names
