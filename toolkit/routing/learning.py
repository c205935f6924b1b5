"""From outcomes to knowledge: how good and how dear each model will be at a request, and where that is not known.

In: requests' texts and tasks, and what models scored and cost on them. Out: `Knowledge`.

The model is an average of ridge regressions of the *differences between models* (each row's common ease is taken out
first, as it changes no choice) on latent semantic features of the words, surface counts and the task. Ridge is
shrinkage: a request that shows little is expected to do as its task does, a task seen rarely as all tasks do (empirical
Bayes with a common prior). How strong it is, and which models are worth choosing between, is chosen on folds inside the
training data, and how much of the result is believed is measured there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.routing.exchange import Sweep, choices, gap_closed, rates
from toolkit.routing.features import Vocabulary
from toolkit.routing.frontier import Floats, Frontier, Ints
from toolkit.routing.knowledge import OUTSIDE, SPREAD, Card, Knowledge

INNER_FOLDS = 5
LATENT = 128
TASK_WEIGHT = 0.5
SURFACE_WEIGHTS = (0.05, 0.2)
PENALTIES = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e9])
REGIONS = 8
UNLIKE_SHARE, UNLIKE_SLACK = 0.01, 0.7
BOOTSTRAPS = 100
REPEATS = 4
SURE = 2.0
FEWEST_ROWS = 40
TASK_BUCKETS = 8
FEWEST_TASKS = TASK_BUCKETS


@dataclass(frozen=True)
class Examples:
    """Requests and what is known of models' answers to them.

    `quality` (n, k) lies in 0..1, `cost` (n, k) is US dollars; NaN where a model was not asked. `tasks` may be empty
    strings. Rows of one group (say, variants of one question) are held out together.
    """

    texts: tuple[str, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    quality: Floats
    cost: Floats
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, k = len(self.texts), len(self.models)
        if self.quality.shape != (n, k) or self.cost.shape != (n, k) or len(self.tasks) != n:
            raise ValueError(f"{n} texts and {k} models want tables of that shape, not {self.quality.shape}")
        if k < 2:
            raise ValueError(f"there is nothing to choose between: outcomes of {k} model{'s' * (k != 1)}")
        if n < FEWEST_ROWS:
            raise ValueError(f"{n} requests are too few to learn from; at least {FEWEST_ROWS} are needed")
        for name, table in (("quality", self.quality), ("cost", self.cost)):
            if (unseen := np.isnan(table).all(axis=0)).any():
                raise ValueError(f"there is no {name} on record for {self.models[int(unseen.argmax())]}")
            if np.isinf(table).any():
                raise ValueError(f"{name} holds an infinite number")

    def hash(self) -> str:
        """The name of the data: 128 bits in hexadecimal."""
        made = blake2b(digest_size=16)
        for part in (*self.texts, *self.tasks, *self.models):
            made.update(part.encode(errors="replace") + b"\0")
        made.update(np.ascontiguousarray(self.quality).tobytes())
        made.update(np.ascontiguousarray(self.cost).tobytes())
        return made.hexdigest()

    def folds(self, salt: int = 0) -> Ints:
        """(n,) a fold for each row by the hash of its group (its text where there is none); by salt, others."""
        named, salted = self.groups or self.texts, salt.to_bytes(4, "big")
        digests = (blake2b(name.encode(errors="replace"), digest_size=4, salt=salted).digest() for name in named)
        return np.array([int.from_bytes(digest, "big") % INNER_FOLDS for digest in digests], dtype=np.int64)


def fit(examples: Examples, *, latent: int = LATENT, seed: int = 0) -> Knowledge:
    """Learn. Raises ValueError in words where the examples cannot teach anything."""
    vocabulary = Vocabulary.of(examples.texts)
    words, surface = vocabulary.read(examples.texts)
    centre, scale = surface.mean(axis=0), surface.std(axis=0) + 1e-9
    tasks = tuple(sorted(set(examples.tasks)))
    axes = word_axes(words, min(latent, len(examples.texts) // 3), seed)
    parts = _Parts(
        np.asarray(words @ axes),
        np.clip((surface - centre) / scale, -SPREAD, SPREAD) / np.sqrt(surface.shape[1]),
        (np.array(examples.tasks)[:, None] == np.array(tasks)[None]).astype(np.float64),
    )
    fold = examples.folds()
    chosen = _choose(parts, examples, fold)
    targets = chosen.targets
    belief = _belief(targets, fold, chosen, seed)
    carries = _carries(parts, examples.tasks, chosen)
    fitted = chosen.fit(parts)
    by_task = fitted.task * TASK_WEIGHT
    regions, nearness = _regions(words, parts.latent, seed)
    return Knowledge(
        models=examples.models,
        tasks=tasks,
        vocabulary=vocabulary,
        surface_centre=centre,
        surface_scale=scale * np.sqrt(surface.shape[1]),
        by_word=(axes @ fitted.latent).astype(np.float32),
        by_surface=fitted.surface,
        by_task=by_task,
        by_no_task=parts.task.mean(axis=0) @ by_task,
        offset=fitted.offset,
        outside=targets.outside,
        mean_quality=targets.mean_quality,
        mean_cost=targets.mean_cost,
        regions=regions.astype(np.float32),
        nearness=nearness,
        belief=belief.scale if belief.routes else 0.0,
        curve_rates=belief.rates,
        curve_cost=belief.cost,
        curve_quality=belief.quality,
        unseen_tasks=carries,
        card=Card(
            data_hash=examples.hash(),
            trained_at=datetime.now(UTC),
            rows=len(examples.texts),
            models=examples.models,
            tasks={task: int((np.array(examples.tasks) == task).sum()) for task in tasks},
            gap_closed=belief.gap,
            gap_closed_error=belief.error,
            calibration_error=belief.calibration_error,
            routes=belief.routes,
            routes_unseen_tasks=carries,
            settings=chosen.told(),
            gain_by_task=belief.gain_by_task(examples.tasks),
        ),
    )


# ---------------------------------------------------------------------------------------------------------- the parts
@dataclass(frozen=True)
class _Parts:
    """Features of the training rows: latent (n, r), surface (n, s), task (n, t)."""

    latent: Floats
    surface: Floats
    task: Floats

    def scaled(self, surface_weight: float) -> Floats:
        return np.hstack([self.latent, self.surface * np.sqrt(surface_weight), self.task * TASK_WEIGHT])


@dataclass(frozen=True)
class _Targets:
    """What is predicted of a row: (n, 2 + k) its common ease, its length in money, each model's lead."""

    mean_quality: Floats
    mean_cost: Floats
    quality: Floats
    cost: Floats
    outside: NDArray[np.bool_]
    all: Floats = field(repr=False)

    @classmethod
    def of(cls, examples: Examples, *, frontier_only: bool = False) -> _Targets:
        """What was not seen of a model counts as its mean, moved by how easy the row was for the others; what was seen
        weighs the more the rarer it is, so that leads are right on average where models were asked by chance. One
        answer alone says nothing of what it shares with the others' and counts as a lead.

        With `frontier_only` the models that are not on the frontier of means are `outside`: never first choice, and no
        part of what is common to a row.
        """
        mean_quality, mean_cost = np.nanmean(examples.quality, axis=0), np.nanmean(examples.cost, axis=0)
        outside = np.zeros(len(mean_quality), dtype=bool)
        if frontier_only:
            outside = ~np.isin(np.arange(len(mean_quality)), Frontier.of(mean_cost, mean_quality).member)
        away = examples.quality - mean_quality
        seen = ~np.isnan(away)
        counted = seen & ~outside
        ease = np.where(counted, away, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        common = np.where(counted.sum(axis=1) > 1, ease, 0.0)[:, None]
        lead = np.where(seen, away - common, 0.0) / seen.mean(axis=0)
        ratio = np.where(np.isnan(examples.cost), mean_cost, examples.cost) / np.maximum(mean_cost, 1e-15)
        dearness = np.minimum(ratio.mean(axis=1), 10.0) - 1
        quality = np.where(seen, examples.quality, np.clip(mean_quality + common, 0, 1))
        cost = np.where(np.isnan(examples.cost), mean_cost, examples.cost)
        return cls(mean_quality, mean_cost, quality, cost, outside, np.column_stack([ease, dearness, lead]))

    @property
    def lead(self) -> Floats:
        return self.all[:, 2:]


@dataclass(frozen=True)
class _Weights:
    """Weights of one or the mean of several regressions: (features, 2 + k) by part, and the offset (2 + k,)."""

    latent: Floats
    surface: Floats
    task: Floats
    offset: Floats

    def at(self, parts: _Parts, task: Floats) -> Floats:
        predicted: Floats = parts.latent @ self.latent + parts.surface @ self.surface + task @ self.task * TASK_WEIGHT
        return predicted + self.offset


@dataclass(frozen=True)
class _Member:
    """One regression of the average: its weight of the surface, and a penalty for each rotated target."""

    surface_weight: float
    penalties: Floats


@dataclass(frozen=True)
class _Chosen:
    """What was selected inside the training data. `rotation` (2 + k, 2 + k) turns targets into what is regressed on."""

    targets: _Targets
    rotation: Floats
    members: tuple[_Member, ...]
    out_of_fold: Floats = field(repr=False)

    def told(self) -> dict[str, Any]:
        return {
            "models_considered": int((~self.targets.outside).sum()),
            "penalties": [[float(p) for p in member.penalties[:4]] for member in self.members],
        }

    def fit(self, parts: _Parts, rows: NDArray[np.bool_] | None = None) -> _Weights:
        """The mean of the regressions, on all rows or some."""
        rows = np.ones(len(parts.latent), dtype=bool) if rows is None else rows
        solved = [
            _solve(parts.scaled(m.surface_weight)[rows], self.targets.all[rows], m.penalties, self.rotation)
            for m in self.members
        ]
        first = parts.latent.shape[1]
        last = first + parts.surface.shape[1]
        surface = [w[first:last] * np.sqrt(m.surface_weight) for m, (w, _) in zip(self.members, solved, strict=True)]
        return _Weights(
            np.mean([w[:first] for w, _ in solved], axis=0),
            np.mean(surface, axis=0),
            np.mean([w[last:] for w, _ in solved], axis=0),
            np.mean([offset for _, offset in solved], axis=0),
        )


def word_axes(words: Any, size: int, seed: int) -> Floats:
    """(columns, r) axes of the latent space: a truncated singular value decomposition of the rows' words."""
    from sklearn.utils.extmath import randomized_svd

    size = max(1, min(size, min(words.shape) - 1))
    return np.asarray(randomized_svd(words, size, n_iter=2, random_state=seed)[2].T)


# ---------------------------------------------------------------------------------------------------------- selection
def _choose(parts: _Parts, examples: Examples, fold: Ints) -> _Chosen:
    """All models, or those of the frontier alone: what serves held-out rows better, over several ways to hold out."""
    every = _averaged(parts, _Targets.of(examples), fold)
    if len(examples.models) == 2:
        return every
    few = _averaged(parts, _Targets.of(examples, frontier_only=True), fold)
    better = _gap(few, fold) - _gap(every, fold)
    for salt in range(1, REPEATS):
        other = examples.folds(salt)
        better += _gap(_averaged(parts, few.targets, other), other) - _gap(
            _averaged(parts, every.targets, other), other
        )
    return few if better > 0 else every


def _gap(chosen: _Chosen, fold: Ints) -> float:
    return gap_closed(*_sweeps(chosen.targets, chosen.out_of_fold, fold)[:3])


def _drawn(n: int, seed: int, replicates: int) -> Iterator[Floats]:
    """How often each of n rows is drawn, for each replicate of a bootstrap."""
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64)


