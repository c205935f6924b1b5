"""What another routing of a whole workflow would have been worth: weights multiply from step to step. Pure.

    a row's decisions, stage by stage, and its one reward + the target's probabilities ─▶ Estimate or Refusal

Sources: importance sampling over trajectories (Precup, Sutton & Singh 2000), its self-normalised and clipped forms as
in `toolkit.evaluation.offpolicy`, doubly robust step by step (Jiang & Li, arXiv 1511.03722) with outcome models that
are fitted backwards (fitted Q evaluation, Le, Voloshin & Yue, arXiv 1903.08738) and cross-fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from toolkit.evaluation.clusters import too_alike
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import (
    CLIP_AT,
    FEWEST_ROWS,
    MOST_UNCOVERED,
    Floats,
    Logged,
    Method,
    bounded,
    burden,
    independent,
    misses,
    outcome_model,
    spread_of_mean,
)

FEWEST_EFFECTIVE = 10.0
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Stage:
    """One step's decisions in n rows: `choice` (n,), history's and the target's probabilities (n, k).

    `asked` (n,) tells the rows in which the step decided at all; elsewhere the other arrays say nothing.
    """

    name: str
    choice: NDArray[np.int64]
    probabilities: Floats
    target: Floats
    asked: NDArray[np.bool_]
    features: Floats | None = None


@dataclass(frozen=True, eq=False)
class Trajectories:
    """n rows, each with its decisions in the order of the steps and with one reward at its end."""

    stages: tuple[Stage, ...]
    reward: Floats
    clusters: NDArray[np.int64] | None = None
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def n(self) -> int:
        return len(self.reward)


def estimate_sequence(
    rows: Trajectories, method: Method = "dr", *, level: float = 0.95, over_past: bool = False
) -> Estimate | Refusal:
    """The mean reward had every step's models been chosen by the target; how much more it is with `over_past`.

    A Refusal where history cannot tell: a step that left nothing to chance, choices that were never possible, or more
    steps than the rows can carry, as the weights multiply.
    """
    stages = [_Decided.of(stage, rows) for stage in rows.stages]
    if (reason := _unanswerable(rows, stages)) is not None:
        return Refusal(method, reason)
    burdens = np.prod([stage.burden for stage in stages], axis=0)
    effective = rows.n / max(float(burdens.mean()), _TINY)
    if effective < FEWEST_EFFECTIVE:
        return Refusal(
            method,
            f"over {len(stages)} steps the weights leave {effective:.1f} of {rows.n:,} rows over: that is beyond the "
            "horizon of this history; ask about fewer steps, explore more, or come closer to the router that ran",
        )
    weights = np.prod([stage.ratio for stage in stages], axis=0)
    parts, (low, high) = _parts(rows, stages, weights, method), rows.bounds
    if over_past:
        parts = replace(parts, values=parts.values - rows.reward, expected=np.zeros(rows.n))
        low, high = low - high, high - low
    found = _interval(rows, stages, parts, weights, method=method, effective=effective, level=level)
    return bounded(found, (low, high))


# ------------------------------------------------------------------------------------------------------------ stages
@dataclass(frozen=True, eq=False)
class _Decided:
    """A stage with what is reckoned from it: the ratio at the choice (n,), the expected squared ratio (n,), and the
    share of the target's choices that was never possible (n,); 1, 1 and 0 where nothing was decided."""

    stage: Stage
    ratio: Floats
    burden: Floats
    uncovered: Floats

    @classmethod
    def of(cls, stage: Stage, rows: Trajectories) -> _Decided:
        ratio, squares, uncovered = np.ones(rows.n), np.ones(rows.n), np.zeros(rows.n)
        at = np.flatnonzero(stage.asked)
        logged = _logged(stage, rows, rows.reward)
        ratio[at] = stage.target[at, stage.choice[at]] / logged.propensity
        squares[at] = burden(logged, stage.target[at]).sum(axis=1)
        uncovered[at] = (stage.target[at] * (stage.probabilities[at] <= 0)).sum(axis=1)
        return cls(stage, ratio, squares, uncovered)


def _logged(stage: Stage, rows: Trajectories, value: Floats) -> Logged:
    at = stage.asked
    return Logged(
        stage.choice[at],
        value[at],
        stage.probabilities[at],
        None if stage.features is None else stage.features[at],
        None if rows.clusters is None else rows.clusters[at],
        rows.bounds,
    )


def _unanswerable(rows: Trajectories, stages: Sequence[_Decided]) -> str | None:
    if rows.n < FEWEST_ROWS:
        return f"{rows.n} rows are too few; at least {FEWEST_ROWS} with a known reward are needed"
    if (reason := too_alike(rows.clusters)) is not None:
        return reason
    for each in stages:
        stage, at = each.stage, each.stage.asked
        if not at.any():
            return f"no row of this history decided step {stage.name}"
        sums = stage.target[at].sum(axis=1)
        if not np.allclose(sums, 1.0, atol=1e-6) or (stage.target[at] < 0).any():
            raise ValueError(f"the target's probabilities at step {stage.name} must add up to 1 in each row")
        certain = stage.probabilities[at].max(axis=1) >= 1
        if certain.all() and not np.allclose(stage.target[at], stage.probabilities[at]):
            return (
                f"history's router left nothing to chance at step {stage.name}, so it cannot tell what others are "
                "worth; run it with Explore(…)"
            )
    uncovered = float(_never(stages).mean())
    if uncovered > MOST_UNCOVERED:
        return (
            f"in {100 * uncovered:.0f} % of the rows' weight the target chooses what was never possible in history "
            "(its probability was 0); explore those models first"
        )
    return None


