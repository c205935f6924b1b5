"""Periods in a question, as half-open spans of days: "in May", "first quarter of 2026", "since 1 March"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from toolkit.models.embedded.dates import MONTH, MONTHS, full_year, mentions, nearest

_IN = r"(?:in|during|of|im|en|au mois de|de|nel|nello|del|in de|a|for|from|mese di|mes de|maand)"
_YEAR = r"(?:\s*(?:of |de |del |von |,)?\s*(?P<y>20\d\d|'\d\d|\d\d(?=[\s?.,!]|$)))?"
_MONTHS_RANGE = re.compile(
    rf"\b(?P<a>{MONTH})\.?(?:\s+(?P<ya>20\d\d))?\s*(?:-|–|to|till|until|til|through|bis|a|tot|and|und|et|y|"
    rf"e|till end of|till the end of|until the end of|to the end of)\s*(?P<b>{MONTH})\b\.?{_YEAR}"
)
_MONTH = re.compile(rf"\b(?P<n>{MONTH})\b\.?{_YEAR}")
_ORDINAL = {
    1: "1st|first|q1|1\\.|erst\\w+|premier|primer|primo|eerste|i",
    2: "2nd|second|q2|2\\.|zweit\\w+|deuxieme|second\\w*|segundo|secondo|tweede|ii",
    3: "3rd|third|q3|3\\.|dritt\\w+|troisieme|tercer|terzo|derde|iii",
    4: "4th|fourth|q4|last|4\\.|viert\\w+|quatrieme|cuarto|quarto|vierde|iv",
}  # fmt: skip
_QUARTER = re.compile(
    r"\b(?:q(?P<q>[1-4])|(?P<o>" + "|".join(f"(?:{names})" for names in _ORDINAL.values())
    + r")\s+(?:quarter|quartal|trimestre|kwartaal|three months of))\b" + _YEAR.replace("of |", "of (?:the year )?|")
)  # fmt: skip
_HALF = re.compile(
    r"\b(?:(?P<h>first|second|1st|2nd|erste[ns]?|zweite[ns]?|premier|deuxieme|primer|segundo|primo|"
    r"secondo|eerste|tweede)\s+"
    r"(?:half|halfte|halbjahr|semestre|helft|meta)|h(?P<n>[12]))\b" + _YEAR.replace("of |", "of (?:the year )?|")
)
_SEASON = {"spring": 3, "fruhling": 3, "fruhjahr": 3, "printemps": 3, "primavera": 3, "voorjaar": 3, "lente": 3,
           "summer": 6, "sommer": 6, "ete dernier": 6, "verano": 6, "zomer": 6, "estate": 6,
           "autumn": 9, "herbst": 9, "automne": 9, "otono": 9, "herfst": 9, "autunno": 9,
           "winter": 12, "hiver": 12, "invierno": 12, "inverno": 12}  # fmt: skip
_SEASONS = re.compile(r"\b(?P<s>" + "|".join(_SEASON) + r")\b" + _YEAR)
_LAST_N = re.compile(
    r"\b(?:last|past|previous|letzte[nr]?|vergangene[nr]?|derniere?s?|ultim[oaie]s?|afgelopen|"
    r"laatste)\s+(?P<k>\d{1,3}|two|three|six|twelve|seven|thirty|zwei|drei|sechs|trois|tres|tre|drie|deux|"
    r"dos|due|twee|six|sei|seis|zes)\s+"
    r"(?P<u>days?|weeks?|months?|years?|tagen?|wochen|monaten?|jahren?|jours|semaines|mois|ans|dias|"
    r"semanas|meses|giorni|settimane|mesi|dagen|weken|maanden)\b"
    r"|\b(?P<k2>\d{1,3})\s+(?P<u2>derniers jours|derniers mois|ultimos dias|ultimi giorni|laatste dagen)"
)
_NUMBERS = {"two": 2, "three": 3, "six": 6, "twelve": 12, "seven": 7, "thirty": 30, "zwei": 2, "drei": 3, "sechs": 6,
            "trois": 3, "tres": 3,
            "tre": 3, "drie": 3, "deux": 2, "dos": 2, "due": 2, "twee": 2, "sei": 6, "seis": 6, "zes": 6}  # fmt: skip
_THIS = r"(?:this|current|diese[nmrs]?|laufende[ns]?|cette?|ce|est[ea]|quest[oa'] ?|dit|deze)"
_LAST = r"(?:last|previous|past|letzte[nrs]?|vorige[nrs]?|dernier|derniere|passe|pasad[oa]|scors[oa]|afgelopen)"
_UNITS = {"week": r"(?:week|woche|semaine|semana|settimana)",
          "month": r"(?:month|monat|mois|mes|mese|maand)",
          "quarter": r"(?:quarter|quartal|trimestre|kwartaal)",
          "year": r"(?:year|jahr|annee|an|ano|anno|jaar)"}  # fmt: skip
_YEAR_ALONE = re.compile(r"(?<![\w.,/-])(?P<y>20[12]\d)(?![\w/-]|[.,]\d)")
_FROM = r"(?:since|from|after|starting|seit|ab|depuis|a partir du|desde|sinds|vanaf|dal|da|as of|on or after)"
_UNTIL = r"(?:before|until|till|up to|vor|bis|avant|jusqu'au|antes del?|hasta|voor|tot|prima del?|fino al)"
_DAYS_OF = re.compile(
    rf"\b(?P<a>\d{{1,2}})(?:st|nd|rd|th|\.)?\s*(?:-|–|to|and|until|till|bis|und|et|au|y|al|e|en|"
    rf"tot)\s*(?:the )?(?P<b>\d{{1,2}})(?:st|nd|rd|th|\.)?\s*(?:of |de )?"
    rf"(?P<n>{MONTH})\b(?P<y>\s+20\d\d)?"
)
_FEAST = {"christmas": "25 december", "weihnachten": "25 december", "noel": "25 december",
          "navidad": "25 december", "kerst": "25 december",
          "natale": "25 december",
          "new year": "1 january", "neujahr": "1 january", "black friday": "28 november"}  # fmt: skip
_FEASTS = re.compile(r"\b(?:" + "|".join(_FEAST) + r")\b")


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to but without `end`; an open side is None. `at` is where in the text it is told."""

    start: date | None
    end: date | None
    at: int = 0


