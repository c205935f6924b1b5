"""How far what was learnt is believed, by requests that it had not seen: as told, less, or not at all. Pure numpy.

First leads are stretched or shrunk to what they turned out to be, and shrunk further where that is itself uncertain:
where words tell nothing, little or nothing is left of them. Of what is left so much is believed as gained most, *less
its standard error*: choosing the best of many by uncertain expectations promises more than it holds (the optimiser's
curse), and half the lead often gains as much, more surely. Leads are not believed at all where choosing by them did
surely worse than single models (by more than a standard error); a request's own cost counts where that did better.
Without leads the own cost counts only where it surely gains. Where nothing is left, the router abstains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toolkit.routing.dearness import Dearness
from toolkit.routing.exchange import Sweep, choices, gap_closed, rates
from toolkit.routing.frontier import Floats, Ints
from toolkit.routing.predictors import Ensemble, Parts
from toolkit.routing.targets import Targets

BOOTSTRAPS = 60
STEEPEST = 3.0
SHARES = (1.0, 0.75, 0.5)
LOTS = 8
SURE_OF_TASKS = 2.0
RATES = 24


@dataclass(frozen=True)
class Trust:
    """What leads and ease are multiplied with, and whether a request's own cost counts in the choice."""

    leads: float
    priced: bool
    ease: float = 0.0

    @property
    def any(self) -> bool:
        return self.leads > 0 or self.priced


NONE = Trust(0.0, False)


@dataclass(frozen=True)
class Known:
    """Rows of the training and what is told of them: without them, to measure trust by; with them, what is spent."""

    targets: Targets
    told: Floats
    ratio: Floats
    mean_quality: Floats
    mean_cost: Floats

    def merit(self, trust: Trust) -> Floats:
        merit: Floats = self.mean_quality + trust.leads * self.told[:, 1:]
        return merit

    def cost(self, trust: Trust) -> Floats:
        cost: Floats = self.mean_cost * self.ratio if trust.priced else self.mean_cost
        return cost

    def sweep(self, trust: Trust, at: Floats) -> Sweep:
        """What the rows get and pay at each exchange rate."""
        return Sweep.of(choices(self.merit(trust), self.cost(trust), at), self.targets.quality, self.targets.cost)


@dataclass(frozen=True)
class Believed:
    """The trust, the figures that it rests on, and what the router spent at each exchange rate."""

    trust: Trust
    gap: float
    error: float
    calibration_error: float
    rates: Floats
    cost: Floats
    gains: Floats = field(repr=False)

    def gain_by_task(self, tasks: Sequence[str]) -> dict[str, float]:
        named = np.array(tasks)
        return {str(task): float(self.gains[named == task].mean()) for task in sorted(set(tasks))}


def known(parts: Parts, targets: Targets, lengths: Floats, fold: Ints, ensemble: Ensemble) -> Known:
    """What the other folds tell of each row."""
    ratio, quality, cost = (np.empty_like(targets.cost) for _ in range(3))
    for held in np.unique(fold):
        out = fold == held
        places = parts.task[out].argmax(axis=1)
        ratio[out] = Dearness.fit(lengths[~out], parts.task[~out], targets.cost[~out]).at(lengths[out], places)
        quality[out], cost[out] = targets.quality[~out].mean(axis=0), targets.cost[~out].mean(axis=0)
    return Known(targets, ensemble.out_of_fold - ensemble.out_of_fold.mean(axis=0), ratio, quality, cost)


def believed(given: Known, *, seed: int) -> Believed:
    """Measure the trust on held-out rows."""
    targets = given.targets
    slope = slope_of(given.told[:, 1:], targets.lead, targets.weight)
    ease = slope_of(given.told[:, :1], targets.all[:, :1], np.ones(1))
    single, best = _singles(targets), _oracle(targets)
    drawn = list(_drawn(len(given.told), seed, BOOTSTRAPS))

    def closed(trust: Trust) -> tuple[Sweep, Floats, Floats]:
        at = rates(given.merit(trust), given.cost(trust))
        sweep = given.sweep(trust, at)
        return sweep, at, np.array([gap_closed(sweep, single, best, weights) for weights in (None, *drawn)])

    tried = {trust: closed(trust) for trust in _ways(given, slope, ease)}
    plain = tried[Trust(0.0, False, ease)][2]
    trust = _decided({trust: gaps - plain for trust, (_, _, gaps) in tried.items()})
    sweep, at, gaps = tried[trust]
    expected = np.clip(targets.mean_quality + ease * given.told[:, :1] + trust.leads * given.told[:, 1:], 0, 1)
    return Believed(
        trust=trust,
        gap=float(gaps[0]),
        error=float(np.nanstd(gaps[1:])) if np.isfinite(gaps[1:]).any() else float("nan"),
        calibration_error=_calibration_error(expected, targets.quality),
        rates=at,
        cost=sweep.cost.mean(axis=0),
        gains=gains(given, trust),
    )


