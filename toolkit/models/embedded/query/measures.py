"""What is shown and counted: columns, groups, measures and how many of a ranking."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.models.embedded.query import cues
from toolkit.models.embedded.query.select import Asked, days_between, group_key

_SOLD = re.compile(
    r"\b(?:what|was|que|wat|cosa)\b[^.?!]{0,20}\b(?:we sell|sells?|selling|verkauf\w*|vend\w*|verkoop\w*|verkocht\w*)\b"
)
LINE = ("order", "product", "quantity", "total", "placed", "status")
"""What is shown of every order in a list, beside what was asked."""
_FAMILIES = (("status", "shipped", "delivered", "carrier"), ("product", "quantity", "total"), ("payment", "total"))
"""Columns that are shown together: who asks for one of them is told the others as well."""


def ranked_group(asked: Asked) -> str | None:
    """What a question wants the best of: "which carrier ... most"."""
    if not (
        asked.has("best") or asked.has("worst") or asked.has("slowest") or asked.has("fastest") or asked.has("top")
    ):
        return None
    if asked.has("best") and _SOLD.search(asked.text) and "product" in asked.table and not asked.of("product"):
        return "product"
    named = {n.role for n in asked.named if not n.out}
    return next(
        (g for g in cues.groups_asked(asked.text) if group_key(g, asked.table) and g not in named - {"status"}), None
    )


def measure_of(asked: Asked, group: str) -> tuple[str, str]:
    """What to tell of each group: SQL and name."""
    table = asked.table
    if "delivered" in table and (asked.has("days") or asked.has("slowest") or asked.has("fastest")):
        return f"round(avg({days_between(asked)}), 2)", "days"
    if asked.has("customers") and group != "customer":
        return f"count(distinct {table['customer']})", "customers"
    if asked.has("average") and "total" in table:
        return f"round(avg({table['total']}), 2)", "average"
    if asked.has("money") and "total" in table:
        return f"round(sum({table['total']}), 2)", "total"
    if asked.has("pieces") and "quantity" in table:
        return f"sum({table['quantity']})", "pieces"
    often = re.search(
        r"\b(?:orders|often|times|returns?|returned|parcels|purchases|bestellungen|commandes|pedidos|ordini|"
        r"bestellingen|comes back|sent back)\b",
        asked.text,
    )
    if group == "customer" and "total" in table and not often:
        return f"round(sum({table['total']}), 2)", "total"
    return "count(*)", "orders"


def counts_pieces(asked: Asked) -> bool:
    """Whether "how many" counts goods rather than orders."""
    if "quantity" not in asked.table or re.search(
        r"\b(?:orders|bestellungen|commandes|pedidos|bestellingen|ordini|parcels|returns|times|how often)\b", asked.text
    ):
        return False
    if asked.has("pieces"):
        return True
    goods = [n for n in asked.named if n.role in ("product", "category")]
    return any(
        re.search(
            r"\b(?:how many|wie ?viele|combien de|cuant[oa]s|hoeveel|quant[ie])\s+(?:\w+\s+){0,2}$",
            asked.text[: n.start],
        )
        for n in goods
    )


def _number_before(text: str, group: str) -> int | None:
    match = re.search(
        r"\b(" + "|".join(cues.NUMBERS) + r"|[2-9]|1\d)\s+(?:\w+[- ]){0,2}(?:" + cues.group(group) + r")\b", text
    )
    if match is None:
        return None
    return cues.NUMBERS.get(match[1]) or int(match[1])


def with_neighbours(wanted: Sequence[str]) -> list[str]:
    """The columns asked for, each with those of its family."""
    families = [family for family in _FAMILIES if set(family) & set(wanted)]
    return list(dict.fromkeys([*wanted, *(role for family in families for role in family)]))


def top(asked: Asked, group: str, measure: str) -> int | None:
    """How many of a ranking are wanted; all where both ends are."""
    if (measure == "days" and asked.has("slowest") and asked.has("fastest")) or (
        asked.has("each") and measure == "days"
    ):
        return None
    return cues.number("top", asked.text) or _number_before(asked.text, group) or 1
