"""A pool judged by a suite: from outcomes to a report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.routing.judging import Judged, few_labels, judge, learning_curve, perfect_labels, played
from evals.routing.suite import Demand, Pool, Suite
from evals.routing.unseen import Unseen, unseen
from toolkit.evaluation.routing_metrics import Interval
from toolkit.routing.learning import fit


@dataclass(frozen=True)
class Verdict:
    """A demand and how it went: the value, and what it had to reach."""

    demand: Demand
    value: float
    least: float

    @property
    def met(self) -> bool:
        return self.value >= self.least


@dataclass(frozen=True)
class Report:
    """All that was found of a pool. `nested` is what was chosen in each fold, and the figures that it was chosen by."""

    pool: str
    queries: int
    models: int
    tasks: int
    judged: Judged
    few_labels: Interval | None
    labels: int
    unseen: Unseen | None
    perfect_labels: float
    curve: Mapping[str, float]
    nested: tuple[Mapping[str, Any], ...]
    verdicts: tuple[Verdict, ...]
    cpu_seconds: float


def report(pool: Pool, *, suite: Suite, table: Path) -> Report:
    """A pool judged by the suite."""
    began = time.process_time()
    outcomes = pool.load(table)
    fitted = {int(f): fit(outcomes.take(outcomes.fold != f).examples()) for f in sorted(set(outcomes.fold.tolist()))}
    judged = judge(outcomes, {r.name: r for r in played(outcomes, fitted)}, replicates=suite.replicates)
    few = few_labels(outcomes, pool.few_labels, replicates=suite.replicates) if pool.few_labels else None
    elsewhere = unseen(outcomes, replicates=suite.replicates)
    verdicts = tuple(
        Verdict(demand, value, least)
        for demand in suite.of(pool.name)
        if (found := measured(demand, judged, few, elsewhere)) is not None
        for value, least in [found]
    )
    missed_gap = any(v.demand.measure == "gap" and not v.met for v in verdicts)
    return Report(
        pool=pool.name,
        queries=len(outcomes),
        models=len(outcomes.models),
        tasks=len(set(outcomes.tasks)),
        judged=judged,
        few_labels=few,
        labels=pool.few_labels or 0,
        unseen=elsewhere,
        perfect_labels=perfect_labels(outcomes),
        curve=learning_curve(outcomes, suite.curve) if missed_gap and suite.curve else {},
        nested=tuple(
            {"gap_closed": k.card.gap_closed, "gap_closed_error": k.card.gap_closed_error,
             "calibration_error": k.card.calibration_error, **k.card.settings}
            for k in fitted.values()
        ),
        verdicts=verdicts,
        cpu_seconds=round(time.process_time() - began, 1),
    )  # fmt: skip


def measured(
    demand: Demand, judged: Judged, few: Interval | None, elsewhere: Unseen | None
) -> tuple[float, float] | None:
    """The value of a demand's measure and what it has to reach; None where the pool has no such measure."""
    name, end = demand.measure.removesuffix("_low"), "low" if demand.measure.endswith("_low") else "value"

    def of(router: str) -> Interval | None:
        if name == "few_labels":
            return few
        if name == "unseen":
            return elsewhere.gain if elsewhere else None
        found = next((line for line in judged.lines if line.router == router), None)
        return None if found is None else getattr(found, name)

    value, other = of(demand.router), of(demand.over) if demand.over else None
    if value is None or (demand.over and other is None):
        return None
    return float(getattr(value, end)), demand.least if other is None else float(getattr(other, end))
