"""Cross-validated judgement of routers on a pool of outcomes: who goes where, what it costs, how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evals.routing.baselines import logistic, mean_by_model, mean_by_task, nearest
from toolkit.errors import RowsError
from toolkit.evaluation.cascade import Cascade
from toolkit.evaluation.outcomes import Outcomes
from toolkit.evaluation.routing_metrics import Interval, apgr, arena_score, bootstrapped, cpt, gap_closed, saving
from toolkit.evaluation.zero import Zero, singles
from toolkit.routing.exchange import Sweep, choices, rates
from toolkit.routing.frontier import Floats, mean_quality
from toolkit.routing.knowledge import Knowledge
from toolkit.routing.learning import fit

LOTS = 8
FEW_LABELS = 1_500
SAVINGS = (1.0, 0.99, 0.95)


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


def played(pool: Outcomes) -> Iterator[Played]:
    """Random, best single, the zero router, baselines, ours, ours as cascade, oracle."""
    strong, weak = _pair(pool)
    cheapest = int(pool.cost.mean(axis=0).argmin())
    best = int(pool.score.mean(axis=0).argmax())
    mixed = np.tile(np.array([cheapest, best]), (len(pool), 1))
    yield Played("random", Sweep.of(mixed, pool.score, pool.cost), np.zeros(len(pool)))
    yield Played("best single", Sweep(pool.cost[:, [best]], pool.score[:, [best]]))
    for name, merits in {
        "zero router": mean_by_model,
        "task-label mean": mean_by_task,
        "kNN": nearest,
        "logistic TF-IDF": logistic,
        "ours": learned,
    }.items():
        found, cost = np.empty_like(pool.score), np.empty_like(pool.cost)
        for train, test, at in _folds(pool):
            found[at], cost[at] = merits(train, test), train.cost.mean(axis=0)
        lead = np.zeros(len(pool)) if name == "zero router" else found[:, strong] - found[:, weak]
        yield Played(name, _swept(found, cost, pool.score, pool.cost), lead)
    yield from _cascade(pool, strong, weak)
    at = rates(pool.score, pool.cost)
    yield Played(
        "oracle",
        Sweep.of(choices(pool.score, pool.cost, at), pool.score, pool.cost),
        pool.score[:, strong] - pool.score[:, weak],
    )


def learned(train: Outcomes, test: Outcomes) -> Floats:
    """Ours: the merits by which `Learned` chooses."""
    return fit(train.examples()).expect(test.queries, test.tasks).merit


def lines(pool: Outcomes, routers: Mapping[str, Played], *, replicates: int) -> Iterator[Line]:
    """The table of a pool. Intervals are paired: all routers are drawn by the same rows."""
    zero, oracle = singles(pool), routers["oracle"].sweep
    means = pool.cost.mean(axis=0)
    low, high = float(means.min()), float(means.max())
    strong, weak = _pair(pool)
    pair = len(pool.models) == 2
    for router in routers.values():

        def gap(weights: Floats | None, each: Played = router) -> float:
            return gap_closed(each.sweep, zero, oracle, weights)

        def over(weights: Floats | None, each: Played = router) -> float:
            ours, base = (mean_quality(s.frontier(weights), low, high) for s in (each.sweep, zero))
            return ours - base

        def area(weights: Floats | None, each: Played = router) -> float:
            return _apgr(each, pool, weights)

        frontier = router.sweep.frontier()
        ranked = router.lead if pair else None
        calls = [
            float("nan") if ranked is None else cpt(ranked, pool.score[:, weak], pool.score[:, strong], level)
            for level in (0.5, 0.8)
        ]
        yield Line(
            router.name,
            bootstrapped(area, len(pool), replicates=replicates) if ranked is not None else None,
            calls[0],
            calls[1],
            mean_quality(frontier, low, high),
            bootstrapped(gap, len(pool), replicates=replicates),
            bootstrapped(over, len(pool), replicates=replicates),
            tuple(saving(frontier, zero.frontier(), share) for share in SAVINGS),
            max(arena_score(q, 1000 * c) for c, q in zip(frontier.cost, frontier.quality, strict=True)),
        )


def perfect_labels(pool: Outcomes) -> float:
    """The gap that is closed by one who knows each model's mean at each task, of the very queries that are judged: what
    task labels can give at most, and what is beyond it must come from within a task."""
    oracle = Sweep.of(choices(pool.score, pool.cost, rates(pool.score, pool.cost)), pool.score, pool.cost)
    expected = np.tile(pool.cost.mean(axis=0), (len(pool), 1))
    return gap_closed(_swept(mean_by_task(pool, pool), expected, pool.score, pool.cost), singles(pool), oracle)


def few_labels(pool: Outcomes, *, replicates: int, labels: int = FEW_LABELS) -> Interval:
    """APGR on a pair when each fold's router learns from no more than so many queries."""
    strong, weak = _pair(pool)
    lead = np.empty(len(pool))
    for train, test, at in _folds(pool):
        drawn = np.random.default_rng(0).permutation(len(train))[:labels]
        merit = learned(train.take(np.sort(drawn)), test)
        lead[at] = merit[:, strong] - merit[:, weak]
    known = Played("few", singles(pool), lead)
    return bootstrapped(lambda weights: _apgr(known, pool, weights), len(pool), replicates=replicates)


