"""What rows look like, in numbers: length, language, terms never seen before, fields that are missing. Pure.

The language is a guess by script and by the commonest little words; it is meant for telling days apart, not texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from toolkit.records import Json

WORD = re.compile(r"[^\W\d_]{2,}")
LITTLE_WORDS = {
    "en": "the and to of in is it that for you my not have with was this on are but be",
    "de": "der die und ich ist nicht das es ein zu mit den auf für sie von eine habe dem wir",
    "fr": "le la les de et je est pas que un une pour dans mon vous ne sur en avec ai",
    "es": "el la los de que y no es un una por mi con para se lo en he del al",
    "it": "il la di che non un una per è mi con del ho le sono si in della ma lo",
    "nl": "de het een en ik is niet van dat in op mijn met te voor zijn heb er aan om",
    "pt": "o a os de que e não um uma para com do da em meu se por no na mais",
}
_LISTED = {language: frozenset(words.split()) for language, words in LITTLE_WORDS.items()}
LONGEST = 2_000


def text_of(fields: Mapping[str, Json]) -> str:
    """All words of a row."""
    return "\n".join(str(value) for value in fields.values() if isinstance(value, str))


def terms(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(text[:LONGEST].lower())


def language(text: str) -> str:
    """The likeliest language, the name of the script where it is not Latin, or "unknown"."""
    letters = [char for char in text[:LONGEST] if char.isalpha()]
    if not letters:
        return "unknown"
    scripts = Counter(unicodedata.name(char, "UNKNOWN").split()[0].lower() for char in letters[:200])
    script = scripts.most_common(1)[0][0]
    if script != "latin":
        return script
    words = Counter(terms(text))
    known = {name: sum(words[word] for word in listed) for name, listed in _LISTED.items()}
    best = max(known, key=lambda name: known[name])
    return best if known[best] else "unknown"


def missing_share(fields: Mapping[str, Json], columns: Sequence[str]) -> float:
    """Which share of these columns a row has nothing in."""
    empty = sum(fields.get(column) in (None, "", [], {}) for column in columns)
    return empty / len(columns) if columns else 0.0


def unseen_share(text: str, known: frozenset[str]) -> float:
    """Which share of a text's words is not among the known."""
    words = terms(text)
    return sum(word not in known for word in words) / len(words) if words else 0.0


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """All words of some texts."""
    return frozenset(word for text in texts for word in terms(text))
