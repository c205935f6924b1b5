"""A linear classifier of feature rows with honest probabilities.

Logistic regression (scikit-learn) with a ridge penalty. As there are far more features than rows, it is fitted on the
rows' coordinates in the space that they span, which gives the same weights in a fraction of the time. One temperature,
fitted on scores for rows held out in cross-validation, turns scores into probabilities (Guo et al. 2017, "On
calibration of modern neural networks").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.models.embedded.features import Matrix

FOLDS = 5
STRENGTH = 6.0
"""Inverse of the ridge penalty, chosen by cross-validation on the training part."""


@dataclass(frozen=True)
class Classifier:
    """The weights of each label, and the temperature that turns scores into probabilities."""

    labels: tuple[str, ...]
    weights: Any
    bias: Any
    temperature: float

    def predict(self, features: Matrix) -> tuple[str, float]:
        """The most probable label of one row of features, and its probability."""
        probabilities = self._of(features)
        best = int(probabilities.argmax())
        return self.labels[best], float(probabilities[best])

    def probabilities(self, features: Matrix) -> dict[str, float]:
        """Label → its probability for one row of features."""
        return dict(zip(self.labels, map(float, self._of(features)), strict=True))

    def _of(self, features: Matrix) -> Any:
        return softmax((features @ self.weights + self.bias) / self.temperature)[0]


def train(features: Matrix, given: Sequence[str], *, held_out: int) -> Classifier:
    """A classifier of feature rows into the labels given; the first `held_out` rows serve to calibrate it."""
    import numpy as np

    labels = tuple(sorted(set(given)))
    truth = np.array([labels.index(label) for label in given])
    spanned, back = _coordinates(features)
    model = _regression().fit(spanned, truth)
    weights, bias = back @ model.coef_.T, model.intercept_
    if len(labels) == 2:
        weights, bias = np.hstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    scores = held_out_scores(spanned, truth, held_out)
    return Classifier(labels, weights, bias, _temperature(scores, truth[:held_out]))


def held_out_scores(features: Matrix, truth: Any, held_out: int) -> Any:
    """Scores of the first `held_out` rows by models that did not see them."""
    import numpy as np
    from sklearn.model_selection import KFold

    scores = np.zeros((held_out, int(truth.max()) + 1))
    always = np.arange(held_out, len(truth))
    if held_out < FOLDS:
        return scores
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(scores):
        rows = np.concatenate([seen, always])
        if len(set(truth[rows])) < scores.shape[1]:
            continue
        decided = _regression().fit(features[rows], truth[rows]).decision_function(features[unseen])
        scores[unseen] = np.column_stack([-decided / 2, decided / 2]) if decided.ndim == 1 else decided
    return scores


def softmax(scores: Any) -> Any:
    """Rows of scores as rows of probabilities."""
    import numpy as np

    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _coordinates(features: Matrix) -> tuple[Any, Any]:
    """The rows in an orthonormal basis of the space that they span, and the way from there back to the features."""
    import numpy as np

    values, vectors = np.linalg.eigh((features @ features.T).toarray())
    kept = values > 1e-9 * values.max()
    lengths = np.sqrt(values[kept])
    return vectors[:, kept] * lengths, features.T @ (vectors[:, kept] / lengths)


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3, random_state=0)


def _temperature(scores: Any, truth: Any) -> float:
    """The temperature that makes the held-out labels most likely; above 1 the scores were too sure of themselves."""
    import numpy as np

    rows = np.arange(len(truth))
    choices = np.geomspace(0.2, 8, 60)
    losses = [-np.log(softmax(scores / choice)[rows, truth] + 1e-12).mean() for choice in choices]
    return float(choices[int(np.argmin(losses))])
