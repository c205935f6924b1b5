"""Routers compared by what is on record: directly where every answer is there, else as far as history can tell.

requests of a step ─▶ each router's choices ─┬─ all answers on record ─▶ scores of the same requests ─▶ Comparison
                                             └─ some are missing ─▶ doubly robust differences, or a reason
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from toolkit.evaluation.comparison import Comparison, compared
from toolkit.evaluation.counterfactual import aimed, logged_of, reward_fault
from toolkit.evaluation.decisions import Decided, decided
from toolkit.evaluation.differences import ALL, Compared, with_correction
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import Floats, difference, estimate
from toolkit.evaluation.pairs import Difference
from toolkit.evaluation.reading import DIFFERENT_GRADERS, grader_named
from toolkit.evaluation.scored import Scored
from toolkit.evaluation.supposing import Measure
from toolkit.fleet import Fleet
from toolkit.ledger import History
from toolkit.ledger.views import evaluations
from toolkit.records import content_hash
from toolkit.routing.router import Router


def compared_routers(
    history: History,
    routers: Mapping[str, Router],
    *,
    step: str,
    runs: Sequence[str],
    quality: str | None,
    cluster: str | None,
    margin: float | None,
    level: float,
    failed: float,
    fleet: Fleet | None,
) -> Comparison:
    """Each router against the first, at one step."""
    grader, fault = grader_named(history, step, quality)
    found = decided(history, step, runs=runs, grader=grader, cluster=cluster, failed=failed, fleet=fleet)
    targets = {label: aimed(found, router) for label, router in routers.items()}
    quality_of, cost_of, alike = _table(history, found, step=step, grader=grader)
    fault = fault or (None if alike else DIFFERENT_GRADERS)
    chosen = np.max([target for target, _ in targets.values()], axis=0)[:, :-1] > 0
    outside = any(float(target[:, -1].max(initial=0.0)) > 0 for target, _ in targets.values())
    if fault is None and not outside and np.isfinite(quality_of[chosen]).all():
        return compared(
            _scored(found, {label: target for label, (target, _) in targets.items()}, quality_of, cost_of),
            margin=margin,
            level=level,
        )
    return _supposed(found, targets, fault=fault, margin=margin, level=level)


# ----------------------------------------------------------------------------------------------------------- helpers
def _table(history: History, found: Decided, *, step: str, grader: str | None) -> tuple[Floats, Floats, bool]:
    """(n, k) quality and cost of each model's answer to each request, NaN where there is none on record; and whether
    the same graders judged them."""
    answers, graders = {}, set()
    params = {"step": step, "grader": grader}
    for request_hash, model, value, paid, unpriced, *judged_by in history.sql(evaluations.ANSWERS_BY_MODEL, params):
        answers[request_hash, model] = (value, None if unpriced else paid)
        graders.update(judged_by)
    quality, cost = (np.full((found.n, len(found.models)), np.nan) for _ in range(2))
    hashes: dict[int, str] = {}
    for row, each in enumerate(found.decisions):
        if each.request is None:
            continue
        if id(each.request) not in hashes:
            hashes[id(each.request)] = content_hash(each.request.canonical())
        for place, model in enumerate(found.models):
            value, paid = answers.get((hashes[id(each.request)], model), (None, None))
            quality[row, place] = np.nan if value is None else value
            cost[row, place] = np.nan if paid is None else paid
    return quality, cost, len(graders) < 2


def _scored(found: Decided, targets: Mapping[str, Floats], quality: Floats, cost: Floats) -> Scored:
    """What each router would have on average over its own chance, request by request. Each request counts once."""
    first: dict[bytes, int] = {}
    for row, each in enumerate(found.decisions):
        first.setdefault(b"" if each.request is None else each.request.canonical(), row)
    rows = np.array(list(first.values()), dtype=np.int64)

    def expected(table: Floats, target: Floats) -> Floats:
        share = target[rows, :-1]
        value: Floats = np.where(share > 0, share * table[rows], 0.0).sum(axis=1)
        return value

    return Scored(
        tuple(targets),
        np.column_stack([expected(quality, target) for target in targets.values()]),
        np.column_stack([expected(cost, target) for target in targets.values()]),
        row_ids=[found.decisions[int(row)].row_id for row in rows],
        clusters=None if found.clusters is None else found.clusters[rows],
        notes=("all answers of all models are on record: nothing is estimated but the mean over requests",),
    )


def _supposed(
    found: Decided, targets: Mapping[str, tuple[Floats, Floats]], *, fault: str | None, margin: float | None,
    level: float,
) -> Comparison:  # fmt: skip
    first, *others = targets
    measures: tuple[tuple[Measure, Floats], ...] = (("quality", found.reward), ("cost", found.cost))
    differences = [
        Compared(
            name, first, measure, ALL, _difference(found, targets[name], targets[first], reward, measure, fault, level)
        )
        for measure, reward in measures
        for name in others
    ]
    unknown = np.full((found.n, len(targets)), np.nan)
    note = "some answers are not on record: differences are doubly robust estimates from history (tk.counterfactual)"
    scored = Scored(tuple(targets), unknown, notes=(note,))
    return Comparison(scored, with_correction(differences), (), margin, level)


def _difference(
    found: Decided, target: tuple[Floats, Floats], other: tuple[Floats, Floats], reward: Floats, measure: Measure,
    fault: str | None, level: float,
) -> Difference | Refusal:  # fmt: skip
    reason = (fault if measure == "quality" else None) or reward_fault(found, reward, measure)
    if reason is not None:
        return Refusal(measure, reason)
    rows = np.isfinite(reward) & (found.probabilities[np.arange(found.n), found.choice] > 0)
    logged = logged_of(found, target[1], reward, rows, measure)
    one = estimate(logged, target[0][rows], level=level)
    if isinstance(one, Refusal):
        return one
    result = difference(logged, target[0][rows], other[0][rows], level=level)
    if isinstance(result, Refusal):
        return result
    if measure == "cost" and result.uncovered > 0:
        return Refusal(measure, "nobody knows what the models cost here that history could never choose")
    return _as_difference(result, rows=int(rows.sum()), widest=logged.bounds[1] - logged.bounds[0])


def _as_difference(found: Estimate, *, rows: int, widest: float) -> Difference:
    """The estimate as a difference, its test by the half-width of its interval, bias and what is uncovered included."""
    freedom = max(min(found.effective_n, found.n) - 1, 2.0)
    reach = float(stats.t.ppf(0.5 + found.level / 2, freedom))
    error = max(found.high - found.value, found.value - found.low, 1e-12) / reach
    return Difference(
        value=found.value,
        low=found.low,
        high=found.high,
        p_value=float(2 * stats.t.sf(abs(found.value) / error, freedom)),
        n=rows,
        groups=max(int(freedom) + 1, 3),
        spread=error * rows**0.5,
        test="doubly robust, from history",
        level=found.level,
        centre=found.value,
        standard_error=error,
        widest=widest,
    )