def period(text: str, today: date) -> Span | None:
    """The period that a folded text names, completed to the most recent one at `today`; None where it names none."""
    for reader in (_two_days, _last_n, _halves, _quarters, _month_range, _seasons, _one_day, _months, _units, _years):
        found = reader(text, today)
        if found is not None:
            return found
    return None


def _two_days(text: str, today: date) -> Span | None:
    text = _DAYS_OF.sub(r"\g<a> \g<n> to \g<b> \g<n>\g<y>", text)
    text = _FEASTS.sub(lambda match: _FEAST[match[0]], text)
    days = sorted((m for m in mentions(text, today) if m.plainness >= 0.5), key=lambda m: m.start)
    if len(days) < 2:
        return None
    between = text[days[0].end : days[1].start]
    if re.fullmatch(
        r"\s*(?:-|–|to|and|till|until|through|bis|und|et|au|y|al|a|e|en|tot)\s*(?:the |den |zum |le |el |il )?", between
    ):
        first, last = sorted((days[0].day, days[1].day))
        return Span(first, last + timedelta(days=1), days[0].start)
    return None


def _one_day(text: str, today: date) -> Span | None:
    text = _FEASTS.sub(lambda match: _FEAST[match[0]], text)
    days = [m for m in mentions(text, today) if m.plainness >= 0.4]
    if not days:
        return None
    day, at = days[0].day, days[0].start
    if day > today and str(day.year) not in text:
        day = nearest(day.month, day.day, today - timedelta(days=183)) or day
    before = text[max(0, at - 20) : at]
    if re.search(rf"\b{_FROM}\s+(?:the |dem |le |el |il |de )?$", before):
        return Span(day, None, at)
    if re.search(rf"\b{_UNTIL}\s+(?:the |dem |den |zum |le |el |il |de )?$", before):
        return Span(None, day, at)
    return Span(day, day + timedelta(days=1), at)


