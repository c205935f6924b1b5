"""Graders: small frozen values that judge an answer. Pure.

A grader says a bool (assertion), a number (score) or a word (label), with its reason. `expects` names a column of the
row that holds the truth; where the row has none, there is no grade.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.records import Grade, Json, Reply, Request


@dataclass(frozen=True, slots=True)
class Case:
    """What a grader looks at: the value (plain JSON), the row's fields, the step's inputs, request and reply."""

    value: Json
    fields: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    request: Request | None = None
    reply: Reply | None = None


class Grader:
    """Base of graders: one method."""

    def grade(self, case: Case) -> Grade | None:
        """The grade, or None where there is nothing to judge by."""
        raise NotImplementedError


@dataclass(frozen=True)
class Exact(Grader):
    """The answer (or its `of` field) equals the column `expects`, both None included."""

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        if self.expects not in case.fields:
            return None
        given, truth = _picked(case.value, self.of), case.fields[self.expects]
        return _assertion(self, given == truth, f"{given!r}, expected {truth!r}")


@dataclass(frozen=True)
class Normalised(Grader):
    """As Exact, but case, accents, punctuation and spacing do not count."""

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        truth = case.fields.get(self.expects)
        if truth is None:
            return None
        given = _words(case.value, self.of)
        return _assertion(self, normalised(given) == normalised(str(truth)), f"{given!r}, expected {truth!r}")


@dataclass(frozen=True)
class Contains(Grader):
    """The answer contains one of the strings in the column `expects` (a string or a list), normalised."""

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        truth = case.fields.get(self.expects)
        if truth is None or truth in ("", []):
            return None
        wanted = [str(item) for item in (truth if isinstance(truth, list | tuple) else [truth])]
        given = f" {normalised(_words(case.value, self.of))} "
        found = next((item for item in wanted if f" {normalised(item)} " in given), None)
        return _assertion(self, found is not None, f"contains {found!r}" if found else f"none of {wanted!r} is in it")


@dataclass(frozen=True)
class Numeric(Grader):
    """The number in the answer equals the column `expects` within `tolerance`."""

    expects: str
    of: str | None = None
    tolerance: float = 1e-6

    def grade(self, case: Case) -> Grade | None:
        truth = _number(case.fields.get(self.expects))
        if truth is None:
            return None
        given = _number(_picked(case.value, self.of))
        right = given is not None and math.isclose(given, truth, rel_tol=self.tolerance, abs_tol=self.tolerance)
        return _assertion(self, right, f"{given}, expected {truth}")


@dataclass(frozen=True)
class Grounded(Grader):
    """The share of the answer's words that stand in the inputs named: 1 is an answer that invents nothing."""

    sources: tuple[str, ...]
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        words = set(normalised(_words(case.value, self.of)).split())
        if not words:
            return Grade(repr(self), "score", 0.0, reason="the answer is empty")
        known = set(normalised(" ".join(str(case.inputs.get(name, "")) for name in self.sources)).split())
        share = len(words & known) / len(words)
        strange = sorted(words - known)[:5]
        return Grade(repr(self), "score", share, reason=f"not in the sources: {', '.join(strange)}" if strange else "")


@dataclass(frozen=True)
class Recorded(Grader):
    """The score that a recorded outcome carries."""

    def grade(self, case: Case) -> Grade | None:
        score = case.reply.score if case.reply else None
        return None if score is None else Grade(repr(self), "score", score, reason="recorded")


@dataclass(frozen=True)
class Confidence(Grader):
    """The model's own confidence as a score; an answer without one gets no grade."""

    def grade(self, case: Case) -> Grade | None:
        confidence = case.reply.confidence if case.reply else None
        return None if confidence is None else Grade(repr(self), "score", confidence, reason="the model's own word")


def grounded(*sources: str, of: str | None = None) -> Grounded:
    """`Grounded` in the inputs named."""
    return Grounded(sources, of)


def normalised(text: str) -> str:
    """Lower case, without accents and punctuation, single spaces; numbers keep their point."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = re.sub(r"(?<=\d)[.,](?=\d)", "·", plain)
    return " ".join(re.sub(r"[^\w·]+", " ", plain).split())


def _assertion(grader: Grader, right: bool, reason: str) -> Grade:
    return Grade(repr(grader), "assertion", float(right), reason=reason)


def _picked(value: Json, field_name: str | None) -> Json:
    if field_name is None:
        return value
    return value.get(field_name) if isinstance(value, Mapping) else None


def _words(value: Json, field_name: str | None) -> str:
    picked = _picked(value, field_name)
    return "" if picked is None else str(picked)


def _number(value: Json) -> float | None:
    """A number as it is, or the last one in a text: 1,234.5 and 1.234,5 and 1 234.5 are one number, 1,234 is 1234."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    found = re.findall(r"[-−]?\d+(?:[.,\u00a0\u202f]\d+)*", str(value))
    return _parsed(found[-1].replace("−", "-")) if found else None


def _parsed(text: str) -> float:
    """A number out of digits and separators; of two kinds the last is the point, one kind that recurs groups digits."""
    digits = re.sub(r"\s", "", text)
    marks = re.sub(r"[^.,]", "", digits)
    if (len(marks) > 1 and len(set(marks)) == 1) or re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", digits):
        return float(re.sub("[.,]", "", digits))
    whole, point, fraction = digits.rpartition(marks[-1:] or ".")
    return float(f"{re.sub('[.,]', '', whole)}.{fraction}" if point else digits)