def _averaged(parts: _Parts, targets: _Targets, fold: Ints) -> _Chosen:
    """Regressions with one penalty for all leads, and with one for each direction in which models differ; with more
    and less of the surface: averaged rather than selected, penalties by the squared errors on held-out rows."""
    rotation = _rotation(targets)
    turned = targets.all @ rotation
    rotated = 2 + int((~targets.outside).sum())
    members, guesses = [], []
    for weight in SURFACE_WEIGHTS:
        predicted = out_of_fold(parts.scaled(weight), turned, fold)
        wrong = ((predicted - turned) ** 2).mean(axis=1)
        alone = wrong.argmin(axis=0)
        together = alone.copy()
        together[2:] = wrong[:, 2:rotated].sum(axis=1).argmin()
        alone[rotated:] = together[rotated:]
        for places in (together, alone) if len(targets.mean_cost) > 2 else (together,):
            members.append(_Member(weight, PENALTIES[places]))
            guesses.append(predicted[places, :, np.arange(len(places))].T @ rotation.T)
    return _Chosen(targets, rotation, tuple(members), np.mean(guesses, axis=0))


def _rotation(targets: _Targets) -> Floats:
    """(2 + k, 2 + k): ease and dearness as they are, then the leads along the directions in which the models that are
    considered differ most, then the other models' leads as they are."""
    inside, outside = np.flatnonzero(~targets.outside) + 2, np.flatnonzero(targets.outside) + 2
    leads = targets.all[:, inside]
    _, _, directions = np.linalg.svd(leads - leads.mean(axis=0), full_matrices=True)
    rotation = np.zeros((targets.all.shape[1],) * 2)
    rotation[0, 0] = rotation[1, 1] = 1.0
    rotation[np.ix_(inside, np.arange(2, 2 + len(inside)))] = directions.T
    rotation[outside, np.arange(2 + len(inside), len(rotation))] = 1.0
    return rotation


