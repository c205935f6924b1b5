"""Words of a text, folded (lower case, without accents); its sentences; terms and concepts found in it."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[^\s\d.,;:!?])|\n+")
_EXTRA = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "’": "'", "‘": "'"})


def folded(text: str) -> str:
    """`text` in lower case and without accents: "Größe" and "grosse" fall together."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(_EXTRA))
    return "".join(char for char in plain if not unicodedata.combining(char))


def words(text: str) -> list[str]:
    """The folded words and numbers of a text, in order."""
    return _WORD.findall(folded(text))


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order."""
    return [piece.strip() for piece in _SENTENCE.split(text) if piece and piece.strip()]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Finds terms in text. A term is a word, a stem with a star ("refund*"), or a phrase ("money back").

    `exact`, `stems` and `phrases` map a term to what it stands for, with a weight.
    """

    exact: Mapping[str, tuple[tuple[str, float], ...]]
    stems: Mapping[str, tuple[tuple[str, float], ...]]
    phrases: Mapping[tuple[str, ...], tuple[tuple[str, float], ...]]
    longest: int

    @classmethod
    def of(cls, terms: Iterable[tuple[str, str, float]]) -> Vocabulary:
        """From (term, what it stands for, weight)."""
        exact: dict[str, list[tuple[str, float]]] = {}
        stems: dict[str, list[tuple[str, float]]] = {}
        phrases: dict[tuple[str, ...], list[tuple[str, float]]] = {}
        for term, meaning, weight in terms:
            parts = tuple(folded(term).split())
            if not parts:
                continue
            if len(parts) > 1:
                phrases.setdefault(parts, []).append((meaning, weight))
            elif parts[0].endswith("*"):
                stems.setdefault(parts[0].rstrip("*"), []).append((meaning, weight))
            else:
                exact.setdefault(parts[0], []).append((meaning, weight))
        return cls(
            {key: tuple(found) for key, found in exact.items()},
            {key: tuple(found) for key, found in stems.items()},
            {key: tuple(found) for key, found in phrases.items()},
            max((len(key) for key in phrases), default=1),
        )

    def found(self, text: str) -> list[tuple[str, float]]:
        """What the terms in `text` stand for, with their weights, in order and with repetitions."""
        said = words(text)
        hits: list[tuple[str, float]] = []
        for index, word in enumerate(said):
            hits.extend(self.exact.get(word, ()))
            for length in range(2, len(word) + 1):
                hits.extend(self.stems.get(word[:length], ()))
            for size in range(2, self.longest + 1):
                hits.extend(self._phrase(tuple(said[index : index + size])))
        return hits

    def _phrase(self, said: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
        if said in self.phrases:
            return self.phrases[said]
        return ()


def read_concepts(path: Path) -> Vocabulary:
    """A vocabulary of concepts from a TOML file with one table `concepts`: name = "comma-separated terms"."""
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("concepts", {})
    return Vocabulary.of((term.strip(), name, 1.0) for name, terms in table.items() for term in terms.split(","))
