"""Three ways to tell ease and leads from a request, and their mean. In: features and targets. Out: linear weights.

* by meaning: ridge on latent semantic features of the words, counts of the surface, and the task;
* by task: the tasks' means, shrunk towards that of all (empirical Bayes with a common prior for each model);
* by words: ridge on all words and pairs of words, about as strong as a logistic regression with scikit-learn's own C.

They err in different ways; their plain mean errs less than each, and fewer things are chosen than by weighing them.
All are linear, so that the mean is one table of weights. How strong the first two shrink is chosen on held-out rows, by
errors of the models that matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.routing.features import Vocabulary
from toolkit.routing.frontier import Floats, Ints
from toolkit.routing.ridge import PENALTIES, out_of_fold, solved, solved_sparse
from toolkit.routing.targets import Targets

SPREAD = 4.0
SURFACE_WEIGHT = 0.2
OWN_SHARE = 0.5
WORDS_PENALTY = 7.0


@dataclass(frozen=True)
class Parts:
    """Features of n requests: sparse `words` (n, columns), `latent` (n, r), `surface` (n, s), `task` (n, t)."""

    words: Any
    latent: Floats
    surface: Floats
    task: Floats

    def take(self, rows: NDArray[Any]) -> Parts:
        return Parts(self.words[rows], self.latent[rows], self.surface[rows], self.task[rows])

    def of_no_task(self, task: Floats) -> Parts:
        """The same requests with their task unknown: `task` (t,) is the shares of the tasks in training."""
        return Parts(self.words, self.latent, self.surface, np.broadcast_to(task, self.task.shape))


@dataclass(frozen=True)
class Scaling:
    """How surface counts are brought to one size: centre and scale (s,), by the training."""

    centre: Floats
    scale: Floats

    @classmethod
    def of(cls, surface: Floats) -> Scaling:
        spread = surface.std(axis=0) + 1e-9
        return cls(surface.mean(axis=0), spread * np.sqrt(surface.shape[1]))

    def of_rows(self, surface: Floats) -> Floats:
        """Standardised, cut at 4 standard deviations, and of length about 1 for each row."""
        limit = SPREAD / np.sqrt(surface.shape[1])
        return np.clip((surface - self.centre) / self.scale, -limit, limit)


@dataclass(frozen=True)
class Weights:
    """A linear predictor of (1 + k) targets, by part of the features."""

    words: Floats
    latent: Floats
    surface: Floats
    task: Floats
    offset: Floats

    def at(self, parts: Parts) -> Floats:
        """(n, 1 + k)"""
        dense: Floats = parts.latent @ self.latent + parts.surface @ self.surface + parts.task @ self.task
        return np.asarray(parts.words @ self.words) + dense + self.offset

    @classmethod
    def mean(cls, many: Sequence[Weights]) -> Weights:
        return cls(*(np.mean([getattr(each, part.name) for each in many], axis=0) for part in fields(cls)))


Fitting = Callable[[Parts, Floats], Weights]


@dataclass(frozen=True)
class Ensemble:
    """The mean of the predictors. `out_of_fold` (n, 1 + k) is what it expects of rows that it has not seen."""

    members: tuple[Fitting, ...]
    penalties: tuple[Floats, ...]
    out_of_fold: Floats

    @classmethod
    def chosen(cls, parts: Parts, targets: Targets, fold: Ints) -> Ensemble:
        """Choose the penalties by the folds, and tell how the ensemble does on them."""
        meaning, own_meaning = _penalised(_by_meaning(parts), targets, fold, own_share=0.0)
        task, own_task = _penalised(parts.task, targets, fold, own_share=OWN_SHARE)
        by_words = np.empty_like(targets.all)
        for held in np.unique(fold):
            out = fold == held
            weights, offset = solved_sparse(parts.words[~out], targets.all[~out], WORDS_PENALTY)
            by_words[out] = parts.words[out] @ weights + offset
        members = (_meaning(meaning), _task(task), _words)
        return cls(members, (meaning, task), (own_meaning + own_task + by_words) / len(members))

    def fit(self, parts: Parts, targets: Floats) -> Weights:
        return Weights.mean([fitting(parts, targets) for fitting in self.members])


def latent_axes(words: Any, size: int, seed: int) -> Floats:
    """(columns, r) axes of the latent space: a truncated singular value decomposition of the rows' words."""
    from sklearn.utils.extmath import randomized_svd

    size = max(1, min(size, min(words.shape) - 1))
    return np.asarray(randomized_svd(words, size, n_iter=2, random_state=seed)[2].T)


def featured(vocabulary: Vocabulary, texts: Sequence[str]) -> tuple[Any, Floats, Scaling]:
    """Words, surface brought to size, and how: of the training rows."""
    words, surface = vocabulary.read(texts)
    scaling = Scaling.of(surface)
    return words, scaling.of_rows(surface), scaling


# --------------------------------------------------------------------------------------------------------- the three
def _by_meaning(parts: Parts) -> Floats:
    return np.hstack([parts.latent, parts.surface * np.sqrt(SURFACE_WEIGHT), parts.task])


def _meaning(penalties: Floats) -> Fitting:
    def fit(parts: Parts, targets: Floats) -> Weights:
        weights, offset = solved(_by_meaning(parts), targets, penalties)
        first = parts.latent.shape[1]
        last = first + parts.surface.shape[1]
        by_surface = weights[first:last] * np.sqrt(SURFACE_WEIGHT)
        return _weights(parts, offset, latent=weights[:first], surface=by_surface, task=weights[last:])

    return fit


def _task(penalties: Floats) -> Fitting:
    def fit(parts: Parts, targets: Floats) -> Weights:
        weights, offset = solved(parts.task, targets, penalties)
        return _weights(parts, offset, task=weights)

    return fit


def _words(parts: Parts, targets: Floats) -> Weights:
    weights, offset = solved_sparse(parts.words, targets, WORDS_PENALTY)
    return _weights(parts, offset, words=weights)


def _weights(parts: Parts, offset: Floats, **told: Floats) -> Weights:
    """Weights with zeros for the parts that a predictor does not look at."""
    sizes = {name: getattr(parts, name).shape[1] for name in ("words", "latent", "surface", "task")}
    return Weights(
        **{name: told.get(name, np.zeros((size, len(offset)))) for name, size in sizes.items()}, offset=offset
    )


def _penalised(features: Floats, targets: Targets, fold: Ints, *, own_share: float) -> tuple[Floats, Floats]:
    """A penalty (1 + k,) for each target, and the predictions on held-out rows with them.

    Leads are judged by the mean over the models that matter, with `own_share` of a model's own errors mixed in.
    """
    guess = out_of_fold(features, targets.all, fold)
    wrong = ((guess - targets.all) ** 2).mean(axis=1)
    alike = wrong[:, 1:] / (targets.lead.var(axis=0) + 1e-9) if own_share else wrong[:, 1:]
    judged = own_share * alike + (1 - own_share) * (alike @ targets.weight)[:, None]
    places = np.append(wrong[:, 0].argmin(), judged.argmin(axis=0))
    return PENALTIES[places], guess[places, :, np.arange(len(places))].T
