"""Ridge regressions: for many strengths at once on a few dense columns, and for one strength on very many sparse ones.

Ridge is shrinkage: a request that shows little is expected to be as the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.routing.frontier import Floats, Ints

PENALTIES = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 1e9])
PRECISE, MOST_STEPS = 1e-4, 200


def ridge(features: Floats, targets: Floats, at: Floats, penalties: Floats) -> Floats:
    """(penalties, rows, targets) predictions by the normal equations, one decomposition for all penalties."""
    centre, middle = features.mean(axis=0), targets.mean(axis=0)
    values, vectors, moments = _decomposed(features - centre, targets - middle)
    placed = (at - centre) @ vectors
    return np.stack([middle + placed @ (moments / (values + p)[:, None]) for p in penalties])


def out_of_fold(features: Floats, targets: Floats, fold: Ints) -> Floats:
    """(penalties, n, targets) what ridge regressions on the other folds expect of each row."""
    found = np.empty((len(PENALTIES), *targets.shape))
    for held in np.unique(fold):
        out = fold == held
        found[:, out] = ridge(features[~out], targets[~out], features[out], PENALTIES)
    return found


def solved(features: Floats, targets: Floats, penalties: Floats) -> tuple[Floats, Floats]:
    """Weights (features, targets) and offset (targets,) of the regression, with one penalty for each target."""
    centre, middle = features.mean(axis=0), targets.mean(axis=0)
    values, vectors, moments = _decomposed(features - centre, targets - middle)
    weights = vectors @ (moments / (values[:, None] + penalties[None]))
    return weights, middle - centre @ weights


def solved_sparse(features: Any, targets: Floats, penalty: float) -> tuple[Floats, Floats]:
    """The same for sparse features and one penalty: by conjugate gradients over the rows, all targets side by side."""
    n = len(targets)
    centre, middle = np.asarray(features.mean(axis=0)).ravel(), targets.mean(axis=0)
    turned = features.T.tocsr()

    def to_weights(dual: Floats) -> Floats:
        return np.asarray(turned @ dual) - np.outer(centre, dual.sum(axis=0))

    def applied(dual: Floats) -> Floats:
        weights = to_weights(dual)
        return np.asarray(features @ weights) - centre @ weights + penalty * dual

    wanted = targets - middle
    dual = np.zeros_like(wanted)
    left, way = wanted.copy(), wanted.copy()
    size = (left**2).sum(axis=0)
    enough = PRECISE**2 * np.maximum(size, 1e-24)
    for _ in range(min(MOST_STEPS, n)):
        if (size <= enough).all():
            break
        image = applied(way)
        step = size / np.maximum((way * image).sum(axis=0), 1e-300)
        dual += step * way
        left -= step * image
        before, size = size, (left**2).sum(axis=0)
        way = left + size / np.maximum(before, 1e-300) * way
    weights = to_weights(dual)
    return weights, middle - centre @ weights


def _decomposed(features: Floats, targets: Floats) -> tuple[Floats, Floats, Floats]:
    values, vectors = np.linalg.eigh(features.T @ features)
    return np.maximum(values, 0), vectors, vectors.T @ (features.T @ targets)
