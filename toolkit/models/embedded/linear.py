"""`linear`: a linear text classifier, trained on labelled rows when it is first asked.

In: a schema whose properties are choices of words, or booleans, that the training rows have a column for; a section
`ticket`. Out: the most probable label for each; the confidence is the smallest of their probabilities.

Settings: `training` (rows with a text column, named by `text`, and a column for each label), `examples` (further such
rows, not all of them with all columns), `concepts` and `hints` (files of words). The features are TF-IDF over words,
pieces of words and concepts, the points that the hints give, and a few signs of a question about orders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.asked import Field, fields, only, subject
from toolkit.models.embedded.classifier import Classifier, train
from toolkit.models.embedded.features import Matrix, Terms
from toolkit.models.embedded.keywords import Lexicon, read_lexicons
from toolkit.models.embedded.model import Embedded, one_thread
from toolkit.models.embedded.query import cues
from toolkit.models.embedded.rows import read_rows, training_rows
from toolkit.models.embedded.words import folded, read_concepts
from toolkit.models.function import text_reply
from toolkit.records import Json, Reply, Request

HINT_WEIGHT = 0.12
SIGN_WEIGHT = 0.15


class Linear(Embedded):
    """A trained classifier for each labelled column; see the module."""

    files = ("training",)

    def load(self) -> None:
        settings = self.spec.settings
        column = str(settings.get("text", "ticket"))
        own = [row for row in training_rows(self._paths["training"]) if row.get(column)]
        more = read_rows(self.spec.path("examples")) if "examples" in settings else []
        self._rows = own + [row for row in more if row.get(column)]
        self._own = len(own)
        concepts = read_concepts(self.spec.path("concepts")) if "concepts" in settings else None
        lexicons = read_lexicons(self.spec.path("hints")) if "hints" in settings else {}
        self._texts = Texts(Terms(concepts), list(lexicons.values()))
        self._matrix = self._texts.fitted([str(row[column]) for row in self._rows])
        self._classifiers: dict[tuple[str, tuple[str, ...]], Classifier] = {}

    def answer(self, request: Request) -> Reply:
        self.chat_only(request)
        if request.output_schema is None:
            raise InvalidRequest(f"{self.spec.name} fills in fields; the request has no output schema")
        wanted = fields(request.output_schema)
        features = self._texts.of([subject(request)])
        served: dict[str, Json] = {}
        confidences = []
        for field in wanted:
            classifier = self._classifier(field)
            if classifier is not None:
                label, probability = classifier.predict(features)
                served[field.name] = label == "True" if field.is_boolean else label
                confidences.append(probability)
        if not served:
            raise InvalidRequest(f"{self.spec.name} was trained on none of {', '.join(f.name for f in wanted)}")
        answer = only(wanted, served, self.spec.name)
        return text_reply(request, answer, confidence=min(confidences), model=self.spec.name)

    def _classifier(self, field: Field) -> Classifier | None:
        """The classifier of a column, trained at its first use; None where the rows do not teach that field."""
        labels = ("False", "True") if field.is_boolean else field.labels
        key = field.name, labels
        if key not in self._classifiers:
            chosen = [n for n, row in enumerate(self._rows) if str(row.get(field.name)) in labels]
            given = [str(self._rows[n][field.name]) for n in chosen]
            if len(set(given)) < 2:
                return None
            with one_thread():
                held_out = sum(n < self._own for n in chosen)
                self._classifiers[key] = train(self._matrix[chosen], given, held_out=held_out)
        return self._classifiers[key]


class Texts:
    """Texts as features: their terms, for each lexicon the points of its labels, and the signs of a question."""

    def __init__(self, terms: Terms, lexicons: Sequence[Lexicon]) -> None:
        self._terms = terms
        self._lexicons = lexicons

    def fitted(self, texts: Sequence[str]) -> Matrix:
        """Learn the terms of the texts; the texts as rows."""
        return self._joined(self._terms.fitted(texts), texts)

    def of(self, texts: Sequence[str]) -> Matrix:
        """One row for each text, after `fitted`."""
        return self._joined(self._terms.of(texts), texts)

    def _joined(self, terms: Matrix, texts: Sequence[str]) -> Matrix:
        from scipy.sparse import csr_matrix, hstack

        return hstack([terms, csr_matrix([self._signs(text) for text in texts])], format="csr")

    def _signs(self, text: str) -> list[float]:
        plain = folded(text)
        points = [point**0.5 for lexicon in self._lexicons for point in lexicon.points(text).values()]
        seen = [*cues.shown(plain), "?" in text, re.search(r"\b[a-z]-?\d{4,}", plain) is not None]
        return [HINT_WEIGHT * point for point in points] + [SIGN_WEIGHT * sign for sign in seen]
