"""Which values of the table's columns a question names, and whether it wants them in or out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import FleetError
from toolkit.models.embedded.query.table import Table
from toolkit.models.embedded.words import folded

Synonyms = Mapping[str, Mapping[str, tuple[str, ...]]]

_TOKEN = re.compile(r"[^\W_]+(?:'(?!s\b)[^\W_]+)?")
_OUT_BEFORE = re.compile(
    r"\b(?:without|excluding|except|excl|exclude|not counting|not including|leav(?:e|ing) (?:out|aside)|"
    r"minus|less|but|skip(?:ping)?|"
    r"ignor(?:e|ing)|other than|apart from|no|non|not|aside from|never|ohne|ausser|abzuglich|sans|hors|"
    r"sauf|sin|excepto|zonder|behalve|"
    r"senza|tranne|esclus[eoia]|exclu\w*|weder|nicht)\b[^.?!;]{0,40}$"
)
_OUT_AFTER = re.compile(
    r"^[^.?!;]{0,30}?\b(?:out|excluded|exclud\w*|left (?:aside|out)|aside|not (?:counted|included)|(?:do|"
    r"does|should|must)(?: not|n't) count|don't count|"
    r"don't matter|nicht (?:mitgezahlt|mitgerechnet|zahlen)|ausgenommen|exclu\w*|non comptees?|"
    r"no (?:cuentan|incluid\w*)|niet (?:mee\w*|geteld)|esclus[eoia]|"
    r"removed|ignored|deducted|not of interest|set aside|skipped|don't|weglassen|weg|buiten beschouwing)\b"
)
_IN_AFTER = re.compile(
    r"^[^.?!;]{0,25}\b(?:included|as well|inclusive|inklusive|comprises?|incluid[oa]s|inbegrepen|compres[ei]|too)\b"
)
_IN_BEFORE = re.compile(
    r"\b(?:including|incl|inklusive|inclus|y compris|incluso|inclusief|any status|whatever the status)\b[^.?!;]{0,25}$"
)
_SENT = re.compile(
    r"\b(?:but|and|still|yet) not\b|\bnot yet\b|\bstill\b|\bopen\b|\bstatus\b|\bstand\w*\b|\bcurrently\b|"
    r"\bright now\b|\bmarked\b|\bstuck\b"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A value that a question names: of which role, where in the text, and whether it is wanted in or out."""

    role: str
    value: str
    start: int
    end: int
    out: bool = False
    own_name: bool = False


def read_synonyms(path: Path) -> Synonyms:
    """What values are called besides their names: column → value → terms. Raises FleetError for another shape."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {
            column: {value: tuple(term.strip() for term in terms.split(",")) for value, terms in values.items()}
            for column, values in tables.items()
        }
    except (ValueError, AttributeError) as error:
        raise FleetError(f"{path} is no list of synonyms: {error}") from error


class Finder:
    """Finds the table's values in questions by their names, plurals, telling words and synonyms."""

    def __init__(self, table: Table, synonyms: Synonyms) -> None:
        self._terms: dict[str, list[tuple[tuple[str, ...], str, str, bool]]] = {}
        self._codes: dict[str, tuple[str, str]] = {}
        for role, values in table.values.items():
            for value, terms, own in _terms_of(role, values, synonyms):
                for term in terms:
                    parts = tuple(_TOKEN.findall(folded(term).replace("*", "STAR")))
                    if own and len(value) <= 3 and value.isupper():
                        self._codes[term] = (role, value)
                    elif parts:
                        self._terms.setdefault(parts[0][:2], []).append((parts, role, value, own))

    def named(self, question: str) -> list[Named]:
        """The values in a question, in order; a word counts once, and longer names come first."""
        text = folded(question)
        tokens = [(match[0], match.start(), match.end()) for match in _TOKEN.finditer(text)]
        hits: list[tuple[int, int, Named]] = []
        for index, (word, start, _) in enumerate(tokens):
            for parts, role, value, own in self._terms.get(word[:2], ()):
                said = tokens[index : index + len(parts)]
                if len(said) == len(parts) and all(_same(p, w) for p, (w, _, _) in zip(parts, said, strict=True)):
                    hits.append((index, len(parts), Named(role, value, start, said[-1][2], own_name=own)))
        hits.extend(self._coded(question, tokens))
        taken: dict[int, int] = {}
        kept: list[Named] = []
        for index, size, name in sorted(
            hits, key=lambda hit: (-hit[1], -(hit[2].end - hit[2].start), not hit[2].own_name)
        ):
            places = range(index, index + size)
            if all(taken.get(place, index) == index for place in places) and not any(
                k.start == name.start and (k.role != name.role or (k.own_name and not name.own_name)) for k in kept
            ):
                taken.update(dict.fromkeys(places, index))
                if not any((k.role, k.value, k.start) == (name.role, name.value, name.start) for k in kept):
                    kept.append(name)
        return _signed(sorted(kept, key=lambda name: name.start), text)

    def _coded(self, question: str, tokens: list[tuple[str, int, int]]) -> Iterable[tuple[int, int, Named]]:
        """Values that are codes, such as DE and IT, only where they are written in capitals."""
        if question.isupper():
            return
        for match in re.finditer(r"\b[A-Z]{2,3}\b", question):
            place = next((n for n, (word, _, _) in enumerate(tokens) if word == folded(match[0])), None)
            if match[0] in self._codes and place is not None:
                role, value = self._codes[match[0]]
                yield place, 1, Named(role, value, tokens[place][1], tokens[place][2], own_name=True)


