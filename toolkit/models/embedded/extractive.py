"""`extractive`: answers by quoting. It writes no sentence of its own, except to read out rows of facts.

In: a section `ticket` or `question`, and `passages` (a JSON list of {id, title, text}) or `facts` (a JSON list of row
objects) or both. Out: {"answer", "sources"} where a schema asks for it, else the answer as text. Settings: those of the
embedder, so that the two agree on what is near.

The one to three sentences quoted are those that fit best: by the words, pieces of words and concepts that they share
with the question, and by how near passage and question are. The confidence is the probability that the quote holds
the answer, a logistic curve over the fit; it is low where nothing fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.asked import Field, fields, only, sections, subject
from toolkit.models.embedded.embedder import column, concepts, taught
from toolkit.models.embedded.facts import told
from toolkit.models.embedded.features import Terms
from toolkit.models.embedded.model import Embedded
from toolkit.models.embedded.rows import Row, read_rows
from toolkit.models.embedded.space import Space, passage_text
from toolkit.models.embedded.words import sentences
from toolkit.models.function import text_reply
from toolkit.records import Json, Reply, Request

ANSWERS = ("answer", "reply", "text")
SOURCES = ("sources", "passages", "quotes", "source_ids")
QUOTED = 3
SHARED, NEAR, NUMBERED = 0.6, 0.4, 0.2
"""Weights of shared terms, of a near passage and of a number in the sentence; chosen on the training part."""
LEAST = 0.5
"""A second or third sentence is quoted where it fits at least this well, relative to the best."""
SLOPE, MIDDLE = 7.1, 0.52
"""Of the logistic curve from fit to confidence, fitted on held-out questions of the training part."""

ALONGSIDE = 0.6
"""Beside facts, passages are quoted only where they hold an answer at least this probably."""
OF_FACTS, OF_NO_FACTS = 0.9, 0.6
"""Confidence in facts told, and in telling that there are none: the query may have been the wrong one."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage, and how well it fits the question."""

    source: str
    place: int
    text: str
    fit: float


class Extractive(Embedded):
    """Quotes sentences, or reads out facts; see the module."""

    files = ("corpus",)

    def load(self) -> None:
        passages, rows = read_rows(self._paths["corpus"]), taught(self.spec)
        vocabulary = concepts(self.spec)
        terms = Terms(vocabulary, pairs=False)
        terms.fitted(
            [passage_text(passage) for passage in passages] + [str(row.get(column(self.spec), "")) for row in rows]
        )
        self._quoter = Quoter(terms, Space(passages, rows, column=column(self.spec), concepts=vocabulary))

    def answer(self, request: Request) -> Reply:
        self.chat_only(request)
        text, sources, confidence = self._answered(request)
        answer: Json = text
        if request.output_schema is not None:
            answer = self._filled(fields(request.output_schema), text, sources)
        return text_reply(request, answer, confidence=confidence, model=self.spec.name)

    def _answered(self, request: Request) -> tuple[str, list[str], float]:
        """The answer, the ids of the passages it quotes, and the confidence."""
        found = sections(request)
        if "passages" not in found and "facts" not in found:
            raise InvalidRequest(
                f"{self.spec.name} answers from a section `passages` or `facts`; the request has neither"
            )
        facts = [row if isinstance(row, Mapping) else {"value": row} for row in self._listed(found, "facts")]
        quotes = self._quoter.quotes(subject(request, ("question", "ticket")), self._passages(found))
        likely = probability(quotes)
        if facts and likely < ALONGSIDE:
            quotes = []
        quoted = " ".join(quote.text for quote in quotes)
        sources = list(dict.fromkeys(quote.source for quote in quotes))
        if facts:
            return f"{told(facts)}\n{quoted}".strip(), sources, OF_FACTS
        if quotes:
            return quoted, sources, likely
        if "passages" in found:
            return "No passage answers this.", [], likely
        return told(facts), [], OF_NO_FACTS

    def _passages(self, found: Mapping[str, str]) -> list[Row]:
        given = enumerate(self._listed(found, "passages"))
        return [dict(item) if isinstance(item, Mapping) else {"id": str(n), "text": str(item)} for n, item in given]

    def _filled(self, wanted: Sequence[Field], text: str, sources: list[str]) -> dict[str, Json]:
        served: dict[str, Json] = {}
        for field in wanted:
            if field.name in ANSWERS and (not field.types or "string" in field.types):
                served[field.name] = text
            elif field.name in SOURCES and (not field.types or "array" in field.types):
                served[field.name] = sources
        if not any(field.name in ANSWERS for field in wanted):
            raise InvalidRequest(f"{self.spec.name} fills in `answer` and `sources`; the schema has no `answer`")
        return only(wanted, served, self.spec.name)

    def _listed(self, found: Mapping[str, str], name: str) -> list[Any]:
        """The JSON list of a section; a single object counts as a list of one, a missing section as none."""
        try:
            value = orjson.loads(found.get(name, "null").strip() or "null")
        except ValueError as error:
            raise InvalidRequest(
                f"{self.spec.name} reads the section `{name}` as JSON, and it is none: {error}"
            ) from error
        if value is None:
            return []
        return value if isinstance(value, list) else [value]


class Quoter:
    """Chooses sentences of passages for a question."""

    def __init__(self, terms: Terms, space: Space) -> None:
        self._terms = terms
        self._space = space

    def quotes(self, question: str, passages: Sequence[Row]) -> list[Quote]:
        """The one to three best sentences, in the order of the passages."""
        found = [
            (number, str(passage.get("id", number)), sentence)
            for number, passage in enumerate(passages)
            for sentence in sentences(str(passage.get("text", "")))
        ]
        if not found:
            return []
        near = self._space.of([passage_text(passage) for passage in passages]) @ self._space.of([question])[0]
        shared = (self._terms.of([sentence for _, _, sentence in found]) @ self._terms.of([question]).T).toarray()[
            :, 0
        ] / 3
        ranked = sorted(
            (
                Quote(source, place, sentence, _fit(float(shared[place]), float(near[number]), sentence))
                for place, (number, source, sentence) in enumerate(found)
            ),
            key=lambda quote: (-quote.fit, quote.place),
        )
        chosen = [quote for quote in ranked[:QUOTED] if quote.fit >= LEAST * ranked[0].fit]
        return sorted(chosen, key=lambda quote: quote.place)


def probability(quotes: Sequence[Quote]) -> float:
    """The probability that the quotes hold the answer."""
    best = max((quote.fit for quote in quotes), default=-9.0)
    return 1 / (1 + math.exp(-SLOPE * (best - MIDDLE)))


def _fit(shared: float, near: float, sentence: str) -> float:
    return SHARED * shared + NEAR * near + NUMBERED * any(char.isdigit() for char in sentence)