def _last_n(text: str, today: date) -> Span | None:
    match = _LAST_N.search(text)
    if match is None:
        return None
    number = match["k"] or match["k2"]
    count = _NUMBERS.get(number) or int(number)
    unit = match["u"] or match["u2"]
    if re.search(r"week|woche|weken|seman|semain|settiman", unit):
        start = today - timedelta(days=7 * count)
    elif re.search(r"mon|mois|mes|maand", unit):
        start = _shifted(today, -count)
    elif re.search(r"year|jahr|an", unit):
        start = _shifted(today, -12 * count)
    else:
        start = today - timedelta(days=count)
    return Span(start, today + timedelta(days=1), match.start())


def _halves(text: str, today: date) -> Span | None:
    match = _HALF.search(text)
    if match is None:
        return None
    second = (
        match["n"] == "2" if match["n"] else not re.match(r"first|1st|erste|premier|primer|primo|eerste", match["h"])
    )
    month = 7 if second else 1
    return _months_from(_year(match["y"], month, today, text), month, 6, match.start())


def _quarters(text: str, today: date) -> Span | None:
    match = _QUARTER.search(text)
    if match is None:
        return None
    number = (
        int(match["q"]) if match["q"] else next(n for n, names in _ORDINAL.items() if re.fullmatch(names, match["o"]))
    )
    if match["o"] == "last" and not match["y"]:
        return None
    month = 3 * number - 2
    return _months_from(_year(match["y"], month, today, text), month, 3, match.start())


def _month_range(text: str, today: date) -> Span | None:
    match = _MONTHS_RANGE.search(text)
    if match is None:
        return None
    first, last = MONTHS[match["a"]], MONTHS[match["b"]]
    year = _year(match["ya"] or match["y"], first, today, text)
    return _months_from(year, first, (last - first) % 12 + 1, match.start())


def _seasons(text: str, today: date) -> Span | None:
    match = _SEASONS.search(text)
    if match is None:
        return None
    month = _SEASON[match["s"]]
    return _months_from(_year(match["y"], month, today, text), month, 3, match.start())


def _months(text: str, today: date) -> Span | None:
    for match in _MONTH.finditer(text):
        before = text[: match.start()]
        if (
            match["n"] in ("may", "mar", "march", "mai", "set")
            and not match["y"]
            and not re.search(rf"\b(?:{_IN}|{_FROM}|{_UNTIL}|last|this|by|about|and|or)\s+$", before)
        ):
            continue
        month = MONTHS[match["n"]]
        year = _year(match["y"], month, today, text)
        if re.search(rf"\b{_FROM}\s+(?:the )?(?:last )?$", before) and not re.search(r"\bfrom $", before):
            return Span(date(year, month, 1), None, match.start())
        if re.search(rf"\b{_UNTIL}\s+$", before):
            return Span(None, date(year, month, 1), match.start())
        return _months_from(year, month, 1, match.start())
    return None


def _units(text: str, today: date) -> Span | None:
    for unit, names in _UNITS.items():
        this = re.search(rf"\b{_THIS}\s?{names}\b|\b{names} (?:to date|en cours|corriente)\b", text)
        last = re.search(rf"\b{_LAST}\s{names}\b|\b{names} (?:dernier|derniere|passee?|pasad[oa]|scors[oa])\b", text)
        if this or last:
            start = _unit_start(today, unit)
            if this:
                return Span(start, None, this.start())
            return Span(_unit_start(start - timedelta(days=1), unit), start, last.start() if last else 0)
    return None


def _years(text: str, today: date) -> Span | None:
    match = _YEAR_ALONE.search(text)
    if match is None:
        return None
    start = date(int(match["y"]), 1, 1)
    if re.search(rf"\b{_FROM}\s+(?:the beginning of |the start of )?$", text[: match.start()]) and not re.search(
        r"\bfrom $", text[: match.start()]
    ):
        return Span(start, None, match.start())
    return Span(start, date(start.year + 1, 1, 1), match.start())


def _year(told: str | None, month: int, today: date, text: str) -> int:
    """The year told with the month, or anywhere in the text; else that of the most recent such month."""
    if told:
        return full_year(told)
    alone = _YEAR_ALONE.search(text)
    if alone:
        return int(alone["y"])
    return today.year if month <= today.month else today.year - 1


def _months_from(year: int, month: int, count: int, at: int) -> Span:
    start = date(year, month, 1)
    return Span(start, _shifted(start, count), at)


def _shifted(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    return date(year, month + 1, 1)


def _unit_start(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1)
