"""Cross-validated judgement of routers on a pool of outcomes: who goes where, what it costs, how good it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evals.routing.baselines import (
    Expectation,
    logistic,
    mean_by_model,
    mean_by_task,
    nearest,
    with_own_cost,
)
from toolkit.errors import RowsError
from toolkit.evaluation.cascade import Cascade
from toolkit.evaluation.outcomes import Outcomes
from toolkit.evaluation.routing_metrics import Interval, apgr, arena_score, bootstrapped, cpt, saving
from toolkit.evaluation.zero import singles
from toolkit.routing.exchange import Sweep, choices, rates
from toolkit.routing.frontier import Floats, mean_quality
from toolkit.routing.knowledge import Knowledge
from toolkit.routing.learning import fit

SAVINGS = (1.0, 0.99, 0.95)
OURS, LOGISTIC, ZERO, OWN_COSTS = "ours", "logistic TF-IDF", "zero router", "own costs alone"
BASELINES: Mapping[str, Expectation] = {
    ZERO: mean_by_model,
    OWN_COSTS: with_own_cost(mean_by_model),
    "task-label mean": mean_by_task,
    "kNN": nearest,
    LOGISTIC: logistic,
    "logistic, own costs": with_own_cost(logistic),
}


@dataclass(frozen=True)
class Played:
    """A router on all queries of a pool, each by what was fitted on the other folds.

    `lead` (n,) is by how much it wants the strong model of a pair; `surcharge` what a cascade pays on top of each
    strong call, as a share of the difference in cost.
    """

    name: str
    sweep: Sweep = field(repr=False)
    lead: Floats | None = field(repr=False, default=None)
    surcharge: float = 0.0


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    router: str
    apgr: Interval | None
    cpt_50: float
    cpt_80: float
    aiq: float
    gap: Interval
    over_zero: Interval
    savings: tuple[float, ...]
    arena: float


@dataclass(frozen=True)
class Judged:
    """A pool's table, how ours differs from the router of the same name (paired: gap closed), and from the zero router
    as training tells it (AIQ)."""

    lines: tuple[Line, ...]
    over_logistic: Interval
    over_fitted_zero: Interval


def learned(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
    """Ours: the merits and costs by which `Learned` chooses."""
    return told_by(fit(train.examples()), test)


def told_by(knowledge: Knowledge, test: Outcomes) -> tuple[Floats, Floats]:
    expected = knowledge.expect(test.queries, test.tasks)
    return expected.merit, expected.cost


def played(pool: Outcomes, fitted: Mapping[int, Knowledge]) -> Iterator[Played]:
    """Random, best single, the zero router, baselines, ours, ours as cascade, oracle. `fitted` holds for each fold what
    was learnt on the others."""
    strong, weak = pair(pool)
    cheapest = int(pool.cost.mean(axis=0).argmin())
    best = int(pool.score.mean(axis=0).argmax())
    mixed = np.tile(np.array([cheapest, best]), (len(pool), 1))
    yield Played("random", Sweep.of(mixed, pool.score, pool.cost), np.zeros(len(pool)))
    yield Played("best single", Sweep(pool.cost[:, [best]], pool.score[:, [best]]))
    for name, expectation in BASELINES.items():
        found, cost = np.empty_like(pool.score), np.empty_like(pool.cost)
        for train, test, at in folds(pool):
            found[at], cost[at] = expectation(train, test)
        blind = name in (ZERO, OWN_COSTS)
        lead = np.zeros(len(pool)) if blind else found[:, strong] - found[:, weak]
        yield Played(name, swept(found, cost, pool), lead)
    found, cost = np.empty_like(pool.score), np.empty_like(pool.cost)
    for fold, knowledge in fitted.items():
        at = np.flatnonzero(pool.fold == fold)
        found[at], cost[at] = told_by(knowledge, pool.take(at))
    yield Played(OURS, swept(found, cost, pool), found[:, strong] - found[:, weak])
    yield from _cascade(pool, strong, weak)
    yield Played("oracle", oracle(pool), pool.score[:, strong] - pool.score[:, weak])


def judge(pool: Outcomes, routers: Mapping[str, Played], *, replicates: int) -> Judged:
    """The table of a pool. Intervals are paired: all routers are drawn by the same rows."""
    means = pool.cost.mean(axis=0)
    low, high = float(means.min()), float(means.max())
    draws = [None, *_drawn(len(pool), replicates)]

    def areas(sweep: Sweep) -> Floats:
        return np.array([mean_quality(sweep.frontier(weights), low, high) for weights in draws])

    base, best = areas(singles(pool)), areas(routers["oracle"].sweep)
    area = {name: areas(router.sweep) for name, router in routers.items()}
    gap = {name: (each - base) / np.where(best > base, best - base, np.nan) for name, each in area.items()}
    lines = (
        _line(pool, router, area[name], gap[name], area[name] - base, replicates=replicates)
        for name, router in routers.items()
    )
    return Judged(tuple(lines), _interval(gap[OURS] - gap[LOGISTIC]), _interval(area[OURS] - area[ZERO]))


def perfect_labels(pool: Outcomes) -> float:
    """The gap that is closed by one who knows each model's mean quality and cost at each task, of the very queries that
    are judged: what task labels can give at most, and what is beyond it must come from within a task."""
    merit, _ = mean_by_task(pool, pool)
    named = np.array(pool.tasks)
    by_task = {task: pool.cost[named == task].mean(axis=0) for task in set(pool.tasks)}
    return gap_of(pool, swept(merit, np.array([by_task[task] for task in pool.tasks]), pool))


def few_labels(pool: Outcomes, labels: int, *, replicates: int) -> Interval:
    """APGR on a pair when each fold's router learns from no more than so many queries."""
    strong, weak = pair(pool)
    lead = np.empty(len(pool))
    for train, test, at in folds(pool):
        drawn = np.random.default_rng(0).permutation(len(train))[:labels]
        merit, _ = learned(train.take(np.sort(drawn)), test)
        lead[at] = merit[:, strong] - merit[:, weak]
    return bootstrapped(_area(Played("few", singles(pool), lead), pool), len(pool), replicates=replicates)


