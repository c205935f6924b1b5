"""The words by which a question shows what it wants. The patterns are in cues.toml, in six languages.

All functions take folded text (lower case, no accents).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TIMES = ("month", "quarter", "year", "week", "weekday", "day")
"""Groups that are made of the day of the order, not of a column."""
_AFTER = (
    r"(?:per|by|each of (?:our|the)(?: \w+)?|each|every|je|pro|nach|par|chaque|por|cada|iedere?|elke?|"
    r"ogni|according to|grouped by|across|among)"
)
_BESIDE = r"(?:order|single|calendar|individual|delivery|sales|different|der|the|our|of the)"
_ASKED = (
    r"(?:which|what|whose|who|welche[nrs]?|quel\w*|cual\w*|que|welke?|quale|quali|che|best|worst|top|"
    r"strongest|busiest|slowest|fastest|"
    r"leading|lowest|highest|weakest|most popular|biggest|favou?rite|(?:best|top|worst)[- ]selling|\d{1,2}|{numbers})"
)
_BETWEEN = (
    r"(?:of|is|are|was|were|our|the|my|three|two|four|five|ten|best|top|worst|strongest|biggest|single|"
    r"parcel|delivery|shipping|most|least|popular|loyal|"
    r"best-selling|selling|valuable|expensive|del?|der|dei|unser\w*|meilleurs|mejores|migliori|beste[n]?|favou?rite)"
)
_MOST = r"(?:el |la |le |lo )?(?:mas|plus|piu|am haufigsten|am meisten|meist\w*)"
_THE = r"(?:the|our|das|der|die|le|la|el|il|lo)"
_THAT = r"(?:that|which|who|with|der|die|das|qui|que|che|mit)"
NUMBERS = {
    word: number
    for number, words in {
        2: "two zwei deux dos twee due", 3: "three drei trois tres drie tre", 4: "four vier quatre",
        5: "five funf cinq cinco vijf cinque", 6: "six", 7: "seven", 8: "eight", 9: "nine",
        10: "ten zehn dix diez tien dieci",
    }.items()
    for word in words.split()
}  # fmt: skip


@dataclass(frozen=True)
class Cues:
    """The compiled patterns: of cues (those of columns under "wants ..."), and of groups told in two ways."""

    cues: Mapping[str, re.Pattern[str]]
    groups: Mapping[str, str]
    after: Mapping[str, re.Pattern[str]]
    asked: Mapping[str, re.Pattern[str]]


def has(cue: str, text: str) -> bool:
    """Whether the text shows that cue."""
    return _patterns().cues[cue].search(text) is not None


def number(cue: str, text: str) -> int | None:
    """The number in a cue, e.g. 5 in "top five"."""
    for match in _patterns().cues[cue].finditer(text):
        around = text[max(0, match.start() - 12) : match.end()]
        found = re.search(rf"\b(?:\d{{1,2}}|{'|'.join(NUMBERS)})\b", around)
        if found:
            return NUMBERS.get(found[0]) or int(found[0])
    return None


def wants(text: str) -> list[str]:
    """The roles of the columns that the text asks to see."""
    patterns = _patterns().cues
    return [
        name.removeprefix("wants ") for name in patterns if name.startswith("wants ") and patterns[name].search(text)
    ]


def groups_after(text: str) -> list[str]:
    """What the text groups by: "per month", "by country"."""
    return [name for name, pattern in _patterns().after.items() if pattern.search(text)]


def groups_asked(text: str) -> list[str]:
    """What the text wants to single out: "which carrier", "best category", "the item that"."""
    return [name for name, pattern in _patterns().asked.items() if pattern.search(text)]


def group(name: str) -> str:
    """The pattern of a group's own words."""
    return _patterns().groups[name]


def shown(text: str) -> list[bool]:
    """Of every cue whether the text shows it, as features for a classifier."""
    return [pattern.search(text) is not None for pattern in _patterns().cues.values()]


@cache
def _patterns() -> Cues:
    tables = tomllib.loads((Path(__file__).parent / "cues.toml").read_text(encoding="utf-8"))
    parts = {name: f"(?:{'|'.join(entries)})" for name, entries in tables["parts"].items()}

    def joined(entries: list[str]) -> str:
        pattern = "|".join(entries)
        for name, part in parts.items():
            pattern = pattern.replace(f"{{{name}}}", part)
        return pattern

    cues = {name: _bounded(joined(entries)) for name, entries in tables["cues"].items()}
    cues |= {f"wants {name}": _bounded(joined(entries)) for name, entries in tables["wants"].items()}
    groups = {name: joined(entries) for name, entries in tables["groups"].items()}
    asked = _ASKED.replace("{numbers}", "|".join(NUMBERS))
    return Cues(
        cues,
        groups,
        {name: re.compile(rf"\b{_AFTER} (?:{_BESIDE} )?(?:{words})\b") for name, words in groups.items()},
        {
            name: re.compile(
                rf"\b{_THE} (?:{words}) {_THAT}\b|\b(?:{words}) {_MOST}\b|"
                rf"\b{asked}\s+(?:{_BETWEEN}[\s-]+){{0,4}}(?:{words})\b"
            )
            for name, words in groups.items()
        },
    )


def _bounded(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")
