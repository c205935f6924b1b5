"""Calendar dates in text, in six languages, and periods of them; years and relative words are completed from a day
that the caller gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from toolkit.models.embedded.words import folded

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier enero januari gennaio jan janner",
            "february februar fevrier febrero februari febbraio feb febr feber",
            "march marz mars marzo maart maerz mar",
            "april avril abril aprile apr avr",
            "may mai mayo mei maggio",
            "june juni juin junio giugno jun",
            "july juli juillet julio luglio jul",
            "august aout agosto augustus aug",
            "september septembre septiembre settembre sep sept",
            "october oktober octobre octubre ottobre oct okt",
            "november novembre noviembre nov",
            "december dezember decembre diciembre dicembre dec dez",
        ),
        start=1,
    )
    for name in names.split()
}
MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_YEAR = r"(?:\s*,?\s*(?:de |del |of )?(?P<y>\d{4}|'\d\d)\b)?"
_PATTERNS = [
    (re.compile(pattern), plainness)
    for pattern, plainness in (
        (r"\b(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})\b", 1.0),
        (r"(?<![\d.,])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4}|\d\d)?(?![\d,])", 0.95),
        (r"(?<![\d/])(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4}|\d\d)\b", 0.95),
        (rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|\.|º|e|de|ste)?\s*(?:of |de |-)?\s*(?P<n>{MONTH})\b{_YEAR}", 0.95),
        (rf"(?<![-–])\b(?P<n>{MONTH})\.?\s+(?:the )?(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?![.,:]?\d){_YEAR}", 0.95),
        (
            r"\b(?:on|since|from|am|vom|seit|le|du|el|del|il|dal|op|sinds|"
            r"dated) (?P<d>\d{1,2})/(?P<m>\d{1,2})(?![\d/])",
            0.6,
        ),
        (r"\b(?:on|since|from|until|by|of|before|after) the (?P<d>\d{1,2})(?:st|nd|rd|th)\b", 0.7),
        (r"\b(?:am|vom|seit dem|bis zum|zum) (?P<d>\d{1,2})\.(?!\s?\d)(?=\s|$)", 0.6),
        (r"\b(?:le|du|el|del|op de|sinds de|il|dal) (?P<d>\d{1,2})(?:er|e)?\b(?!\s*(?:%|euro|eur|€|h\b|[a-z]))", 0.5),
    )
]
RELATIVE = {
    "day before yesterday": -2, "vorgestern": -2, "avant-hier": -2, "anteayer": -2,
    "eergisteren": -2, "l'altro ieri": -2,
    "yesterday": -1, "gestern": -1, "hier": -1, "ayer": -1, "gisteren": -1, "ieri": -1,
}  # fmt: skip
"""Words for days past. "Today" and "tomorrow" are left out: they rarely are the date that a text is about."""
_RELATIVE = re.compile(
    r"\b(?:" + "|".join(re.escape(word) for word in sorted(RELATIVE, key=len, reverse=True)) + r")\b"
)
_AGO = re.compile(
    r"\b(?:(?P<a>\d{1,3}|two|three|four|five|six) days ago|vor (?P<b>\d{1,3}) tagen|il y a (?P<c>\d{1,3}) jours|"
    r"hace (?P<e>\d{1,3}) dias|(?P<f>\d{1,3}) (?:dagen geleden|giorni fa))\b"
)
_FRENCH = re.compile(r"\b(?:je|le|la|les|est|une|des|vous|mon|ma|j'ai|pas|pour)\b")
_COUNTED = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


@dataclass(frozen=True, slots=True)
class Mention:
    """A day that is named in a text: where, and how plainly (relative words are the least plain)."""

    day: date
    start: int
    end: int
    plainness: float


def mentions(text: str, around: date | None) -> list[Mention]:
    """The days named in `text`, the plainest first. Without `around`, only dates with their year are found."""
    plain = folded(text)
    found: list[Mention] = []
    for pattern, plainness in _PATTERNS:
        for match in pattern.finditer(plain):
            day = _day(match, around)
            if day is not None and not any(m.start < match.end() and match.start() < m.end for m in found):
                found.append(Mention(day, match.start(), match.end(), plainness))
    if around is not None:
        found.extend(_relative(plain, around))
    return sorted(found, key=lambda mention: (mention.plainness < 0.5, mention.start))


def full_year(year: str, around: date | None = None) -> int:
    """A year of two or four digits as a number."""
    digits = year.lstrip("'")
    return int(digits) if len(digits) == 4 else 2000 + int(digits)


def nearest(month: int, day: int, around: date) -> date | None:
    """The day of that month which is closest to `around`."""
    days = [found for year in (around.year - 1, around.year, around.year + 1) if (found := _valid(year, month, day))]
    return min(days, key=lambda found: abs((found - around).days)) if days else None


def iso(text: str | None) -> date | None:
    """The date at the start of an ISO stamp, or None."""
    match = re.match(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})", text or "")
    return _valid(*(int(part) for part in match.groups())) if match else None


def _day(match: re.Match[str], around: date | None) -> date | None:
    parts = match.groupdict()
    day = int(parts["d"])
    month = MONTHS[parts["n"]] if parts.get("n") else int(parts["m"]) if parts.get("m") else None
    if parts.get("y") and month:
        year = full_year(parts["y"])
        return _valid(year, month, day) if 1990 <= year <= 2100 else None
    if around is None:
        return None
    if month:
        return nearest(month, day, around)
    before = around.replace(day=1) - timedelta(days=1)
    days = [found for ref in (around, before) if (found := _valid(ref.year, ref.month, day)) and found <= around]
    return days[0] if days else None


def _relative(plain: str, around: date) -> Iterator[Mention]:
    french = bool(_FRENCH.search(plain))
    for match in _RELATIVE.finditer(plain):
        if match[0] == "hier" and not french:
            continue
        yield Mention(around + timedelta(days=RELATIVE[match[0]]), match.start(), match.end(), 0.4)
    for match in _AGO.finditer(plain):
        number = next(match[name] for name in "abcef" if match[name])
        yield Mention(around - timedelta(days=_COUNTED.get(number) or int(number)), match.start(), match.end(), 0.4)


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
