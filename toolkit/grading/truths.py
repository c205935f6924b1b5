"""Answers held against a truth that a column of the row holds."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from toolkit.grading.grader import Case, Grader, assertion, listed, normalised, picked, score, words
from toolkit.records import Grade, Json


@dataclass(frozen=True)
class Exact(Grader):
    """The answer (or its `of` field) equals the column `expects`, both None included."""

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        if self.expects not in case.fields:
            return None
        given, truth = picked(case.value, self.of), case.fields[self.expects]
        return assertion(self, given == truth, f"{given!r}, expected {truth!r}")


@dataclass(frozen=True)
class Normalised(Grader):
    """As Exact, but case, accents, punctuation and spacing do not count."""

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        truth = case.fields.get(self.expects)
        if truth is None:
            return None
        given = words(case.value, self.of)
        return assertion(self, normalised(given) == normalised(str(truth)), f"{given!r}, expected {truth!r}")


@dataclass(frozen=True)
class Contains(Grader):
    """The answer contains one of the strings in the column `expects` (a string or a list), normalised."""

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        wanted = [str(item) for item in listed(case.fields.get(self.expects)) if normalised(str(item))]
        if not wanted:
            return None
        given = f" {normalised(words(case.value, self.of))} "
        found = next((item for item in wanted if f" {normalised(item)} " in given), None)
        return assertion(self, found is not None, f"contains {found!r}" if found else f"none of {wanted!r} is in it")


@dataclass(frozen=True)
class Numeric(Grader):
    """The number in the answer equals the column `expects` within `tolerance`, as a share of it or in itself."""

    expects: str
    of: str | None = None
    tolerance: float = 1e-6

    def grade(self, case: Case) -> Grade | None:
        truth = _number(case.fields.get(self.expects))
        if truth is None:
            return None
        given = _number(picked(case.value, self.of))
        right = given is not None and math.isclose(given, truth, rel_tol=self.tolerance, abs_tol=self.tolerance)
        return assertion(self, right, f"{given}, expected {truth}")


@dataclass(frozen=True)
class TokenF1(Grader):
    """How many words answer and truth share: the harmonic mean of precision and recall over normalised words.

    Of several truths in the column `expects` the nearest counts. Source: SQuAD (arXiv 1606.05250), but that articles
    such as "the" count as words.
    """

    expects: str
    of: str | None = None

    def grade(self, case: Case) -> Grade | None:
        truths = [normalised(str(item)).split() for item in listed(case.fields.get(self.expects))]
        if not truths:
            return None
        given = normalised(words(case.value, self.of)).split()
        best = max(truths, key=lambda truth: _f1(given, truth))
        shared = _shared(given, best)
        return score(self, _f1(given, best), f"{shared} words shared of {len(given)} given and {len(best)} expected")


_DIGITS = r"(?:\d+(?:[.,\u00a0\u202f]\d+)*|\.\d+)(?:[eE][-+−]?\d{1,3}\b)?"
_ALONE = re.compile(rf"(?:(?<!\w)[-−])?(?<![\w.]){_DIGITS}")
_ANYWHERE = re.compile(rf"(?:(?<!\w)[-−])?{_DIGITS}")


def _shared(given: list[str], truth: list[str]) -> int:
    return (Counter(given) & Counter(truth)).total()


def _f1(given: list[str], truth: list[str]) -> float:
    if not given and not truth:
        return 1.0
    return 2 * _shared(given, truth) / (len(given) + len(truth))


def _number(value: Json) -> float | None:
    """A number as it is, or the last one in a text: 1,234.5 and 1.234,5 and 1 234.5 are one number, 1,234 is 1234.

    One that is a part of a word, as in m2, counts only where there is no other.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    found = _ALONE.findall(str(value)) or _ANYWHERE.findall(str(value))
    return _parsed(found[-1].replace("−", "-")) if found else None


def _parsed(text: str) -> float:
    """A number out of digits and separators; of two kinds the last is the point, one kind that recurs groups digits."""
    digits, e, power = re.sub(r"\s", "", text).lower().partition("e")
    marks = re.sub(r"[^.,]", "", digits)
    if (len(marks) > 1 and len(set(marks)) == 1) or re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", digits):
        return float(re.sub("[.,]", "", digits) + e + power)
    whole, point, fraction = digits.rpartition(marks[-1:] or ".")
    return float((f"{re.sub('[.,]', '', whole)}.{fraction}" if point else digits) + e + power)
