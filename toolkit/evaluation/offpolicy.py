"""What another router would have been worth, by the decisions of the one that ran. Pure: arrays in, numbers out.

    Logged (who was served, with which probability, how good) + target probabilities ─▶ Estimate or Refusal

Sources: inverse propensity scores and the self-normalised form (Swaminathan & Joachims 2015), clipping (Ionides 2008),
doubly robust (Dudík, Langford & Li, arXiv 1103.4601) with cross-fitting (Chernozhukov et al., arXiv 1608.00060).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from toolkit.evaluation.clusters import alike, too_alike
from toolkit.evaluation.estimates import Estimate, Refusal, checked_level

Floats = NDArray[np.float64]
Method = Literal["dm", "ips", "snips", "clipped", "dr"]

FOLDS = 5
CLIP_AT = 10.0
FEWEST_ROWS = 30
FEWEST_EFFECTIVE = 5.0
MOST_UNCOVERED = 0.05
_TINY = 1e-12
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Logged:
    """What history has of n requests and k models.

    `choice` (n,) is the index of the model served, `reward` (n,) how good its answer was, `probabilities` (n, k) those
    of the decision, 0 for models that could not be chosen. `features` (n, d) describe the request for the model of
    outcomes; `clusters` (n,) name what belongs together (say, the rows of a customer). `bounds` are the least and most
    that a reward can be. Raises ValueError where the shapes do not fit or numbers are missing.
    """

    choice: NDArray[np.int64]
    reward: Floats
    probabilities: Floats
    features: Floats | None = None
    clusters: NDArray[np.int64] | None = None
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        n = len(self.reward)
        if self.choice.shape != (n,) or self.probabilities.ndim != 2 or len(self.probabilities) != n:
            raise ValueError("choice, reward and probabilities must have one row for each request")
        for name in ("reward", "probabilities"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds NaN or infinity; leave those rows out, and say so")
        low, high = self.bounds
        if n and max(low - self.reward.min(), self.reward.max() - high) > _ROUNDING * (high - low):
            raise ValueError(
                f"rewards go from {self.reward.min():g} to {self.reward.max():g}, beyond bounds {self.bounds}"
            )
        if n and (self.propensity <= 0).any():
            raise ValueError("a model was served with probability 0: its decision does not belong to this record")

    @property
    def n(self) -> int:
        return len(self.reward)

    @cached_property
    def propensity(self) -> Floats:
        """(n,) the probability of the model that was served."""
        served: Floats = self.probabilities[np.arange(self.n), self.choice]
        return served

    @cached_property
    def expected(self) -> Floats:
        """(n, k) the rewards that `outcome_model` expects: reckoned once, however many targets are asked about."""
        return outcome_model(self)


def estimate(logged: Logged, target: Floats, method: Method = "dr", *, level: float = 0.95) -> Estimate | Refusal:
    """The mean reward had models been chosen with the probabilities `target` (n, k), with an interval at `level`.

    A Refusal where history cannot tell: too few rows, a target that leans on what was never tried, weights that leave
    too little over.
    """
    checked_level(level)
    if (reason := _unanswerable(logged, target)) is not None:
        return Refusal(method, reason)
    weights = target[np.arange(logged.n), logged.choice] / logged.propensity
    effective = expected_effective(logged, target)
    if effective < FEWEST_EFFECTIVE:
        return Refusal(
            method,
            f"the weights leave {effective:.1f} of {logged.n:,} rows over; explore more, or compare with a router "
            "that is closer to the one that ran",
        )
    parts = _ESTIMATORS[method](logged, target, weights)
    return bounded(_interval(method, parts, logged, target, weights, level=level), logged.bounds)


def expected_effective(logged: Logged, target: Floats) -> float:
    """How many of n rows the weights leave over, by what could have been drawn and not only by what was."""
    return logged.n / max(float(burden(logged, target).sum(axis=1).mean()), _TINY)


def difference(
    logged: Logged, target: Floats, other: Floats, method: Method = "dr", *, level: float = 0.95
) -> Estimate | Refusal:
    """How much better `target` is than `other`, by the very same rows: the mean of the one minus that of the other."""
    for each in (target, other):
        found = estimate(logged, each, method, level=level)
        if isinstance(found, Refusal):
            return found
    arms = np.arange(logged.n), logged.choice
    first, second = (_ESTIMATORS[method](logged, each, each[arms] / logged.propensity) for each in (target, other))
    both = _Parts(first.values - second.values, first.expected - second.expected, first.missed)
    weights = (target - other)[arms] / logged.propensity
    low, high = logged.bounds
    return bounded(_interval(method, both, logged, target - other, weights, level=level), (low - high, high - low))


# -------------------------------------------------------------------------------------------------------- estimators
@dataclass(frozen=True)
class _Parts:
    """Each row's part in the value, which is their mean (n,); what was expected of the row before its reward was seen
    (n,); and by how much the reward missed what was expected of the model served (n,)."""

    values: Floats
    expected: Floats
    missed: Floats
    bias: float = 0.0


def _ips(logged: Logged, _target: Floats, weights: Floats) -> _Parts:
    return _Parts(weights * logged.reward, np.zeros(logged.n), logged.reward)


def _snips(logged: Logged, _target: Floats, weights: Floats) -> _Parts:
    mean = max(float(weights.mean()), _TINY)
    value = float((weights * logged.reward).mean() / mean)
    missed = logged.reward - value
    return _Parts(value + weights * missed / mean, np.full(logged.n, value), missed)


def _clipped(logged: Logged, _target: Floats, weights: Floats) -> _Parts:
    """Weights cut at a bound: less noise, and a bias of at most the weight that was cut off."""
    cut = np.minimum(weights, CLIP_AT)
    kept = _snips(logged, _target, cut)
    low, high = logged.bounds
    return replace(kept, bias=float((weights - cut).sum() / max(weights.sum(), _TINY)) * (high - low))


def _dm(logged: Logged, target: Floats, weights: Floats) -> _Parts:
    """What a model of the outcomes expects. Its interval reaches as far as the correction that `dr` would make."""
    corrected = _dr(logged, target, weights)
    return replace(
        corrected, values=corrected.expected, bias=abs(float(corrected.values.mean() - corrected.expected.mean()))
    )


def _dr(logged: Logged, target: Floats, weights: Floats) -> _Parts:
    """What a model of the outcomes expects, corrected by the weighted errors that it makes on what was seen."""
    model = logged.expected
    missed = logged.reward - model[np.arange(logged.n), logged.choice]
    expected = (target * model).sum(axis=1)
    return _Parts(expected + weights * missed, expected, missed)


Estimator = Callable[[Logged, Floats, Floats], _Parts]
_ESTIMATORS: Mapping[str, Estimator] = {"dm": _dm, "ips": _ips, "snips": _snips, "clipped": _clipped, "dr": _dr}


def outcome_model(logged: Logged, *, folds: int = FOLDS, penalty: float = 1.0) -> Floats:
    """(n, k) the reward expected of each model at each request, each row's by a model that has not seen it.

    A ridge regression per model around the mean of all, so that a model seen rarely is expected to do as others do.
    Rows of one cluster are held out together.
    """
    n, k = logged.probabilities.shape
    groups = np.arange(n) if logged.clusters is None else np.unique(logged.clusters, return_inverse=True)[1]
    fold = (groups * 2654435761 % 4294967296) % folds
    features = _standardised(logged.features, n)
    expected = np.empty((n, k))
    for held in range(folds):
        out = fold == held
        if not out.any():
            continue
        rest = ~out
        base = float(logged.reward[rest].mean()) if rest.any() else float(np.mean(logged.bounds))
        for arm in range(k):
            used = rest & (logged.choice == arm)
            expected[out, arm] = base + _ridge(features[used], logged.reward[used] - base, features[out], penalty)
    return np.clip(expected, *logged.bounds)


def _ridge(x: Floats, y: Floats, at: Floats, penalty: float) -> Floats:
    """Predictions of a ridge regression with an intercept, which is shrunk a little too."""
    design, wanted = np.column_stack([np.ones(len(x)), x]), np.column_stack([np.ones(len(at)), at])
    penalties = np.full(design.shape[1], penalty * 5.0)
    penalties[0] = penalty
    solved = np.linalg.solve(design.T @ design + np.diag(penalties), design.T @ y)
    predicted: Floats = wanted @ solved
    return predicted


def _standardised(features: Floats | None, n: int) -> Floats:
    if features is None:
        return np.zeros((n, 0))
    spread = features.std(axis=0)
    scaled: Floats = (features - features.mean(axis=0)) / np.where(spread > _TINY, spread, 1.0)
    return scaled


# --------------------------------------------------------------------------------------------------------- intervals
def _interval(method: str, parts: _Parts, logged: Logged, target: Floats, weights: Floats, *, level: float) -> Estimate:
    """A t-interval around the mean of the rows' parts.

    The spread is reckoned twice, and the larger counts: from the parts as they came out, and from the design, that is
    from every weight that could have been drawn times how far rewards miss what is expected of each model. Where heavy
    weights are rare, a history often holds none of them, and its parts look calmer than they are. How alike the rows of
    a cluster are is told by the parts as they came out.
    """
    value = float(parts.values.mean())
    came_out, n = spread_of_mean(parts.values - value, logged)  # n: rows, or clusters as if of one size
    alike = (
        max(came_out / max(float(parts.values.var()) / logged.n, _TINY), 1.0) if logged.clusters is not None else 1.0
    )
    planned = (
        alike * float((burden(logged, target) @ misses(parts.missed, logged, share=n / logged.n)).mean()) / logged.n
    )
    planned += spread_of_mean(parts.expected - parts.expected.mean(), logged)[0]
    effective = expected_effective(logged, target) * n / logged.n
    error = float(np.sqrt(max(came_out, planned)))
    reach = float(stats.t.ppf(0.5 + level / 2, max(min(effective, n) - 1, 2.0))) * error + parts.bias
    return Estimate(
        method=method,
        value=value,
        low=value - reach,
        high=value + reach,
        standard_error=error,
        n=independent(logged),
        effective_n=effective,
        largest_weight=float(np.abs(weights).max() / max(np.abs(weights).sum(), _TINY)),
        uncovered=float((np.abs(target) * (logged.probabilities <= 0)).sum(axis=1).mean()),
        level=level,
    )


def burden(logged: Logged, target: Floats) -> Floats:
    """(n, k) the expected squared weight of each model: target squared over history's probability."""
    possible = logged.probabilities > 0
    found: Floats = np.where(possible, target**2 / np.where(possible, logged.probabilities, 1.0), 0.0)
    return found


