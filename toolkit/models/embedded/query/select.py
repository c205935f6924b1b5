"""A SELECT in parts, a question as read, and small pieces of SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.models.embedded.query import cues
from toolkit.models.embedded.query.filters import Named
from toolkit.models.embedded.query.periods import Span
from toolkit.models.embedded.query.table import Table, literal


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT in parts, and how sure its reader is of having understood (`kind` says as what)."""

    kind: str
    select: tuple[str, ...]
    where: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    having: str = ""
    order: str = ""
    limit: int | None = None

    def sql(self, table: Table) -> str:
        """The query as one line of SQL."""
        parts = [f"select {', '.join(self.select)} from {table.name}"]
        if self.where:
            parts.append("where " + " and ".join(self.where))
        if self.group:
            parts.append("group by " + ", ".join(self.group))
        if self.having:
            parts.append("having " + self.having)
        if self.order:
            parts.append("order by " + self.order)
        if self.limit is not None:
            parts.append(f"limit {self.limit}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as read: its text folded, what it names, and whose orders it is about."""

    text: str
    table: Table
    named: tuple[Named, ...]
    orders: tuple[str, ...]
    customer: str | None
    customers: tuple[str, ...]
    span: Span | None
    about: str

    def of(self, role: str, *, out: bool | None = None) -> list[str]:
        """The values named of a role."""
        return list(dict.fromkeys(n.value for n in self.named if n.role == role and (out is None or n.out == out)))

    def has(self, cue: str) -> bool:
        return cues.has(cue, self.text)


def days_between(asked: Asked) -> str:
    """Days from sending to arrival, or from the order where the question starts there."""
    table = asked.table
    start = "shipped"
    if re.search(
        r"\b(?:from|between|after|since) (?:the |my |your |placing |an? )?(?:order\w*|placed|placing|purchase|"
        r"click\w*|buying)\b|\bbestell\w* bis\b|\border to (?:door|delivery|arrival)\b",
        asked.text,
    ):
        start = "placed"
    end = "delivered"
    if start == "placed" and re.search(
        r"\b(?:and|to|until|till) (?:the |its |your )?(?:shipping|shipment|dispatch|shipped|sent|leaving|warehouse)\b",
        asked.text,
    ):
        end = "shipped"
    return f"date_diff('day', {table[start]}, {table[end]})"


def group_key(group: str, table: Table) -> str | None:
    """What to group by, as SQL; None where the table lacks it."""
    if group in cues.TIMES:
        if "placed" not in table:
            return None
        day = table["placed"]
        return {
            "month": f"strftime({day}, '%Y-%m')",
            "quarter": f"year({day}) || '-Q' || quarter({day})",
            "year": f"year({day})",
            "week": f"strftime({day}, '%G-W%V')",
            "day": day,
            "weekday": f"dayname({day})",
        }[group]
    return table.get(group)


def money(table: Table) -> str:
    return f"round(sum({table['total']}), 2) as total"


def among(column: str, values: Sequence[str], *, negated: bool = False) -> str:
    if len(values) == 1:
        return f"{column} {'<>' if negated else '='} {literal(values[0])}"
    return f"{column} {'not ' if negated else ''}in ({', '.join(literal(value) for value in values)})"
