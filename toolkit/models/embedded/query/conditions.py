"""The conditions on rows: whose, when, which values, and how much."""

from __future__ import annotations

import re

from toolkit.models.embedded.query.filters import stands
from toolkit.models.embedded.query.periods import Span
from toolkit.models.embedded.query.select import Asked, among, days_between
from toolkit.models.embedded.query.table import literal

_THAN = re.compile(
    r"\b(?:(?P<more>more than|over|above|exceed\w*|longer than|greater than|higher than|beyond|uber|"
    r"mehr als|langer als|plus de|mas de|meer dan|boven|piu di|oltre)|"
    r"(?P<less>less than|under|below|fewer than|shorter than|cheaper than|unter|weniger als|moins de|"
    r"menos de|minder dan|onder|meno di|sotto)|"
    r"(?P<least>at least|mindestens|au moins|al menos|minstens|almeno)|(?P<most>at most|up to|hochstens|"
    r"au plus|hoogstens|al massimo))"
    r"\s+(?P<n>\d+(?:[.,]\d+)?|one|a|two|three|five)\s*(?P<u>euros?\b|eur\b|€|pieces?|items?|units?|"
    r"pairs?|days?|stuck|tagen?|jours?|dias?|piezas?|dagen|stuks?|giorni|pezzi)"
)


_NOT_YET = re.compile(
    r"\bnot (?:yet )?(?:been )?(?:recorded as )?(?:delivered|arrived|there)\b|"
    r"\bnever (?:been )?(?:delivered|arrived|came|turned up)\b|"
    r"\bnoch nicht (?:geliefert|zugestellt|angekommen|da)\b|"
    r"\bpas encore (?:ete )?(?:livre|arrive)\w*|\b(?:aun|todavia) no\b|"
    r"\bnog niet (?:geleverd|bezorgd|aangekomen)\b|\bnon ancora (?:consegnat|arrivat)\w*"
)


def conditions(asked: Asked) -> list[str]:
    """The conditions on rows: whose, when, and which values."""
    table = asked.table
    found: list[str] = []
    if "customer" in table:
        if asked.customer is not None:
            found.append(f"{table['customer']} = {literal(asked.customer)}")
        elif asked.customers:
            found.append(among(table["customer"], asked.customers))
    dated = "placed"
    for role in ("product", "category", "carrier", "country", "payment"):
        if role == _lesser(asked) or left_open(asked, role):
            continue
        wanted, unwanted = asked.of(role, out=False), asked.of(role, out=True)
        if wanted:
            found.append(among(table[role], wanted))
        elif unwanted:
            found.append(among(table[role], unwanted, negated=True))
    statuses, dated = _statuses(asked)
    found += [*statuses, *compared(asked)]
    if asked.span is not None and dated in table:
        found += _within(table[dated], asked.span)
    return found


def _statuses(asked: Asked) -> tuple[list[str], str]:
    """The conditions on status, and the column that a period is about."""
    table = asked.table
    wanted: list[str] = []
    dated = "placed"
    for name in asked.named:
        if name.role != "status" or name.out:
            continue
        verb = name.own_name and name.value in ("shipped", "delivered")
        if asked.has("days") and name.value in ("shipped", "delivered", "returned"):
            continue
        if not verb or stands(name, asked.text):
            wanted.append(name.value)
        elif asked.span is not None and name.value in table and 0 <= asked.span.at - name.end <= 25:
            dated = name.value
        elif asked.span is not None and name.value in table and asked.customer is not None:
            continue
        elif asked.has("count") or (asked.customer is None and not asked.has("days")):
            wanted.append(name.value)
    if (
        asked.span is not None
        and re.search(r"\b(?:left|sent|dispatched|shipped|went out)\b[^.?!]{0,25}$", asked.text[: asked.span.at])
        and "shipped" in table
    ):
        dated = "shipped"
    unwanted = asked.of("status", out=True)
    if _NOT_YET.search(asked.text):
        unwanted = [value for value in unwanted if value != "delivered"]
        wanted = [value for value in wanted if value != "delivered"] or ["shipped"]
        if (
            not re.search(r"\b(?:shipped|sent|dispatched|left)\b", asked.text)
            and "processing" in table.values["status"]
        ):
            wanted.append("processing")
    found = [among(table["status"], list(dict.fromkeys(wanted)))] if wanted else []
    if unwanted and not wanted:
        found.append(among(table["status"], unwanted, negated=True))
    return found, dated


def left_open(asked: Asked, role: str) -> bool:
    """Whether values are what is asked, not a condition: "by card or by invoice?", "did my last come with X?"."""
    if role not in ("carrier", "payment") or asked.customer is None:
        return False
    if role == "payment" and re.search(
        r"\b(?:card|bank|credit card) (?:statement|bill)|\bkontoauszug|\breleve\b", asked.text
    ):
        return True
    several = len(asked.of(role)) > 1 and re.search(r"\b(?:or|oder|ou|of|o)\b", asked.text) is not None
    return several or asked.has("last") or asked.has("first")


def compared(asked: Asked) -> list[str]:
    """Conditions with a number: "above 500 euros", "more than one piece", "longer than 9 days"."""
    found = []
    for match in _THAN.finditer(asked.text):
        number = {"one": "1", "a": "1", "two": "2", "three": "3", "five": "5"}.get(
            match["n"], match["n"].replace(",", ".")
        )
        sign = {"more": ">", "less": "<", "least": ">=", "most": "<="}[
            next(k for k in ("more", "less", "least", "most") if match[k])
        ]
        unit = match["u"] or ""
        if re.match(r"day|tag|jour|dia|dag|giorn", unit) and "delivered" in asked.table and "shipped" in asked.table:
            found.append(f"{days_between(asked)} {sign} {number}")
        elif re.match(r"piece|item|unit|stuck|piez|stuk|pezz|pair", unit) and "quantity" in asked.table:
            found.append(f"{asked.table['quantity']} {sign} {number}")
        elif re.match(r"eur|€", unit) and "total" in asked.table:
            found.append(f"{asked.table['total']} {sign} {number}")
    return found


def _lesser(asked: Asked) -> str:
    """Of product and category the one that gives way: the category, unless the question calls it one."""
    own = any(name.role == "category" and name.own_name for name in asked.named)
    if own and re.search(r"\b(?:categor|kategori)", asked.text):
        return "product" if asked.of("product") else ""
    return "category" if asked.of("product") else ""


def _within(column: str, span: Span) -> list[str]:
    found = [f"{column} >= {literal(span.start.isoformat())}"] if span.start else []
    return found + ([f"{column} < {literal(span.end.isoformat())}"] if span.end else [])