def misses(missed: Floats, logged: Logged, *, share: float) -> Floats:
    """(k,) mean square of what the rewards of each model miss, shrunk towards that of all where it was seen rarely.

    `share` of the rows are independent.
    """
    k, pseudo = logged.probabilities.shape[1], 5.0 / share
    low, high = logged.bounds
    overall = (share * float((missed**2).sum()) + (high - low) ** 2 / 4) / (share * logged.n + 1)
    seen = np.bincount(logged.choice, minlength=k)
    squares = np.bincount(logged.choice, weights=missed**2, minlength=k)
    found: Floats = (squares + pseudo * overall) / (seen + pseudo)
    return found


def spread_of_mean(parts: Floats, logged: Logged) -> tuple[float, float]:
    """The variance of the mean of centred parts, and how many independent ones of one size there are.

    Of clusters by leaving each out in turn (CR3, Bell & McCaffrey 2002), and (Σ sizes)² / Σ sizes² of them: a large
    one draws the mean to itself, so that its own part looks small.
    """
    n = logged.n
    if logged.clusters is None:
        return float((parts**2).sum()) / n**2 * n / max(n - 1, 1), float(n)
    _, group = np.unique(logged.clusters, return_inverse=True)
    share = np.bincount(group) / n
    sums = np.bincount(group, weights=parts) / np.maximum(1 - share, _TINY)
    variance = float((sums**2).sum()) / n**2 * max(len(share) - 1, 1) / len(share)
    return variance, alike(logged.clusters)


