"""A router: LinUCB, a bandit with context, which decides from a snapshot of what was learnt and names its hash.

Li, Chu, Langford and Schapire (2010), arXiv 1003.0146, with disjoint models. With `sampled` it draws instead, as linear
Thompson sampling does (Agrawal and Goyal 2013, arXiv 1209.3352): its probabilities are by Monte Carlo, and flagged so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import FleetError
from toolkit.ledger import History
from toolkit.records import Decision, Json, canonical, content_hash
from toolkit.routing import Router, RoutingFacts, judged, settle

DRAWS = 2_000
Floats = NDArray[np.float64]

GRADED = """
    select r.fields, g.model, avg(g.value) as grade
    from grades g join rows r on r.run_id = g.run_id and r.row_id = g.row_id
    where g.step = $step and g.value is not null and g.model is not null
    group by g.id, r.fields, g.model order by g.id"""


def shown(text: str) -> Floats:
    """What a request shows of itself: a constant, its length, digits and question marks. Yours will know more."""
    words = text.split()
    digits = sum(word.strip(".,!?").isdigit() for word in words)
    return np.array([1.0, min(len(words) / 50, 2.0), digits / (1 + len(words)), float("?" in text)])


@dataclass(frozen=True)
class LinUCB(Router):
    """The model with the highest upper bound for this request: its believed grade, and `alpha` times the doubt.

    `source` is the file of a snapshot (`LinUCB.learn`), `field` the column of the row that holds the text. A person is
    never chosen: join one behind it.
    """

    source: str
    field: str = "ticket"
    alpha: float = 0.5
    sampled: bool = False

    @classmethod
    def learn(cls, history: History, step: str, folder: Path | str, *, field: str = "ticket", **options: Any) -> LinUCB:
        """What the grades of a step teach, saved under a name that has its hash. Raises FleetError without any."""
        known: dict[str, tuple[Floats, Floats]] = {}
        for fields, model, grade in history.sql(GRADED, {"step": step}):
            seen = shown(str(json.loads(fields).get(field, "")))
            a, b = known.get(model, (np.eye(len(seen)), np.zeros(len(seen))))
            known[model] = a + np.outer(seen, seen), b + grade * seen
        if not known:
            raise FleetError(f"LinUCB has nothing to learn from: no graded answers of step {step!r} are on record")
        told = {model: {"a": a.tolist(), "b": b.tolist()} for model, (a, b) in sorted(known.items())}
        path = Path(folder) / f"linucb-{content_hash(canonical(told))[:12]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(canonical(told))
        return cls(str(path), field, **options)

    def decide(self, facts: RoutingFacts) -> Decision:
        seen = shown(str(facts.fields.get(self.field, "")))
        arms = [name for name in self._learnt if name in facts.models and not facts.models[name].is_person]
        beliefs = {name: self._belief(name, seen) for name in arms}
        candidates = [
            replace(c, score=beliefs[c.model][0] + self.alpha * beliefs[c.model][1]) for c in judged(facts, arms)
        ]
        scores = {c.model: c.score or 0.0 for c in candidates if c.eligible}
        chances: Mapping[str, float] | None = None
        if self.sampled and scores:
            chance = facts.chance(self)
            chances = _shares({name: beliefs[name] for name in scores}, self.alpha)
            scores = {name: chance.gauss(beliefs[name][0], self.alpha * beliefs[name][1] + 1e-12) for name in scores}
        order = sorted(scores, key=lambda name: (-scores[name], name))
        decision = settle(
            candidates, order, router=self, facts=facts, probabilities=chances,
            reason="drawn from what is believed" if self.sampled else "highest upper bound",
            exploration_rate=1.0 if self.sampled else 0.0,
        )  # fmt: skip
        return replace(decision, snapshot=self.snapshot, probabilities="monte_carlo" if self.sampled else "exact")

    def names(self) -> tuple[str, ...]:
        return tuple(self._learnt)

    @property
    def snapshot(self) -> str:
        """The hash of what it decides from."""
        return content_hash(canonical(self._told))

    @cached_property
    def _told(self) -> Mapping[str, Json]:
        try:
            told: dict[str, Json] = json.loads(Path(self.source).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FleetError(f"LinUCB cannot read its snapshot {self.source!r}: {error}") from error
        return told

    @cached_property
    def _learnt(self) -> Mapping[str, tuple[Floats, Floats]]:
        """Model → the inverse of A, and what follows from A and b."""
        inverses = {name: np.linalg.inv(np.array(each["a"])) for name, each in self._told.items()}
        return {name: (inverse, inverse @ np.array(self._told[name]["b"])) for name, inverse in inverses.items()}

    def _belief(self, name: str, seen: Floats) -> tuple[float, float]:
        """The mean and the doubt about a model's grade for what is seen."""
        inverse, weights = self._learnt[name]
        return float(weights @ seen), float(np.sqrt(seen @ inverse @ seen))


def _shares(beliefs: Mapping[str, tuple[float, float]], alpha: float) -> dict[str, float]:
    """How often each would be drawn, by simulation; the same each time. One is added to each count."""
    dice = np.random.default_rng(0)
    means, doubts = np.array(list(beliefs.values())).T
    best = np.argmax(dice.normal(means, alpha * doubts + 1e-12, (DRAWS, len(beliefs))), axis=1)
    counts = np.bincount(best, minlength=len(beliefs)) + 1
    return dict(zip(beliefs, (counts / counts.sum()).tolist(), strict=True))
