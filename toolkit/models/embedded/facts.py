"""Rows of a query, told in a sentence or a short list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from toolkit.records import Json

SHOWN = 20


def told(rows: Sequence[Mapping[str, Json]]) -> str:
    """All facts of the rows, twenty rows at most; then how many more there are.

    >>> told([{"carrier": "Postbird", "days": 3.5}])
    'Carrier: Postbird; days: 3.5.'
    """
    if not rows:
        return "There is no such order or entry on record."
    if len(rows) == 1:
        pairs = "; ".join(f"{_label(name)}: {_value(value)}" for name, value in rows[0].items())
        return f"{pairs[:1].upper()}{pairs[1:]}."
    lines = ["- " + ", ".join(f"{_label(name)} {_value(value)}" for name, value in row.items()) for row in rows[:SHOWN]]
    more = len(rows) - SHOWN
    return "\n".join([f"{len(rows)} entries:", *lines, *([f"... and {more} more."] if more > 0 else [])])


def _label(name: str) -> str:
    """A column's name as words; a call such as `count_star()` becomes what it counts."""
    if name.startswith("count"):
        return "number"
    return re.sub(r"\s+", " ", re.sub(r"[_()]", " ", name)).strip() or "value"


def _value(value: Json) -> str:
    if value is None:
        return "not yet known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}" if value != round(value, 1) else f"{value:g}" if abs(value) < 1e6 else f"{value:.1f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