def independent(logged: Logged) -> int:
    """How many rows there are, or clusters of them."""
    return logged.n if logged.clusters is None else len(np.unique(logged.clusters))


def bounded(found: Estimate, bounds: tuple[float, float]) -> Estimate:
    """The interval, widened by what rewards could have been where history made no such choice, within the bounds."""
    low, high = bounds
    value = min(max(found.value, low), high)
    widened = found.uncovered * (high - low)
    return replace(
        found,
        value=value,
        low=min(max(found.low - widened, low), value),
        high=max(min(found.high + widened, high), value),
    )


def _unanswerable(logged: Logged, target: Floats) -> str | None:
    if target.shape != logged.probabilities.shape:
        raise ValueError(f"the target has shape {target.shape}, history {logged.probabilities.shape}")
    if not np.allclose(target.sum(axis=1), 1.0, atol=1e-6) or (target < 0).any():
        raise ValueError("the target's probabilities must be at least 0 and add up to 1 in each row")
    if logged.n < FEWEST_ROWS:
        return f"{logged.n} rows are too few; at least {FEWEST_ROWS} with a known reward are needed"
    if (reason := too_alike(logged.clusters)) is not None:
        return reason
    if (logged.propensity >= 1).all() and not np.allclose(target, logged.probabilities):
        return (
            "history's router left nothing to chance, so it cannot tell what others are worth; run it with Explore(…)"
        )
    uncovered = float((target * (logged.probabilities <= 0)).sum(axis=1).mean())
    if uncovered > MOST_UNCOVERED:
        return (
            f"{100 * uncovered:.0f} % of the target's choices were never possible in history (their probability was "
            "0); explore those models first"
        )
    return None