def out_of_fold(features: Floats, targets: Floats, fold: Ints) -> Floats:
    """(penalties, n, targets) what ridge regressions on the other folds expect of each row."""
    found = np.empty((len(PENALTIES), *targets.shape))
    for held in np.unique(fold):
        out = fold == held
        found[:, out] = ridge(features[~out], targets[~out], features[out], PENALTIES)
    return found


def ridge(features: Floats, targets: Floats, at: Floats, penalties: Floats) -> Floats:
    """(penalties, rows, targets) predictions by the normal equations, one decomposition for all penalties."""
    centre, middle = features.mean(axis=0), targets.mean(axis=0)
    values, vectors = np.linalg.eigh((features - centre).T @ (features - centre))
    moments = vectors.T @ ((features - centre).T @ (targets - middle))
    placed = (at - centre) @ vectors
    return np.stack([middle + placed @ (moments / (np.maximum(values, 0) + p)[:, None]) for p in penalties])


def _solve(features: Floats, targets: Floats, penalties: Floats, rotation: Floats) -> tuple[Floats, Floats]:
    """Weights (features, 2 + k) and offset (2 + k,) of the regression on all rows, one penalty per rotated target."""
    turned = targets @ rotation
    centre, middle = features.mean(axis=0), turned.mean(axis=0)
    values, vectors = np.linalg.eigh((features - centre).T @ (features - centre))
    moments = vectors.T @ ((features - centre).T @ (turned - middle))
    weights = vectors @ (moments / (np.maximum(values, 0)[:, None] + penalties[None]))
    return weights @ rotation.T, (middle - centre @ weights) @ rotation.T


