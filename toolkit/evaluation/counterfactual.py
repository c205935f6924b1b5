"""`counterfactual`: what other routers would have been worth, by what is on record, before anybody runs them.

    history ─▶ decisions with their probabilities, grades, costs ─▶ each router decides about the same requests
            ─▶ estimates with intervals, and how far history carries them; or the reason why it does not

At one step by the estimators of `toolkit.evaluation.offpolicy`, over a workflow by `toolkit.evaluation.sequences`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from toolkit.errors import RunError
from toolkit.evaluation.comparing import names_of, record_of
from toolkit.evaluation.decisions import Decided, decided
from toolkit.evaluation.estimates import Estimate, Refusal, checked_level
from toolkit.evaluation.offpolicy import Floats, Logged, Method, difference, estimate
from toolkit.evaluation.reading import DIFFERENT_GRADERS, grader_named, runs_named
from toolkit.evaluation.supposing import Measure, Supposed, Supposition
from toolkit.fleet import Fleet
from toolkit.routing.router import Router

METHODS: tuple[Method, ...] = ("dr", "snips", "ips", "clipped", "dm")
MOST_UNSETTLED = 0.05
FAR_APART, SURELY = 0.05, 0.01


def counterfactual(
    recorded: Any,
    routers: Router | Sequence[Router] | Mapping[str, Router] = (),
    *,
    step: str | None = None,
    workflow: Mapping[str, Router] | None = None,
    runs: Sequence[Any] = (),
    quality: str | None = None,
    method: Method | Sequence[Method] = "dr",
    cluster: str | None = None,
    level: float = 0.95,
    failed: float = 0.0,
    fleet: Fleet | None = None,
) -> Supposition:
    """What `routers` would have been worth at a step; or a whole `workflow` with other routers at the steps it names.

    `recorded` is a history, its folder, or runs. A decision's reward is the quality of the answer that came of it,
    whoever gave it in the end: a grader's, by label or its beginning, or the lowest grade. `method` is "dr" (doubly
    robust, cross-fitted), "snips", "ips", "clipped" or "dm" (direct), or several of them. `cluster` names a field of
    rows that belong together. Routers see the requests, fields and seeds on record, and the `fleet`; without it the
    models as they were judged at the time.

    What history cannot answer is a `Refusal` with its reason: a past without chance, choices that were never possible,
    too few rows, grades that are missing, constant or NaN, costs unknown. Raises RunError where a name is not there.
    """
    history, given = record_of(recorded)
    methods = (method,) if isinstance(method, str) else tuple(method)
    checked_level(level)
    if not methods:
        raise RunError(f"name a method; there are {', '.join(METHODS)}")
    if unknown := [each for each in methods if each not in METHODS]:
        raise RunError(f"there is no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    if workflow is not None:
        from toolkit.evaluation.whole import supposed_workflow

        names = runs_named(history, names_of(runs) or given)
        return supposed_workflow(
            history, workflow, runs=names, step=step, quality=quality, methods=methods, cluster=cluster, level=level,
            failed=failed, fleet=fleet,
        )  # fmt: skip
    if step is None:
        raise RunError("routers are judged at one step: name it, as in step='triage', or give workflow={step: router}")
    named = labelled(routers)
    grader, fault = grader_named(history, step, quality)
    found = decided(
        history, step, runs=runs_named(history, names_of(runs) or given, step=step), grader=grader, cluster=cluster,
        failed=failed, fleet=fleet,
    )  # fmt: skip
    results = tuple(
        supposed
        for label, router in named.items()
        for supposed in _at_step(label, router, found, methods=methods, fault=fault, level=level, many=len(named))
    )
    return Supposition(step, results, notes_on(found), level)


def labelled(routers: Router | Sequence[Router] | Mapping[str, Router]) -> dict[str, Router]:
    """Routers by the name they are told under. Raises RunError where there are none."""
    if isinstance(routers, Router):
        return {repr(routers): routers}
    named = dict(routers) if isinstance(routers, Mapping) else {repr(router): router for router in routers}
    if not named or not all(isinstance(router, Router) for router in named.values()):
        raise RunError(f"give a router, or several, such as Fixed('large'); not {routers!r}")
    return named


def notes_on(found: Decided) -> tuple[str, ...]:
    """What a reader of the numbers should know of the decisions."""
    notes = []
    if ungraded := int((~np.isfinite(found.reward)).sum()):
        notes.append(f"{ungraded:,} of {found.n:,} decisions of {found.step} have no graded answer, and are left out")
    if found.failures:
        notes.append(f"{found.failures:,} answers of {found.step} failed, and count as graded so, truth or no truth")
    if found.clusters is not None and (rows := len(np.unique(found.clusters))) < found.n:
        notes.append(f"the {found.n:,} decisions of {found.step} are in {rows:,} groups that belong together")
    if estimated := sum(not each.exact for each in found.decisions):
        notes.append(f"the probabilities of {estimated:,} decisions of {found.step} are estimated by Monte Carlo")
    return tuple(notes)


def aimed(found: Decided, router: Router) -> tuple[Floats, Floats]:
    """(n, k + 1) the router's probabilities, and history's: the last column is whatever history could never choose."""
    target, _ = found.asked(router)
    outside = np.clip(1.0 - target.sum(axis=1), 0.0, 1.0)
    outside[outside < 1e-9] = 0.0
    past = np.column_stack([found.probabilities, np.zeros(found.n)])
    return np.column_stack([target, outside]), past


def reward_fault(found: Decided, reward: Floats, measure: Measure) -> str | None:
    """Why the rewards that are known would not speak for all, or say nothing."""
    known = np.isfinite(reward)
    if measure == "quality" and not found.judged_by_same:
        return DIFFERENT_GRADERS
    if not known.any():
        return "no answer has a grade" if measure == "quality" else "no cost is known; give the prices of the models"
    if measure == "cost" and not known.all():
        models = sorted({found.decisions[int(n)].choice for n in np.flatnonzero(~known)})
        return f"the cost of {int((~known).sum()):,} answers is unknown ({', '.join(models)}); give the price of these"
    if (shares := _missing_by_model(found, known)) is not None:
        return (
            f"grades are missing unevenly ({shares}): what is graded would not speak for the rest; grade those rows too"
        )
    if measure == "quality" and (reward[known] == reward[known][0]).all():
        return f"all {int(known.sum()):,} grades are {reward[known][0]:g}: such a grade tells nothing apart"
    return None


def logged_of(found: Decided, past: Floats, reward: Floats, rows: NDArray[np.bool_], measure: Measure) -> Logged:
    """The rows with a known reward, as the estimators want them."""
    high = float(reward[rows].max(initial=0.0))
    low = float(reward[rows].min(initial=0.0))
    return Logged(
        found.choice[rows],
        reward[rows],
        past[rows],
        found.features[rows],
        None if found.clusters is None else found.clusters[rows],
        (min(low, 0.0), max(high, 1.0)) if measure == "quality" else (0.0, high or 1.0),
    )


# ----------------------------------------------------------------------------------------------------------- helpers
def _at_step(
    label: str, router: Router, found: Decided, *, methods: Sequence[Method], fault: str | None, level: float, many: int
) -> list[Supposed]:
    target, past = aimed(found, router)
    results = []
    measures: tuple[tuple[Measure, Floats], ...] = (("quality", found.reward), ("cost", found.cost))
    for measure, reward in measures:
        reason = (fault if measure == "quality" else None) or reward_fault(found, reward, measure)
        reason = reason or _improbable(found)
        rows = np.isfinite(reward) & (found.probabilities[np.arange(found.n), found.choice] > 0)
        for method in methods:
            if reason is not None:
                refused = Refusal(method, reason)
                results.append(Supposed(label, measure, method, refused, refused))
                continue
            logged = logged_of(found, past, reward, rows, measure)
            results.append(
                supposed(label, measure, logged=logged, target=target[rows], method=method, level=level, many=many)
            )
    return results


def supposed(
    label: str, measure: Measure, *, logged: Logged, target: Floats, method: Method, level: float, many: int
) -> Supposed:
    """One router by one estimator, by itself and against what ran; that difference holds for `many` routers at once."""
    result = estimate(logged, target, method, level=level)
    if isinstance(result, Estimate) and measure == "cost" and result.uncovered > 0:
        result = Refusal(method, "nobody knows what the models cost here that history could never choose")
    if isinstance(result, Refusal):
        return Supposed(label, measure, method, result, result, past=float(logged.reward.mean()))
    against = difference(logged, target, logged.probabilities, method, level=1 - (1 - level) / many)
    least = logged.probabilities[target > 0]
    return Supposed(
        label, measure, method, result, against, past=float(logged.reward.mean()),
        least_probability=float(least[least > 0].min(initial=1.0)), many=many,
    )  # fmt: skip


def _improbable(found: Decided) -> str | None:
    """Why the probabilities on record cannot be those of what was served."""
    sums = found.probabilities.sum(axis=1)
    served = found.probabilities[np.arange(found.n), found.choice]
    if (served <= 0).any():
        return f"{int((served <= 0).sum()):,} decisions are on record with probability 0 of the model that was served"
    if not np.allclose(sums, 1.0, atol=1e-6):
        return "the probabilities on record do not add up to 1, so they are not those of the choice"
    return None


def _missing_by_model(found: Decided, known: NDArray[np.bool_]) -> str | None:
    """The shares of decisions without a grade by the model chosen, where they surely differ, and by much."""
    places = [place for place in range(len(found.models)) if (found.choice == place).any()]
    counts = np.array([[(known & (found.choice == p)).sum(), (~known & (found.choice == p)).sum()] for p in places])
    if len(places) < 2 or not counts[:, 1].any():
        return None
    shares = counts[:, 1] / counts.sum(axis=1)
    if float(shares.max() - shares.min()) < FAR_APART or stats.chi2_contingency(counts).pvalue > SURELY:
        return None
    return ", ".join(f"{100 * share:.0f} % of {found.models[p]}'s" for p, share in zip(places, shares, strict=True))
