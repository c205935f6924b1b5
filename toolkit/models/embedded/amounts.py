"""Amounts of money in text, in English, German, French and neighbouring notations: "1.250,00 €", "€1,250", "79 euros".

A number counts as money by what stands around it. Order numbers, dates, quantities, percentages and measures do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"\d{1,3}(?:[.,'\u00a0\u202f ]\d{3})+(?:[.,]\d{2})?|\d+(?:[.,]\d{1,2})?(?![.,]?\d)"
_MONEY = r"(?:€|eur(?:os?)?\b|euro's\b|ευρώ)"
_MARKED = re.compile(
    rf"{_MONEY}\s*(?P<after>{_NUMBER})|(?<![\w.,/-])(?P<before>{_NUMBER})(?:,-|,–|\s*[-–])?\s*{_MONEY}", re.IGNORECASE
)
_DECIMAL = re.compile(
    r"(?<![\w.,:/-])(?:\d{1,3}(?:[.,]\d{3})+|\d+)[.,]\d{2}(?![\w%:/]|[.,]\d|\s*(?:%|uhr|h\b|am\b|pm\b|kg|"
    r"km|cm|mm|l\b|litre))",
    re.IGNORECASE,
)
_VERB = (
    r"(?:paid|pay(?:s|ing)?|costs?|for only|price[ds]? (?:at|of|was)|worth|spent|charged?|took|bezahlt|"
    r"gezahlt|gekostet|kostet|"
    r"preis von|abgebucht|paye|pay\u00e9|co[u\u00fb]t[e\u00e9]?|pagado|pagu\u00e9|cuesta|betaald|kost|pagato|costa)"
)
_THINGS = (
    r"(?:x|st|times|days?|weeks?|months?|years?|hours?|minutes?|pieces?|pairs?|items?|orders?|kg|mal|"
    r"tagen?|wochen|jours|fois|veces|keer|volte)\b"
)
_PAID = re.compile(
    rf"\b{_VERB}\s+(?:(?:me|us|the|only|full|about|a)\s+){{0,2}}(?P<a>{_NUMBER})(?![\w%./-]|\s*%|\s*{_THINGS})"
    rf"|(?<![\w.,/-])(?P<b>{_NUMBER})\s+(?:off|cheaper|each|i paid|i have paid|in total|all in|bucks)\b"
    rf"|(?:=|\btotal(?: of)?:?)\s*(?P<c>{_NUMBER})(?![\w%/-])",
    re.IGNORECASE,
)
_SPELLED = re.compile(r"\b((?:[a-z]+[\s-]){0,3}[a-z]+)[\s-]+(?:euros?|eur)\b", re.IGNORECASE)
_BARE = re.compile(rf"(?:^|[.!?]\s+)(?P<a>{_NUMBER})\s*(?:[.!?]|$)", re.MULTILINE)

_UNITS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    word: 10 * (n + 2)
    for n, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
}


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in EUR, where it stands, and how plainly it is one (1: marked with the currency)."""

    eur: float
    start: int
    plainness: float


def amounts(text: str) -> list[Amount]:
    """All amounts of money, the plainest first and then in order of the text."""
    found: dict[int, Amount] = {}
    for pattern, plainness in ((_MARKED, 1.0), (_DECIMAL, 0.8), (_PAID, 0.6), (_BARE, 0.3)):
        for match in pattern.finditer(text):
            name = match.lastgroup
            start, words = (match.start(name), match[name]) if name else (match.start(), match[0])
            eur = parsed(words)
            if eur is not None and not any(a.start <= start < a.start + 4 for a in found.values()):
                found.setdefault(start, Amount(eur, start, plainness))
    for match in _SPELLED.finditer(text):
        value = _spelled(match[1])
        if value is not None:
            found.setdefault(match.start(), Amount(float(value), match.start(), 0.7))
    return sorted(found.values(), key=lambda amount: (-amount.plainness, amount.start))


def parsed(number: str) -> float | None:
    """The value of a number in any notation: the last separator is the decimal one unless three digits follow it.

    >>> parsed("1.250,00"), parsed("1,250"), parsed("79,5"), parsed("1 234.50")
    (1250.0, 1250.0, 79.5, 1234.5)
    """
    plain = re.sub(r"['\s\u00a0\u202f]", "", number)
    last = max(plain.rfind("."), plain.rfind(","))
    if last >= 0 and len(plain) - last - 1 != 3:
        plain = re.sub(r"[.,]", "", plain[:last]) + "." + plain[last + 1 :]
    else:
        plain = re.sub(r"[.,]", "", plain)
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if value < 1e9 else None


def _spelled(words: str) -> int | None:
    """The value of the English number at the end of `words`, below a thousand: "paid thirty one" is 31."""
    total, any_found = 0, False
    tail: list[str] = []
    for word in reversed(re.split(r"[\s-]+", words.lower())):
        if word in _UNITS or word in _TENS or word in ("hundred", "and"):
            tail.insert(0, word)
        else:
            break
    for word in tail:
        if word == "hundred":
            total = max(total, 1) * 100
        elif word != "and":
            total += _UNITS.get(word, _TENS.get(word, 0))
        any_found = any_found or word != "and"
    return total if any_found and total >= 1 else None
