"""A whole workflow with other routers, by its rows on record: decision by decision, and the row's grade at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import RunError
from toolkit.evaluation.counterfactual import aimed, notes_on
from toolkit.evaluation.decisions import Decided, decided
from toolkit.evaluation.estimates import Refusal, checked_level
from toolkit.evaluation.offpolicy import Floats, Method
from toolkit.evaluation.reading import DIFFERENT_GRADERS, columns_of, grader_named, judged_by_same, path_of
from toolkit.evaluation.sequences import Stage, Trajectories, estimate_sequence
from toolkit.evaluation.supposing import Measure, Supposed, Supposition
from toolkit.fleet import Fleet
from toolkit.ledger import History
from toolkit.ledger.views import evaluations
from toolkit.routing.router import Router

Row = tuple[str, str]
"""A run and a row of it."""
MOST_MISSING = 0.05


def supposed_workflow(
    history: History,
    routers: Mapping[str, Router],
    *,
    runs: Sequence[str],
    step: str | None,
    quality: str | None,
    methods: Sequence[Method],
    cluster: str | None,
    level: float,
    failed: float,
    fleet: Fleet | None,
) -> Supposition:
    """The rows of these runs, had the named steps been routed so; other steps stay as they were routed.

    Quality is that of the answers of `step`, of the whole row without it; cost is that of the whole row.
    """
    if not routers:
        raise RunError("name at least one step and its router, as in workflow={'triage': Fixed('large')}")
    checked_level(level)
    grader, fault = grader_named(history, step, quality)
    ends = _ends(history, runs, step=step, grader=grader, cluster=cluster, failed=failed)
    fault = fault or (DIFFERENT_GRADERS if not ends.judged_by_same else None)
    found = {name: decided(history, name, runs=runs, fleet=fleet) for name in routers}
    parts = [each for name, router in routers.items() for each in _stages(found[name], router, ends)]
    stages = tuple(stage for _, stage in sorted(parts, key=lambda each: each[0]))
    label = "; ".join(f"{name}={router!r}" for name, router in routers.items())
    results = [
        _result(label, measure, ends=ends, stages=stages, method=method, level=level, fault=fault)
        for measure in ("quality", "cost")
        for method in methods
    ]
    notes = tuple(note for each in found.values() for note in notes_on(each) if "Monte Carlo" in note)
    return Supposition(step or "the whole row", tuple(results), notes, level)


# ----------------------------------------------------------------------------------------------------------- helpers
class _Ends:
    """How rows ended: quality (n,) and cost (n,), NaN where unknown, and which belong together."""

    def __init__(
        self,
        rows: list[Row],
        quality: Floats,
        cost: Floats,
        clusters: NDArray[np.int64] | None,
        *,
        judged_by_same: bool,
    ) -> None:
        self.place = {row: n for n, row in enumerate(rows)}
        self.quality, self.cost, self.clusters = quality, cost, clusters
        self.judged_by_same = judged_by_same


def _ends(
    history: History, runs: Sequence[str], *, step: str | None, grader: str | None, cluster: str | None, failed: float
) -> _Ends:
    params = {"runs": list(runs), "grader": grader, "failed": failed, "cluster": path_of(cluster), "segment": None}
    of_step = columns_of(history, evaluations.SCORES, {**params, "step": step})
    whole = of_step if step is None else columns_of(history, evaluations.SCORES, {**params, "step": None})
    rows = [(runs[int(p)], str(r)) for p, r in zip(whole["place"], whole["row_id"], strict=True)]
    place = {row: n for n, row in enumerate(rows)}
    quality, graded = np.full(len(rows), np.nan), np.ma.filled(of_step["quality"].astype(float), np.nan)
    alike = judged_by_same(graded, np.ma.filled(of_step["graders"], 0).astype(np.uint64))
    for at, row_id, value in zip(of_step["place"], of_step["row_id"], graded, strict=True):
        quality[place[runs[int(at)], str(row_id)]] = value
    clusters = None
    if cluster is not None:
        told = np.ma.filled(whole["cluster"], "").astype(str)
        clusters = np.unique(told, return_inverse=True)[1].astype(np.int64)
    elif len({row_id for _, row_id in rows}) < len(rows):  # the same row in several runs is one
        said = np.char.add(np.array([row_id for _, row_id in rows]), np.ma.filled(whole["given"], 0).astype(str))
        clusters = np.unique(said, return_inverse=True)[1].astype(np.int64)
    cost = np.ma.filled(whole["cost_usd"].astype(float), np.nan)
    return _Ends(rows, quality, cost, clusters, judged_by_same=alike)


def _stages(found: Decided, router: Router, ends: _Ends) -> list[tuple[tuple[str, int, int], Stage]]:
    """A stage per turn and repeat of the step, with its place in the order of things."""
    target, past = aimed(found, router)
    turns = sorted({(each.turn, each.repeat) for each in found.decisions})
    when = min(each.id for each in found.decisions)
    stages = []
    for turn, repeat in turns:
        at = [n for n, e in enumerate(found.decisions) if (e.turn, e.repeat) == (turn, repeat)]
        rows = [ends.place.get((found.decisions[n].run_id, found.decisions[n].row_id)) for n in at]
        kept = [(n, row) for n, row in zip(at, rows, strict=True) if row is not None]
        size, width = len(ends.place), target.shape[1]
        choice, asked = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=bool)
        history, aim, features = (
            np.zeros((size, width)),
            np.zeros((size, width)),
            np.zeros((size, found.features.shape[1])),
        )
        for n, row in kept:
            choice[row], asked[row] = found.choice[n], True
            history[row], aim[row], features[row] = past[n], target[n], found.features[n]
        name = found.step + (f" (turn {turn}, repeat {repeat})" if turn or repeat else "")
        stages.append(((when, turn, repeat), Stage(name, choice, history, aim, asked, features)))
    return stages


def _result(
    label: str,
    measure: Measure,
    *,
    ends: _Ends,
    stages: tuple[Stage, ...],
    method: Method,
    level: float,
    fault: str | None,
) -> Supposed:
    reward = ends.quality if measure == "quality" else ends.cost
    known = np.isfinite(reward)
    reason = (fault if measure == "quality" else None) or _fault(reward, known, stages, measure)
    if reason is not None:
        refused = Refusal(method, reason)
        return Supposed(label, measure, method, refused, refused)
    low, high = float(reward[known].min()), float(reward[known].max())
    rows = Trajectories(
        tuple(_of_rows(stage, known) for stage in stages),
        reward[known],
        None if ends.clusters is None else ends.clusters[known],
        (min(low, 0.0), max(high, 1.0)) if measure == "quality" else (0.0, high or 1.0),
    )
    found = estimate_sequence(rows, method, level=level)
    past = float(rows.reward.mean())
    if isinstance(found, Refusal):
        return Supposed(label, measure, method, found, found, past=past)
    gain = estimate_sequence(rows, method, level=level, over_past=True)
    return Supposed(label, measure, method, found, gain, past=past)


def _of_rows(stage: Stage, rows: NDArray[np.bool_]) -> Stage:
    assert stage.features is not None
    return Stage(
        stage.name, stage.choice[rows], stage.probabilities[rows], stage.target[rows], stage.asked[rows],
        stage.features[rows],
    )  # fmt: skip


def _fault(reward: Floats, known: NDArray[np.bool_], stages: Sequence[Stage], measure: Measure) -> str | None:
    if not known.any():
        return "no row has a grade" if measure == "quality" else "no row's cost is known; give the prices of the models"
    if measure == "cost" and not known.all():
        return f"the cost of {int((~known).sum()):,} rows is unknown; give the prices of their models"
    if measure == "quality" and (reward[known] == reward[known][0]).all():
        return f"all {int(known.sum()):,} grades are {reward[known][0]:g}: such a grade tells nothing apart"
    for stage in stages:
        for arm in range(stage.probabilities.shape[1]):
            mine = stage.asked & (stage.choice == arm)
            others = stage.asked & (stage.choice != arm)
            if mine.sum() >= 10 and others.sum() >= 10:
                gap = float((~known[mine]).mean() - (~known[others]).mean())
                error = float(np.sqrt((~known).mean() * known.mean() * (1 / mine.sum() + 1 / others.sum())))
                if abs(gap) > max(MOST_MISSING, 3 * error):
                    return (
                        f"grades are missing unevenly between the models of step {stage.name} (by "
                        f"{100 * abs(gap):.0f} points): what is graded would not speak for the rest; grade those too"
                    )
    return None
