"""Texts as sparse vectors: words, pieces of words, concepts. scikit-learn is imported when the first is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from toolkit.models.embedded.words import Vocabulary, folded, words

Matrix = Any


class Terms:
    """TF-IDF over words (and their pairs), over pieces of words, and over concepts; each part has a weight."""

    def __init__(
        self,
        concepts: Vocabulary | None = None,
        *,
        weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
        pairs: bool = True,
    ) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        of_words = _runs(words, 2 if pairs else 1)
        of_pieces = {"preprocessor": folded, "analyzer": "char_wb", "ngram_range": (3, 5), "min_df": 2}
        parts: list[tuple[Any, float]] = [
            (TfidfVectorizer(analyzer=of_words, sublinear_tf=True), weights[0]),
            (TfidfVectorizer(sublinear_tf=True, **of_pieces), weights[1]),
        ]
        if concepts is not None:
            names = _names(concepts)
            parts.append((TfidfVectorizer(analyzer=names, sublinear_tf=True), weights[2]))
        self._parts = [part for part in parts if part[1] > 0]

    def fitted(self, texts: Sequence[str]) -> Matrix:
        """Learn which terms there are and how rare each is; the texts as sparse rows."""
        from scipy.sparse import hstack

        return hstack([part.fit_transform(texts) * weight for part, weight in self._parts], format="csr")

    def of(self, texts: Sequence[str]) -> Matrix:
        """One sparse row for each text, after `fitted`."""
        from scipy.sparse import hstack

        return hstack([part.transform(texts) * weight for part, weight in self._parts], format="csr")


def _runs(split: Callable[[str], list[str]], longest: int) -> Callable[[str], list[str]]:
    """An analyzer: the pieces that `split` finds, and runs of up to `longest` of them."""

    def analyze(text: str) -> list[str]:
        pieces = split(text)
        runs = list(pieces)
        for size in range(2, longest + 1):
            runs += [" ".join(pieces[start : start + size]) for start in range(len(pieces) - size + 1)]
        return runs

    return analyze


def _names(concepts: Vocabulary) -> Callable[[str], list[str]]:
    """An analyzer: the concepts that a text mentions."""

    def analyze(text: str) -> list[str]:
        return [name for name, _ in concepts.found(text)]

    return analyze
