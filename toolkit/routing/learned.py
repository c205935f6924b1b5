"""The learned router: expects quality and cost of each model from history, and knows what it does not know.

    Learned.fit(outcomes, worth=40)            learns; a US dollar must buy 40 points of quality (of 0..1) or more
    Learned("routers/triage", worth=40)        what was saved, as it is named in configuration and in the history

One of three aims: `worth`, the exchange rate, in quality per US dollar; `budget_usd`, what a row may cost on average;
`floor`, the expected quality to reach at least cost. A request that is unlike the training goes where the best mixture
of single models sends it (the zero router), with the probability on record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from toolkit.errors import FleetError
from toolkit.records import Candidate, Decision
from toolkit.routing.router import Router, RoutingFacts, judged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from toolkit.routing.knowledge import Expected, Knowledge
    from toolkit.routing.learning import Examples

TASK_FIELD = "task"


class Teaching(Protocol):
    """What one can learn from: a table of outcomes, say."""

    def examples(self) -> Examples:
        """Requests, and what models made of them."""


@dataclass(frozen=True, init=False, eq=False)
class Learned(Router):
    """Chooses by what was learnt. `source` is the folder of the knowledge, or its hash where it was never saved.

    `task` names the field of the row that tells the task. Without an aim it seeks quality alone.
    """

    source: str
    worth: float | None
    budget_usd: float | None
    floor: float | None
    task: str
    knowledge: Knowledge = field(repr=False)

    def __init__(
        self,
        source: str | Path | Knowledge,
        *,
        worth: float | None = None,
        budget_usd: float | None = None,
        floor: float | None = None,
        task: str = TASK_FIELD,
    ) -> None:
        aims = {"worth": worth, "budget_usd": budget_usd, "floor": floor}
        given = [name for name, value in aims.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"Learned: one aim, not {' and '.join(given)}")
        for name, value in aims.items():
            if value is not None and not value >= 0:
                raise ValueError(f"Learned: {name} is a number from 0 up, not {value}")
        known = _loaded(str(source)) if isinstance(source, str | Path) else source
        object.__setattr__(self, "source", str(source) if isinstance(source, str | Path) else known.hash)
        object.__setattr__(self, "knowledge", known)
        object.__setattr__(self, "task", task)
        for name, value in aims.items():
            object.__setattr__(self, name, value)

    @classmethod
    def fit(
        cls,
        outcomes: Examples | Teaching,
        *,
        worth: float | None = None,
        budget_usd: float | None = None,
        floor: float | None = None,
        task: str = TASK_FIELD,
    ) -> Learned:
        """Learn from examples, or from what gives them. Raises ValueError in words where they cannot teach anything."""
        from toolkit.routing.learning import Examples, fit

        examples = outcomes if isinstance(outcomes, Examples) else outcomes.examples()
        return cls(fit(examples), worth=worth, budget_usd=budget_usd, floor=floor, task=task)

    def save(self, folder: Path | str) -> Learned:
        """Write the knowledge into a folder; the same router, named by it."""
        self.knowledge.save(folder)
        aims = {"worth": self.worth, "budget_usd": self.budget_usd, "floor": self.floor}
        return Learned(Path(folder), **aims, task=self.task)

    # ------------------------------------------------------------------------------------------------------ decisions
    def decide(self, facts: RoutingFacts) -> Decision:
        return self.decide_many([facts])[0]

    def decide_many(self, many: Sequence[RoutingFacts]) -> list[Decision]:
        """Decisions for many requests: what is expected of them is computed at once."""
        told = [facts.fields.get(self.task) for facts in many]
        tasks = [each if isinstance(each, str) else None for each in told]
        expected = self.knowledge.expect([facts.request.text for facts in many], tasks)
        return [self._decision(facts, expected, row) for row, facts in enumerate(many)]

    def choose_many(self, texts: Sequence[str], tasks: Sequence[str | None] | None = None) -> NDArray[np.int64]:
        """(n,) for each text the place in `knowledge.models` of its model, all of them taken as free to be asked.

        Where it abstains, the model of the zero router with the largest share.
        """
        import numpy as np

        expected = self.knowledge.expect(texts, [None] * len(texts) if tasks is None else tasks)
        unlike = np.array([bool(why) for why in expected.unlike], dtype=bool)
        chosen = np.argmax(expected.merit - self.price * expected.cost, axis=1)
        if self.floor is not None:
            above = expected.quality >= self.floor
            cheapest = np.argmin(np.where(above, expected.cost, np.inf), axis=1)
            chosen = np.where(above.any(axis=1), cheapest, expected.quality.argmax(axis=1))
        largest = max(self.mixture, key=lambda each: each[1])[0]
        return np.where(unlike, largest, chosen).astype(np.int64)

    def names(self) -> tuple[str, ...]:
        return self.knowledge.models

    @property
    def price(self) -> float:
        """What a dollar counts in quality: `worth`, or the least that keeps the training within the budget."""
        if self.worth is not None:
            return self.worth
        if self.budget_usd is None:
            return 0.0
        known = self.knowledge
        within = known.curve_rates[known.curve_cost <= self.budget_usd]
        return float(within.min()) if len(within) else 1e12

    @property
    def mixture(self) -> tuple[tuple[int, float], ...]:
        """The zero router at this aim: places of single models, with the probability of each."""
        known = self.knowledge
        if self.budget_usd is not None:
            return known.zero.mixture(self.budget_usd)
        if self.floor is not None:
            cost = known.zero.price_of(self.floor)
            return known.zero.mixture(min(cost, float(known.zero.cost[-1])))
        return ((int((known.mean_quality - self.price * known.mean_cost).argmax()), 1.0),)

    def _decision(self, facts: RoutingFacts, expected: Expected, row: int) -> Decision:
        known = self.knowledge
        missing = [name for name in known.models if name not in facts.models]
        if missing:
            raise FleetError(
                f"{self!r} was trained with {', '.join(missing)}, which the fleet does not have: fit it again"
            )
        candidates = {c.model: c for c in judged(facts, known.models)}
        free = [place for place, name in enumerate(known.models) if candidates[name].eligible]
        merit, quality, cost = expected.merit[row], expected.quality[row], expected.cost[row]
        net = (merit - self.price * cost).tolist()
        order = sorted(free, key=lambda place: -net[place])
        chances = {order[0]: 1.0} if order else {}
        why = expected.unlike[row]
        if order and why:
            chances = self._fallback(order)
            drawn = facts.chance(self).choices(list(chances), list(chances.values()))[0]
            order = [drawn, *(place for place in order if place != drawn)]
            reason = f"abstains, as {why}: the best mixture of single models"
        elif order and self.floor is not None:
            above = [place for place in order if quality[place] >= self.floor]
            first = min(above, key=lambda place: cost[place]) if above else max(order, key=lambda place: quality[place])
            order = [first, *(place for place in order if place != first)]
            chances = {first: 1.0}
            reason = (
                f"{self._told(first, quality, cost)}: the cheapest of {len(above)} above the floor of {self.floor:g}"
            )
        elif order:
            reason = f"{self._told(order[0], quality, cost)}: the best {self._aim()}"
        names = [known.models[place] for place in order]
        scored = tuple(
            Candidate(name, candidates[name].verdicts, score, chances.get(place, 0.0), expected_cost)
            for place, (name, score, expected_cost) in enumerate(
                zip(known.models, quality.tolist(), cost.tolist(), strict=True)
            )
        )
        return Decision(
            choice=names[0] if names else "",
            candidates=scored,
            order=tuple(names),
            reason=reason if names else _nobody(scored),
            router=self._label,
            seed=facts.seed,
            snapshot=known.hash,
        )

    def _fallback(self, order: Sequence[int]) -> dict[int, float]:
        """The zero router among those that may be asked; the best of them where none of its models may."""
        shares = {place: share for place, share in self.mixture if place in order and share > 0}
        total = sum(shares.values())
        return {place: share / total for place, share in shares.items()} if total else {order[0]: 1.0}

    def _told(self, place: int, quality: NDArray[np.float64], cost: NDArray[np.float64]) -> str:
        return f"{self.knowledge.models[place]}, quality {quality[place]:.2f} and ${cost[place]:.2g} expected"

    def _aim(self) -> str:
        if self.worth is not None:
            return f"at {self.worth:g} quality per dollar"
        return "quality" if self.budget_usd is None else f"within ${self.budget_usd:g} a row on average"

    def __repr__(self) -> str:
        aims = [
            f"{name}={value!r}"
            for name in ("worth", "budget_usd", "floor")
            if (value := getattr(self, name)) is not None
        ]
        named = [f"task={self.task!r}"] if self.task != TASK_FIELD else []
        return f"Learned({', '.join([repr(self.source), *aims, *named])})"


@lru_cache(maxsize=8)
def _loaded(folder: str) -> Knowledge:
    """Read once: a folder that is written anew is another router, for the next process."""
    from toolkit.routing.knowledge import CARD, Knowledge

    if not (Path(folder) / CARD).exists():
        raise FleetError(f"there is no learned router in {folder!r}: fit one and save it there")
    try:
        return Knowledge.load(folder)
    except (ValueError, KeyError, OSError) as error:
        raise FleetError(f"cannot read the learned router in {folder!r}: {error}") from error


def _nobody(candidates: Sequence[Candidate]) -> str:
    causes = (f"{c.model}: {'; '.join(v.why or v.constraint for v in c.verdicts if not v.passed)}" for c in candidates)
    return f"no model qualifies ({' · '.join(causes)})"