# ------------------------------------------------------------------------------------------------------------- belief
@dataclass(frozen=True)
class _Belief:
    """How much of the leads is real, by rows that the regressions had not seen."""

    scale: float
    gap: float
    error: float
    routes: bool
    calibration_error: float
    rates: Floats
    cost: Floats
    quality: Floats
    gains: Floats = field(repr=False)

    def gain_by_task(self, tasks: Sequence[str]) -> dict[str, float]:
        named = np.array(tasks)
        return {str(task): float(self.gains[named == task].mean()) for task in sorted(set(tasks))}


def _means_by_fold(targets: _Targets, fold: Ints) -> tuple[Floats, Floats]:
    """(n, k) mean quality and cost of the other folds' rows."""
    quality, cost = np.empty_like(targets.quality), np.empty_like(targets.cost)
    for held in np.unique(fold):
        out = fold == held
        quality[out], cost[out] = targets.quality[~out].mean(axis=0), targets.cost[~out].mean(axis=0)
    return quality, cost


def _sweeps(targets: _Targets, guess: Floats, fold: Ints) -> tuple[Sweep, Sweep, Sweep, Floats]:
    """The router's, the single models' and the oracle's sweeps on held-out rows, and the rates of the first."""
    quality, cost = _means_by_fold(targets, fold)
    merit = quality + guess[:, 2:] - OUTSIDE * targets.outside
    at = rates(merit, cost)
    ours = Sweep.of(choices(merit, cost, at), targets.quality, targets.cost)
    every = np.broadcast_to(np.arange(targets.quality.shape[1]), targets.quality.shape)
    single = Sweep.of(every, targets.quality, targets.cost)
    best = Sweep.of(choices(targets.quality, targets.cost, rates(targets.quality, targets.cost)), targets.quality,
                    targets.cost)  # fmt: skip
    return ours, single, best, at


def _belief(targets: _Targets, fold: Ints, chosen: _Chosen, seed: int) -> _Belief:
    guess = chosen.out_of_fold
    lead, told = targets.lead[:, ~targets.outside], guess[:, 2:][:, ~targets.outside]
    centred = told - told.mean(axis=0)
    size = float((centred**2).sum())
    scale = float(np.clip((centred * lead).sum() / size, 0, 1)) if size > 1e-12 else 0.0
    believed = np.column_stack([guess[:, :2], guess[:, 2:] * scale])
    ours, single, best, at = _sweeps(targets, believed, fold)
    gap = gap_closed(ours, single, best)
    drawn = [gap_closed(ours, single, best, weights) for weights in _drawn(len(lead), seed, BOOTSTRAPS)]
    error = float(np.nanstd(drawn)) if not np.isnan(drawn).all() else float("nan")
    expected = np.clip(targets.mean_quality + believed[:, :1] + believed[:, 2:], 0, 1)
    return _Belief(
        scale=scale,
        gap=gap,
        error=error,
        routes=bool(scale > 0 and _better(lead, told * scale) and gap > -error),
        calibration_error=_calibration_error(expected, targets.quality),
        rates=at,
        cost=ours.cost.mean(axis=0),
        quality=ours.quality.mean(axis=0),
        gains=_gains(targets, believed[:, 2:], *_means_by_fold(targets, fold)),
    )


