"""Exploration over any router: what makes a history able to answer "what if"."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from toolkit.records import Decision
from toolkit.routing.router import Asking, Router, RoutingFacts, then


@dataclass(frozen=True)
class Explore(Router):
    """With probability `rate` any model of the base router's order instead of its choice, each alike (ε-greedy).

    A person and a model that fails a hard constraint are never drawn. The probability recorded is that of the arm
    served: `rate / n` for each of the n arms, and `1 - rate` more for the base router's choice.
    """

    base: Router
    rate: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"Explore: rate is a probability between 0 and 1, not {self.rate}")

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        return then(self.base.decide(facts), partial(self._explored, facts))

    def names(self) -> tuple[str, ...] | None:
        return self.base.names()

    def __repr__(self) -> str:
        return f"Explore({self.base!r}, rate={self.rate!r})"

    def _explored(self, facts: RoutingFacts, decision: Decision) -> Decision:
        arms = [name for name in decision.order if not facts.models[name].is_person]
        if not arms or decision.choice not in arms:
            return replace(decision, router=self._label)
        chance = facts.chance(self)
        exploring = chance.random() < self.rate
        choice = chance.choice(arms) if exploring else decision.choice
        kept, share = 1 - self.rate, self.rate / len(arms)
        return Decision(
            choice=choice,
            candidates=tuple(
                [
                    c.with_probability(kept * c.probability + (share if c.model in arms else 0.0))
                    for c in decision.candidates
                ]
            ),
            order=decision.order,
            reason=f"explored: drawn from {len(arms)} models" if exploring else decision.reason,
            router=self._label,
            probabilities=decision.probabilities,
            exploration_rate=self.rate,
            seed=decision.seed,
            snapshot=decision.snapshot,
        )