def learning_curve(pool: Outcomes, shares: tuple[float, ...], router: Expectation = learned) -> dict[str, float]:
    """The gap closed when a router learns from these shares of each fold's training rows."""
    found = {}
    for share in shares:
        merit, cost = np.empty_like(pool.score), np.empty_like(pool.cost)
        for train, test, at in folds(pool):
            drawn = np.random.default_rng(0).permutation(len(train))[: int(share * len(train))]
            merit[at], cost[at] = router(train.take(np.sort(drawn)), test)
        found[f"{share:g}"] = gap_of(pool, swept(merit, cost, pool))
    return found


def folds(pool: Outcomes) -> Iterator[tuple[Outcomes, Outcomes, np.ndarray[Any, Any]]]:
    """For each fold: the others, it, and its places."""
    for held in np.unique(pool.fold):
        at = np.flatnonzero(pool.fold == held)
        yield pool.take(pool.fold != held), pool.take(at), at


def swept(merit: Floats, expected: Floats, pool: Outcomes) -> Sweep:
    """What choosing by merit net of expected cost gives, over exchange rates."""
    return Sweep.of(choices(merit, expected, rates(merit, expected)), pool.score, pool.cost)


def oracle(pool: Outcomes) -> Sweep:
    return swept(pool.score, pool.cost, pool)


def gap_of(pool: Outcomes, sweep: Sweep) -> float:
    means = pool.cost.mean(axis=0)
    ours, base, best = (
        mean_quality(each.frontier(), float(means.min()), float(means.max()))
        for each in (sweep, singles(pool), oracle(pool))
    )
    return (ours - base) / (best - base) if best > base else float("nan")


def pair(pool: Outcomes) -> tuple[int, int]:
    """The best and the cheapest other model: of a pair, the strong and the weak one."""
    strong = int(pool.score.mean(axis=0).argmax())
    others = np.where(np.arange(len(pool.models)) == strong, np.inf, pool.cost.mean(axis=0))
    return strong, int(others.argmin())


# ----------------------------------------------------------------------------------------------------------- helpers
def _line(pool: Outcomes, router: Played, area: Floats, gap: Floats, over: Floats, *, replicates: int) -> Line:
    strong, weak = pair(pool)
    ranked = router.lead if len(pool.models) == 2 else None
    calls = [
        float("nan") if ranked is None else cpt(ranked, pool.score[:, weak], pool.score[:, strong], level)
        for level in (0.5, 0.8)
    ]
    frontier, single = router.sweep.frontier(), singles(pool).frontier()
    return Line(
        router.name,
        None if ranked is None else bootstrapped(_area(router, pool), len(pool), replicates=replicates),
        calls[0],
        calls[1],
        float(area[0]),
        _interval(gap),
        _interval(over),
        tuple(saving(frontier, single, share) for share in SAVINGS),
        max(arena_score(q, 1000 * c) for c, q in zip(frontier.cost, frontier.quality, strict=True)),
    )


def _interval(drawn: Floats) -> Interval:
    """Of a value and its bootstrap replicates."""
    found = drawn[1:][np.isfinite(drawn[1:])]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (float("nan"), float("nan"))
    return Interval(float(drawn[0]), float(low), float(high))


def _drawn(n: int, replicates: int) -> Iterator[Floats]:
    rng = np.random.default_rng(0)
    for _ in range(replicates):
        yield rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64)


def _area(router: Played, pool: Outcomes) -> Callable[[Floats | None], float]:
    strong, weak = pair(pool)

    def measured(weights: Floats | None) -> float:
        assert router.lead is not None
        return apgr(router.lead, pool.score[:, weak], pool.score[:, strong], weights, surcharge=router.surcharge)

    return measured


def _cascade(pool: Outcomes, strong: int, weak: int) -> Iterator[Played]:
    leads, cost, expected = (np.empty_like(pool.score) for _ in range(3))
    try:
        for train, test, at in folds(pool):
            learnt = Cascade.fit(train)
            leads[at], cost[at] = learnt.leads(test), learnt.costs(test)
            expected[at] = learnt.costs(train).mean(axis=0)
    except RowsError:
        return
    means = pool.cost.mean(axis=0)
    surcharge = float(means[weak] / (means[strong] - means[weak])) if len(means) == 2 else 0.0
    paid = Sweep.of(choices(leads, expected, rates(leads, expected)), pool.score, cost)
    yield Played("ours, cascade", paid, leads[:, strong] - leads[:, weak], surcharge)