@dataclass(frozen=True)
class Unseen:
    """What a router does on tasks that were left out of its training, against the zero router fitted on the same rows.

    `gain` is in AIQ (mean quality over log cost); `worst` that of the worst lot of tasks.
    """

    lots: int
    abstained: float
    routes: bool
    gain: Interval
    worst: float


def unseen(pool: Outcomes, *, replicates: int) -> Unseen | None:
    """Leave tasks out, one at a time where they are few, in lots where they are many; None where there is one task."""
    names = sorted(set(pool.tasks))
    if len(names) < 2:
        return None
    lots = min(LOTS, len(names)) if len(names) > 2 * LOTS else len(names)
    tasks = np.array(pool.tasks)
    parts: list[tuple[Sweep, Sweep, float, float]] = []
    abstained, routes = 0, False
    for lot in range(lots):
        out = np.isin(tasks, names[lot::lots])
        train, test = pool.take(~out), pool.take(out)
        knowledge = fit(train.examples())
        told = knowledge.expect(test.queries, test.tasks)
        means = train.cost.mean(axis=0)
        corners = Zero.fit(train).sweep(test)
        ours = _swept(told.merit, np.tile(means, (len(test), 1)), test.score, test.cost)
        abstained += len(test) if not knowledge.belief else sum(bool(why) for why in told.unlike)
        routes |= knowledge.unseen_tasks
        spent = test.cost.mean(axis=0)
        parts.append((ours, corners, float(spent.min()), float(spent.max())))
    gains = [_area_gain(part, None) for part in parts]
    sizes = np.array([len(part[0].cost) for part in parts], dtype=np.float64)

    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(replicates):
        weights = [rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for n in sizes.astype(int)]
        each = [_area_gain(part, weight) for part, weight in zip(parts, weights, strict=True)]
        drawn.append(float(np.average(each, weights=sizes)))
    low, high = np.quantile(drawn, [0.025, 0.975])
    whole = Interval(float(np.average(gains, weights=sizes)), float(low), float(high))
    return Unseen(lots, abstained / len(pool), routes, whole, min(gains))


def cards(pool: Outcomes) -> list[dict[str, Any]]:
    """What nested selection chose in each fold, and the figures that it chose by."""
    return [_told(fit(train.examples())) for train, _, _ in _folds(pool)]


# ----------------------------------------------------------------------------------------------------------- helpers
def _told(knowledge: Knowledge) -> dict[str, Any]:
    card = knowledge.card
    return {
        "gap_closed": card.gap_closed,
        "gap_closed_error": card.gap_closed_error,
        "calibration_error": card.calibration_error,
        "belief": knowledge.belief,
        "routes_unseen_tasks": card.routes_unseen_tasks,
        **card.settings,
    }


def _folds(pool: Outcomes) -> Iterator[tuple[Outcomes, Outcomes, np.ndarray[Any, Any]]]:
    for held in np.unique(pool.fold):
        at = np.flatnonzero(pool.fold == held)
        yield pool.take(pool.fold != held), pool.take(at), at


def _swept(merit: Floats, expected: Floats, score: Floats, cost: Floats) -> Sweep:
    return Sweep.of(choices(merit, expected, rates(merit, expected)), score, cost)


def _cascade(pool: Outcomes, strong: int, weak: int) -> Iterator[Played]:
    leads, cost, expected = (np.empty_like(pool.score) for _ in range(3))
    try:
        for train, test, at in _folds(pool):
            learnt = Cascade.fit(train)
            leads[at], cost[at] = learnt.leads(test), learnt.costs(test)
            expected[at] = learnt.costs(train).mean(axis=0)
    except RowsError:
        return
    means = pool.cost.mean(axis=0)
    surcharge = float(means[weak] / (means[strong] - means[weak])) if len(means) == 2 else 0.0
    yield Played(
        "ours, cascade", _swept(leads, expected, pool.score, cost), leads[:, strong] - leads[:, weak], surcharge
    )


def _pair(pool: Outcomes) -> tuple[int, int]:
    """The best and the cheapest other model: of a pair, the strong and the weak one."""
    strong = int(pool.score.mean(axis=0).argmax())
    others = np.where(np.arange(len(pool.models)) == strong, np.inf, pool.cost.mean(axis=0))
    return strong, int(others.argmin())


def _apgr(router: Played, pool: Outcomes, weights: Floats | None) -> float:
    strong, weak = _pair(pool)
    assert router.lead is not None
    return apgr(router.lead, pool.score[:, weak], pool.score[:, strong], weights, surcharge=router.surcharge)


def _area_gain(part: tuple[Sweep, Sweep, float, float], weights: Floats | None) -> float:
    ours, zero, low, high = part
    return mean_quality(ours.frontier(weights), low, high) - mean_quality(zero.frontier(weights), low, high)
