"""Four ways to tell ease and leads from a request, and their mixture. In: features and targets. Out: linear weights.

* by meaning: ridge on latent semantic features of the words, counts of the surface, and the task;
* by task: the tasks' means, shrunk towards that of all (empirical Bayes with a common prior for each model);
* by words: ridge on all words, numbers, signs and pairs of them;
* by plain words: the same on words alone, about as strong as a logistic regression with scikit-learn's own C.

They err in different ways, and which errs least differs from fleet to fleet: where few requests tell of many models,
plain words do; where models are few, all that is known. So they are stacked (Wolpert 1992; Breiman 1996): each has the
share, not below zero, with which they tell the leads of held-out rows best, by errors of the models that matter. How
strong the first two shrink is chosen there too. All are linear: the mixture is one table for all words, one for plain
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
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
WORDS_PENALTY, PLAIN_PENALTY = 7.0, 4.0
TOWARDS_EQUAL = 0.1


@dataclass(frozen=True)
class Parts:
    """Features of n requests: `words` and those that are `plain`, sparse (n, columns); `latent` (n, r), `surface`
    (n, s) and `task` (n, t)."""

    words: Any
    plain: Any
    latent: Floats
    surface: Floats
    task: Floats

    def take(self, rows: NDArray[Any]) -> Parts:
        return Parts(self.words[rows], self.plain[rows], self.latent[rows], self.surface[rows], self.task[rows])

    def of_no_task(self, task: Floats) -> Parts:
        """The same requests with their task unknown: `task` (t,) is the shares of the tasks in training."""
        return replace(self, task=np.broadcast_to(task, self.task.shape))


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
    plain: Floats
    latent: Floats
    surface: Floats
    task: Floats
    offset: Floats

    def at(self, parts: Parts) -> Floats:
        """(n, 1 + k)"""
        dense: Floats = parts.latent @ self.latent + parts.surface @ self.surface + parts.task @ self.task
        sparse: Floats = np.asarray(parts.words @ self.words) + np.asarray(parts.plain @ self.plain)
        return sparse + dense + self.offset

    @classmethod
    def mixed(cls, many: Sequence[Weights], shares: Floats) -> Weights:
        return cls(*(np.tensordot(shares, [getattr(each, part.name) for each in many], 1) for part in fields(cls)))


Fitting = Callable[[Parts, Floats], Weights]


@dataclass(frozen=True)
class Ensemble:
    """The predictors and their shares. `out_of_fold` (n, 1 + k) is what it expects of rows that it has not seen."""

    members: tuple[Fitting, ...]
    shares: Floats
    penalties: tuple[Floats, ...]
    out_of_fold: Floats

    @classmethod
    def chosen(cls, parts: Parts, targets: Targets, fold: Ints) -> Ensemble:
        """Choose penalties and shares by the folds, and tell how the ensemble does on them."""
        meaning, own_meaning = _penalised(_by_meaning(parts), targets, fold, own_share=0.0)
        task, own_task = _penalised(parts.task, targets, fold, own_share=OWN_SHARE)
        own_words = _told_sparse(parts.words, targets.all, fold, WORDS_PENALTY)
        own_plain = _told_sparse(parts.plain, targets.all, fold, PLAIN_PENALTY)
        told = np.stack([own_meaning, own_task, own_words, own_plain])
        shares = shares_of(told, targets)
        members = (_meaning(meaning), _task(task), _words, _plain)
        return cls(members, shares, (meaning, task), np.tensordot(shares, told, 1))

    def fit(self, parts: Parts, targets: Floats) -> Weights:
        return Weights.mixed([fitting(parts, targets) for fitting in self.members], self.shares)


def shares_of(told: Floats, targets: Targets) -> Floats:
    """(members,) shares that add up to 1: non-negative least squares of the leads on what each member tells of them.

    `told` (members, n, 1 + k) is of held-out rows. Shares are drawn a little towards equal ones, which decides where
    members tell the same; they are equal where none tells anything.
    """
    from scipy.optimize import nnls

    matter = np.sqrt(targets.weight)
    true = ((targets.lead - targets.lead.mean(axis=0)) * matter).ravel()
    leads = ((told[:, :, 1:] - told[:, :, 1:].mean(axis=1, keepdims=True)) * matter).reshape(len(told), -1).T
    together = leads.sum(axis=1)
    common = max(0.0, float(together @ true) / max(float(together @ together), 1e-300))
    drawn = np.sqrt(TOWARDS_EQUAL * (leads**2).sum(axis=0))
    found: Floats = nnls(np.vstack([leads, np.diag(drawn)]), np.append(true, drawn * common))[0]
    return found / found.sum() if found.sum() > 0 else np.full(len(told), 1 / len(told))


def latent_axes(words: Any, size: int, seed: int) -> Floats:
    """(columns, r) axes of the latent space: a truncated singular value decomposition of the rows' words."""
    from sklearn.utils.extmath import randomized_svd

    size = max(1, min(size, min(words.shape) - 1))
    return np.asarray(randomized_svd(words, size, n_iter=2, random_state=seed)[2].T)


def plain_words(vocabulary: Vocabulary, words: Any) -> Any:
    """(n, columns) the plain words and pairs among all, each row of length 1."""
    from scipy import sparse

    stretched = words.data * vocabulary.plain[words.indices]
    stretched *= np.repeat(vocabulary.stretch(words), np.diff(words.indptr))
    return sparse.csr_matrix((stretched, words.indices, words.indptr), words.shape)


def featured(vocabulary: Vocabulary, texts: Sequence[str]) -> tuple[Any, Floats, Scaling]:
    """Words, surface brought to size, and how: of the training rows."""
    words, surface = vocabulary.read(texts)
    scaling = Scaling.of(surface)
    return words, scaling.of_rows(surface), scaling


# --------------------------------------------------------------------------------------------------------- the four
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


def _plain(parts: Parts, targets: Floats) -> Weights:
    weights, offset = solved_sparse(parts.plain, targets, PLAIN_PENALTY)
    return _weights(parts, offset, plain=weights)


def _weights(parts: Parts, offset: Floats, **told: Floats) -> Weights:
    """Weights with zeros for the parts that a predictor does not look at."""
    sizes = {name: getattr(parts, name).shape[1] for name in ("words", "plain", "latent", "surface", "task")}
    return Weights(
        **{name: told.get(name, np.zeros((size, len(offset)))) for name, size in sizes.items()}, offset=offset
    )


def _told_sparse(features: Any, targets: Floats, fold: Ints, penalty: float) -> Floats:
    """What regressions on the other folds expect of each row."""
    told = np.empty_like(targets)
    for held in np.unique(fold):
        out = fold == held
        weights, offset = solved_sparse(features[~out], targets[~out], penalty)
        told[out] = features[out] @ weights + offset
    return told


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
