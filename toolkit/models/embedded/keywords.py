"""`keywords`: counts the words that give a label away. Knows no grammar and no context, costs next to nothing.

In: a schema whose properties are choices of words, or booleans, that the lexicon has a table for; a section `ticket`.
Out: the label with the most points for each. The confidence comes from the margin over the runner-up.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import FleetError, InvalidRequest
from toolkit.models.embedded.asked import Field, fields, only, subject
from toolkit.models.embedded.model import Embedded
from toolkit.models.embedded.words import Vocabulary
from toolkit.models.function import text_reply
from toolkit.records import Json, Reply, Request

STEEPNESS = 0.7
"""How fast points turn into probability (a softmax's inverse temperature), fitted on the training part."""
YES, NO = (0.7, 0.0), (1.0, 1.4)
"""Slope and start of the logistic curve from a boolean's distance to its threshold, fitted there too."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The terms of one field: points for each label, and what is answered where no term was found."""

    terms: Vocabulary
    labels: tuple[str, ...]
    default: str | None
    threshold: float

    def points(self, text: str) -> dict[str, float]:
        """The points of every label; a term that is repeated counts twice at most."""
        points = dict.fromkeys(self.labels, 0.0)
        seen: dict[tuple[str, float], int] = {}
        for hit in self.terms.found(text):
            seen[hit] = seen.get(hit, 0) + 1
            if seen[hit] <= 2:
                points[hit[0]] += hit[1]
        return points


class Keywords(Embedded):
    """Points for words; see the module."""

    files = ("lexicon",)

    def load(self) -> None:
        self._lexicons = read_lexicons(self._paths["lexicon"])

    def answer(self, request: Request) -> Reply:
        self.chat_only(request)
        if request.output_schema is None:
            raise InvalidRequest(f"{self.spec.name} fills in fields; the request has no output schema")
        text = subject(request)
        wanted = fields(request.output_schema)
        served: dict[str, Json] = {}
        confidences = []
        for field in wanted:
            if field.name in self._lexicons and (field.labels or field.is_boolean):
                served[field.name], confidence = pick(self._lexicons[field.name], field, text)
                confidences.append(confidence)
        if not served:
            raise InvalidRequest(f"{self.spec.name} has no words for any of {', '.join(f.name for f in wanted)}")
        answer = only(wanted, served, self.spec.name)
        return text_reply(request, answer, confidence=min(confidences), model=self.spec.name)


def pick(lexicon: Lexicon, field: Field, text: str) -> tuple[Json, float]:
    """The value of a field, and how probable it is."""
    points = lexicon.points(text)
    if field.is_boolean:
        margin = points.get("true", 0.0) - lexicon.threshold
        slope, start = YES if margin >= 0 else NO
        return margin >= 0, 1 / (1 + math.exp(-abs(margin) * slope - start))
    scores = {label: points.get(label, 0.0) for label in field.labels}
    if lexicon.default in scores:
        scores[lexicon.default] += 0.1
    best = max(scores, key=lambda label: scores[label])
    total = sum(math.exp(STEEPNESS * (score - scores[best])) for score in scores.values())
    return best, 1 / total


def read_lexicons(path: Path) -> dict[str, Lexicon]:
    """The lexicons in a TOML file, by field. Raises FleetError where the file has another shape."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _lexicon(table) for name, table in tables.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise FleetError(f"{path} is no lexicon of labels, weights and terms: {error}") from error


def _lexicon(table: Mapping[str, Json]) -> Lexicon:
    labels: Mapping[str, Mapping[str, str]] = table["labels"]
    terms = Vocabulary.of(
        (term.strip(), label, float(weight))
        for label, weights in labels.items()
        for weight, line in weights.items()
        for term in line.split(",")
    )
    return Lexicon(terms, tuple(labels), table.get("default"), float(table.get("threshold", 1.0)))