def _terms_of(role: str, values: tuple[str, ...], synonyms: Synonyms) -> Iterable[tuple[str, list[str], bool]]:
    """Each value with the terms that stand for it: its name and plural, words only it has, and synonyms."""
    counts: dict[str, int] = {}
    for value in values:
        for word in set(_TOKEN.findall(folded(value))):
            counts[word] = counts.get(word, 0) + 1
    for value in values:
        words = _TOKEN.findall(folded(value))
        short = len(value) <= 3 and value.isupper()
        yield (
            value,
            [value] + ([] if short else [" ".join([*words[:-1], plural]) for plural in _plurals(words[-1])]),
            True,
        )
        if role == "product" and value not in synonyms.get(role, {}):
            telling = [word for word in words if counts[word] == 1 and len(word) >= 4 and word.isalpha()]
            yield value, [form for word in telling for form in (word, *_plurals(word))], False
        yield value, list(synonyms.get(role, {}).get(value, ())), False


def _plurals(word: str) -> list[str]:
    if word.endswith("s"):
        return [word[:-1]] if len(word) > 4 else []
    return [word + "s", word + "es"] if not word.endswith("y") else [word[:-1] + "ies"]


def _same(part: str, word: str) -> bool:
    return word.startswith(part[: -len("STAR")]) if part.endswith("STAR") else part == word


def _signed(names: list[Named], text: str) -> list[Named]:
    """The names with `out` set where the text wants them left out; names joined by "and" share their sign."""
    signed: list[Named] = []
    for index, name in enumerate(names):
        last = index
        while (
            last + 1 < len(names)
            and names[last + 1].role == name.role
            and _joined(text[names[last].end : names[last + 1].start])
        ):
            last += 1
        before, after = text[: name.start], text[names[last].end :]
        out = bool(_OUT_BEFORE.search(before) or _OUT_AFTER.match(after)) and not _IN_AFTER.match(after)
        if signed and signed[-1].role == name.role and _joined(text[signed[-1].end : name.start]):
            out = signed[-1].out
        elif name.role != "status" and out:
            out = bool(
                re.search(
                    r"\b(?:without|excluding|except|excl|exclude|not counting|other than|apart from|ohne|"
                    r"ausser|sans|hors|sauf|sin|excepto|zonder|behalve|senza|tranne)\b[^.?!;,]{0,25}$",
                    before,
                )
            )
        if name.role == "status" and (_IN_AFTER.match(after) or _IN_BEFORE.search(before)):
            continue
        signed.append(Named(name.role, name.value, name.start, name.end, out, name.own_name))
    return signed


def _joined(between: str) -> bool:
    return (
        re.fullmatch(
            r"\s*(?:,|and|or|und|oder|et|ou|y|o|en|of|e|/|\+|&|nor|vs\.?|versus|against|gegen|\s|both|the)*\s*", between
        )
        is not None
    )


def stands(name: Named, text: str) -> bool:
    """Whether a status that is also a verb (shipped, delivered) is meant as where an order stands."""
    around = text[max(0, name.start - 25) : name.end + 30]
    return _SENT.search(around) is not None
