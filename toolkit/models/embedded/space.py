"""A space of meanings: any text becomes a vector of length 1, and texts about the same passage come to lie close.

A vector has two parts. The first says how much a text is like each passage of the corpus (explicit semantic analysis,
Gabrilovich & Markovitch 2007), learnt by ridge regression from the passages, their sentences and the training texts
that they answer. The second is latent semantic analysis of the same texts, for whatever the passages do not tell apart.
Of more than 64 passages, the first part is a random projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.models.embedded.features import Terms
from toolkit.models.embedded.model import one_thread
from toolkit.models.embedded.rows import Row
from toolkit.models.embedded.words import Vocabulary, sentences

DIMENSIONS = 128
ANCHORS = 64
RIDGE = 1.0
ANCHOR_WEIGHT = 4.0
WEIGHTS = (1.0, 1.3, 0.5)
"""Of words, pieces of words and concepts; like the ridge chosen by cross-validation on the training part."""


class Space:
    """Fitted on passages and on rows (texts with the ids of the passages that answer them); places any text."""

    def __init__(
        self, passages: Sequence[Row], rows: Sequence[Row], *, column: str, concepts: Vocabulary | None
    ) -> None:
        import numpy as np
        from sklearn.decomposition import TruncatedSVD

        texts, likeness = _lessons(passages, rows, column)
        self._terms = Terms(concepts, weights=WEIGHTS, pairs=False)
        matrix = self._terms.fitted(texts)
        anchors = _anchors(likeness)
        with one_thread():
            near = (matrix @ matrix.T).toarray()
            self._likeness = matrix.T @ np.linalg.solve(near + RIDGE * np.eye(len(texts)), anchors)
            size = max(1, min(DIMENSIONS - anchors.shape[1], min(matrix.shape) - 1))
            self._latent = TruncatedSVD(size, n_iter=4, random_state=0).fit(matrix)

    def of(self, texts: Sequence[str]) -> Any:
        """One row of length 1 for each text; a text without a known term points along the last axis."""
        import numpy as np

        terms = self._terms.of(texts)
        parts = [ANCHOR_WEIGHT * _unit(terms @ self._likeness), _unit(self._latent.transform(terms))]
        vectors = np.zeros((len(texts), DIMENSIONS))
        joined = np.hstack(parts)
        vectors[:, : joined.shape[1]] = joined
        vectors[np.linalg.norm(vectors, axis=1) < 1e-9, -1] = 1.0
        return _unit(vectors)


def passage_text(passage: Row) -> str:
    """A passage as one text, its title first."""
    return "\n".join(str(passage[key]) for key in ("title", "text") if passage.get(key))


def _lessons(passages: Sequence[Row], rows: Sequence[Row], column: str) -> tuple[list[str], Any]:
    """The texts to learn from, and for each which passages it is like (a matrix of zeros and ones)."""
    import numpy as np

    places = {str(passage.get("id")): place for place, passage in enumerate(passages)}
    texts: list[str] = []
    about: list[list[int]] = []
    for place, passage in enumerate(passages):
        pieces = [f"{passage.get('title', '')}. {sentence}" for sentence in sentences(str(passage.get("text", "")))]
        texts += [passage_text(passage), *pieces]
        about += [[place]] * (len(pieces) + 1)
    for row in rows:
        if row.get(column):
            texts.append(str(row[column]))
            about.append([places[name] for name in map(str, row.get("passages") or ()) if name in places])
    likeness = np.zeros((len(texts), len(passages)))
    for number, named in enumerate(about):
        likeness[number, named] = 1.0
    return texts, likeness


def _anchors(likeness: Any) -> Any:
    """The passages' axes: one each, or random ones where there are too many passages."""
    import numpy as np

    count = likeness.shape[1]
    if count <= ANCHORS:
        return likeness
    return likeness @ np.random.default_rng(0).normal(size=(count, ANCHORS)) / ANCHORS**0.5


def _unit(vectors: Any) -> Any:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths < 1e-12, 1.0, lengths)