def _never(stages: Sequence[_Decided]) -> Floats:
    """(n,) the share of the target's paths that history never takes."""
    found: Floats = 1 - np.prod([1 - each.uncovered for each in stages], axis=0)
    return found


# -------------------------------------------------------------------------------------------------------- estimators
@dataclass(frozen=True, eq=False)
class _Parts:
    """Each row's part in the value (n,), what was expected of it at first (n,), what rewards missed at each stage (n,)
    (None: a stage that makes no correction), and a bias that the interval has to reach over."""

    values: Floats
    expected: Floats
    missed: tuple[Floats | None, ...]
    bias: float = 0.0


def _parts(rows: Trajectories, stages: Sequence[_Decided], weights: Floats, method: Method) -> _Parts:
    only_last = (None,) * (len(stages) - 1)
    reward = rows.reward
    match method:
        case "ips":
            return _Parts(weights * reward, np.zeros(rows.n), (*only_last, reward))
        case "snips" | "clipped":
            kept = np.minimum(weights, CLIP_AT) if method == "clipped" else weights
            mean = max(float(kept.mean()), _TINY)
            value = float((kept * reward).mean() / mean)
            low, high = rows.bounds
            cut_off = float((weights - kept).sum() / max(weights.sum(), _TINY)) * (high - low)
            missed = reward - value
            return _Parts(value + kept * missed / mean, np.full(rows.n, value), (*only_last, missed), cut_off)
        case "dr" | "dm":
            robust = _doubly_robust(rows, stages)
            if method == "dr":
                return robust
            bias = abs(float(robust.values.mean() - robust.expected.mean()))
            return _Parts(robust.expected, robust.expected, robust.missed, bias)


def _doubly_robust(rows: Trajectories, stages: Sequence[_Decided]) -> _Parts:
    """From the last stage back: what is expected of the stage, corrected by the weighted error about what came after.

    What a stage is said to have missed is against the expectation after it: later errors are counted at their stage.
    """
    value, expected = rows.reward.copy(), rows.reward.copy()
    missed: list[Floats | None] = []
    for each in reversed(stages):
        at = each.stage.asked
        choice, target = each.stage.choice[at], each.stage.target[at]
        model = outcome_model(_logged(each.stage, rows, expected))
        served = model[np.arange(len(model)), choice]
        own = np.zeros(rows.n)
        own[at] = expected[at] - served
        missed.append(own)
        expected = expected.copy()
        expected[at] = (target * model).sum(axis=1)
        value = value.copy()
        value[at] = expected[at] + each.ratio[at] * (value[at] - served)
    return _Parts(value, expected, tuple(reversed(missed)))


# --------------------------------------------------------------------------------------------------------- intervals
def _interval(
    rows: Trajectories, stages: Sequence[_Decided], parts: _Parts, weights: Floats, *, method: str, effective: float,
    level: float,
) -> Estimate:  # fmt: skip
    """A t-interval around the mean of the rows' parts. Its spread is reckoned from what came out and from every weight
    that could have been drawn, as `toolkit.evaluation.offpolicy` does, and the larger counts."""
    whole = Logged(
        np.zeros(rows.n, dtype=np.int64), rows.reward, np.ones((rows.n, 1)), None, rows.clusters, rows.bounds
    )
    value = float(parts.values.mean())
    came_out, n = spread_of_mean(parts.values - value, whole)
    alike = max(came_out / max(float(parts.values.var()) / rows.n, _TINY), 1.0) if rows.clusters is not None else 1.0
    planned, before = 0.0, np.ones(rows.n)
    for each, missed in zip(stages, parts.missed, strict=True):
        at = each.stage.asked
        if missed is not None:
            logged = _logged(each.stage, rows, rows.reward)
            squares = burden(logged, each.stage.target[at]) @ misses(missed[at], logged, share=n / rows.n)
            planned += alike * float((before[at] * squares).sum()) / rows.n**2
        before = before * each.burden
    planned += spread_of_mean(parts.expected - parts.expected.mean(), whole)[0]
    left = effective * n / rows.n
    error = float(np.sqrt(max(came_out, planned)))
    reach = float(stats.t.ppf(0.5 + level / 2, max(min(left, n) - 1, 2.0))) * error + parts.bias
    return Estimate(
        method=method,
        value=value,
        low=value - reach,
        high=value + reach,
        standard_error=error,
        n=independent(whole),
        effective_n=left,
        largest_weight=float(weights.max() / max(weights.sum(), _TINY)),
        uncovered=float(_never(stages).mean()),
        level=level,
        note=f"over {len(stages)} steps",
    )