def _better(lead: Floats, told: Floats) -> bool:
    """Whether leads are told better than by none at all, by the squared errors of held-out rows."""
    return bool(((lead - lead.mean(axis=0)) ** 2).mean() > ((lead - told) ** 2).mean())


def _gains(targets: _Targets, lead: Floats, quality: Floats, cost: Floats) -> Floats:
    """(n,) how much better a row does than at the single model, in quality net of cost, over the rates that matter."""
    at = rates(quality, cost)
    middle = at[(at > 0) & (at < 1e12)]
    at = np.exp(np.linspace(np.log(middle.min()), np.log(middle.max()), 24)) if len(middle) else np.zeros(1)
    merit = quality + lead - OUTSIDE * targets.outside
    ours, plain = choices(merit, cost, at), choices(quality, cost, at)
    mine, theirs = (Sweep.of(each, targets.quality, targets.cost) for each in (ours, plain))
    net: Floats = (mine.quality - theirs.quality) - at * (mine.cost - theirs.cost)
    return np.asarray(net.mean(axis=1))


def _calibration_error(expected: Floats, quality: Floats, bins: int = 10) -> float:
    """The mean distance between expected and true quality over bins of equal size (expected calibration error)."""
    order = np.argsort(expected, axis=None)
    pairs = np.array_split(np.column_stack([expected.ravel()[order], quality.ravel()[order]]), bins)
    return float(sum(len(p) * abs(p[:, 0].mean() - p[:, 1].mean()) for p in pairs if len(p)) / expected.size)


def _carries(parts: _Parts, tasks: Sequence[str], chosen: _Chosen) -> bool:
    """Whether what is learnt on some tasks helps on others, by leaving tasks out: surely (2 standard errors) or not.

    Tasks are left out in a few lots, and the error is that of the tasks' means, as a new task is one draw of them.
    """
    named = np.array(tasks)
    distinct = sorted(set(tasks))
    if len(distinct) < FEWEST_TASKS:
        return False
    gains = np.empty(len(named))
    targets = chosen.targets
    for lot in range(TASK_BUCKETS):
        out = np.isin(named, distinct[lot::TASK_BUCKETS])
        fitted = chosen.fit(parts, ~out)
        absent = np.broadcast_to(parts.task[~out].mean(axis=0), (int(out.sum()), parts.task.shape[1]))
        told = fitted.at(_Parts(parts.latent[out], parts.surface[out], absent), absent)
        held = replace(targets, quality=targets.quality[out], cost=targets.cost[out], all=targets.all[out])
        quality = np.broadcast_to(targets.quality[~out].mean(axis=0), held.quality.shape)
        cost = np.broadcast_to(targets.cost[~out].mean(axis=0), held.cost.shape)
        gains[out] = _gains(held, told[:, 2:], quality, cost)
    by_task = np.array([gains[named == task].mean() for task in distinct])
    return bool(by_task.mean() > SURE * by_task.std(ddof=1) / np.sqrt(len(by_task)))


def _regions(words: Any, latent: Floats, seed: int) -> tuple[Floats, Floats]:
    """(columns, regions) directions in which the training rows lie, and how near a row must be to one to be like them.

    How near a training row is to its own region is measured without the row itself.
    """
    from sklearn.cluster import KMeans

    count = min(REGIONS, max(1, len(latent) // 20))
    mine = KMeans(count, n_init=1, random_state=seed).fit(latent).labels_
    sums = np.stack([np.asarray(words[mine == r].sum(axis=0)).ravel() for r in range(count)])
    squares = (sums**2).sum(axis=1)
    touching = np.asarray((words @ sums.T)[np.arange(len(mine)), mine])
    near = (touching - 1) / np.sqrt(np.maximum(squares[mine] - 2 * touching + 1, 1e-12))
    limits = [np.quantile(near[mine == r], UNLIKE_SHARE) if (mine == r).sum() > 1 else np.inf for r in range(count)]
    return (sums / np.sqrt(np.maximum(squares, 1e-12))[:, None]).T, UNLIKE_SLACK * np.array(limits)
