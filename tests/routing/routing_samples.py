"""Pools whose truth is known: who is good at what is decided by words of the query."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.core.core_samples import member
from toolkit import Request
from toolkit.evaluation.outcomes import Outcomes, folds_of
from toolkit.messages import Message, Text
from toolkit.money.prices import Price
from toolkit.routing import Learned, RoutingFacts
from toolkit.routing.knowledge import Knowledge
from toolkit.routing.learning import fit

MODELS = ("cheap", "dear", "odd")
COSTS = np.array([0.001, 0.02, 0.004])
EASY = ("greet the guest", "name the colour", "spell the word", "say the day")
HARD = ("prove the theorem", "derive the integral", "optimise the schedule", "refute the lemma")
FILLER = ("please", "now", "today", "kindly", "again", "slowly", "in short", "for me", "at once", "with care")


def pool(n: int = 600, *, seed: int = 0, signal: float = 1.0, tasks: tuple[str, ...] = ("talk", "maths")) -> Outcomes:
    """Easy queries that all answer, hard ones that only the dear model answers; with `signal` 0 words tell nothing."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.5
    told = np.where(rng.random(n) < signal, hard, rng.random(n) < 0.5)
    queries = tuple(
        f"{(HARD if t else EASY)[rng.integers(4)]} {' '.join(rng.choice(FILLER, 3))} number {i}"
        for i, t in enumerate(told)
    )
    chance = np.where(hard[:, None], [0.2, 0.9, 0.3], [0.9, 0.92, 0.6])
    return Outcomes(
        "made up",
        tuple(f"q{i}" for i in range(n)),
        queries,
        tuple(tasks[1] if t and len(tasks) > 1 else tasks[0] for t in told),
        MODELS,
        (rng.random((n, 3)) < chance).astype(np.float64),
        COSTS * rng.uniform(0.8, 1.2, (n, 3)),
        folds_of(queries),
    )


@cache
def known() -> Knowledge:
    return fit(pool().examples())


def facts(text: str, *, task: str | None = "maths", seed: int = 0, absent: tuple[str, ...] = ()) -> RoutingFacts:
    models = {name: member(name, price=Price(1.0, 1.0), available=name not in absent) for name in MODELS}
    fields = {} if task is None else {"task": task}
    return RoutingFacts(Request((Message("user", (Text(text),)),)), models, fields=fields, input_tokens=50, seed=seed)


def learned(**aims: float) -> Learned:
    return Learned(known(), **aims)  # type: ignore[arg-type]