def carried(
    parts: Parts, targets: Targets, lengths: Floats, ensemble: Ensemble, tasks: Sequence[str], *, seen: Trust
) -> Trust:
    """How far it is believed at tasks that are not in the training, by leaving tasks out of it in a few lots.

    The error is that of the tasks' means, as a new task is one draw of them. With few tasks nothing is believed.
    """
    named = np.array(tasks)
    distinct = sorted(set(tasks))
    if len(distinct) < LOTS or not seen.any:
        return NONE
    told = np.empty_like(targets.all)
    ratio, quality, cost = (np.empty_like(targets.cost) for _ in range(3))
    for lot in range(LOTS):
        out = np.isin(named, distinct[lot::LOTS])
        fitted = ensemble.fit(parts.take(~out), targets.all[~out])
        told[out] = fitted.at(parts.take(out).of_no_task(parts.task[~out].mean(axis=0))) - fitted_mean(targets, out)
        nowhere = np.full(int(out.sum()), -1)
        ratio[out] = Dearness.fit(lengths[~out], parts.task[~out], targets.cost[~out]).at(lengths[out], nowhere)
        quality[out], cost[out] = targets.quality[~out].mean(axis=0), targets.cost[~out].mean(axis=0)
    given = Known(targets, told, ratio, quality, cost)
    place = np.searchsorted(distinct, named)
    slope = slope_of(told[:, 1:], targets.lead, targets.weight, groups=place)
    surely = {}
    for trust in _ways(given, min(slope, seen.leads), 0.0):
        by_task = np.bincount(place, gains(given, trust)) / np.bincount(place)
        surely[trust] = by_task.mean() - SURE_OF_TASKS * by_task.std(ddof=1) / np.sqrt(len(by_task))
    return max(surely, key=lambda each: surely[each])


def fitted_mean(targets: Targets, out: NDArray[np.bool_]) -> Floats:
    """(1 + k,) the mean of the targets in training: leads are told relative to it, as the models' means hold it."""
    mean: Floats = targets.all[~out].mean(axis=0)
    return mean


def slope_of(told: Floats, true: Floats, weight: Floats, *, groups: Ints | None = None) -> float:
    """By how much to multiply what is told: the slope of the truth on it, between 0 and 3, shrunk by its own error
    (James and Stein's positive part). Rows of one group count as one draw."""
    size = float((told**2 @ weight).sum())
    if size < 1e-12:
        return 0.0
    slope = float((told * true @ weight).sum() / size)
    off = (told * (true - slope * told)) @ weight
    off = off if groups is None else np.bincount(groups, off).astype(np.float64)
    error = float(np.sqrt((off**2).sum())) / size
    return float(np.clip(slope, 0, STEEPEST) * max(0.0, 1 - (error / slope) ** 2)) if slope > 0 else 0.0


def gains(given: Known, trust: Trust) -> Floats:
    """(n,) how much better a row does than at the single model, in quality net of cost, over the rates that matter."""
    at = rates(given.mean_quality, given.mean_cost)
    middle = at[(at > 0) & (at < 1e12)]
    at = np.exp(np.linspace(np.log(middle.min()), np.log(middle.max()), RATES)) if len(middle) else np.zeros(1)
    ours = choices(given.merit(trust), given.cost(trust), at)
    plain = choices(given.mean_quality, given.mean_cost, at)
    mine, theirs = (Sweep.of(each, given.targets.quality, given.targets.cost) for each in (ours, plain))
    net: Floats = (mine.quality - theirs.quality) - at * (mine.cost - theirs.cost)
    return np.asarray(net.mean(axis=1))


# ----------------------------------------------------------------------------------------------------------- helpers
def _ways(given: Known, slope: float, ease: float) -> list[Trust]:
    """From nothing believed to more: no leads, or as much of them as gains most surely; without and with own costs."""
    ways = [Trust(0.0, priced, ease) for priced in (False, True)]
    if slope > 0:
        ways += [
            max((Trust(slope * share, priced, ease) for share in SHARES), key=lambda each: _surely(gains(given, each)))
            for priced in (False, True)
        ]
    return ways


def _surely(gained: Floats) -> float:
    """The mean less its standard error."""
    return float(gained.mean() - gained.std() / np.sqrt(len(gained)))


def _decided(gained: Mapping[Trust, Floats]) -> Trust:
    """By the gains of each way (the value, then its bootstrap replicates), of which the first believes nothing."""
    nothing = next(iter(gained))
    if not np.isfinite(gained[nothing]).any():
        return nothing
    by_leads = [trust for trust in gained if trust.leads > 0]
    best = max(by_leads, key=lambda trust: gained[trust][0], default=nothing)
    if best.leads > 0 and gained[best][0] >= -np.nanstd(gained[best][1:]):
        return best
    own_cost = next(trust for trust in gained if trust.priced and not trust.leads)
    return own_cost if gained[own_cost][0] > np.nanstd(gained[own_cost][1:]) else nothing


def _drawn(n: int, seed: int, replicates: int) -> Sequence[Floats]:
    """How often each of n rows is drawn, for each replicate of a bootstrap."""
    rng = np.random.default_rng(seed)
    return [rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(replicates)]


def _singles(targets: Targets) -> Sweep:
    every = np.broadcast_to(np.arange(targets.quality.shape[1]), targets.quality.shape)
    return Sweep.of(every, targets.quality, targets.cost)


def _oracle(targets: Targets) -> Sweep:
    at = rates(targets.quality, targets.cost)
    return Sweep.of(choices(targets.quality, targets.cost, at), targets.quality, targets.cost)


def _calibration_error(expected: Floats, quality: Floats, bins: int = 10) -> float:
    """The mean distance between expected and true quality over bins of equal size (expected calibration error)."""
    order = np.argsort(expected, axis=None)
    pairs = np.array_split(np.column_stack([expected.ravel()[order], quality.ravel()[order]]), bins)
    return float(sum(len(p) * abs(p[:, 0].mean() - p[:, 1].mean()) for p in pairs if len(p)) / expected.size)
