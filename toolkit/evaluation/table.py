"""A comparison as HTML: the sentence, each difference with what it rests on, and what was left out. Pure.

It needs neither script nor style sheet and takes its colours from where it stands, so that it reads in light and dark.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from toolkit.evaluation.differences import ALL, Compared, told
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.exchange import usd
from toolkit.evaluation.pairs import Difference

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison

MOST_LINES = 60
HEAD = ("contender", "", "difference", "interval", "verdict", "p, corrected", "rows", "test", "")
UNITS = {"quality": "quality", "cost": "cost, USD a row", "seconds": "time, s a row"}
CELL = "padding:2px 14px 2px 0;text-align:left;vertical-align:top;border:0;background:none"
LINE = "border-top:1px solid rgba(128,128,128,.35)"


def comparison_html(found: Comparison) -> str:
    """The table, for a notebook; its first line says what the numbers allow to be said."""
    shown = found.differences[:MOST_LINES]
    lines = "".join(_line(each, found) for each in shown)
    more = len(found.differences) - len(shown)
    notes = [*found.scored.notes, *([f"{more:,} more differences are in .frame()"] if more else [])]
    head = "".join(f'<th style="{CELL};font-weight:600">{each}</th>' for each in HEAD)
    table = f'<table style="border-collapse:collapse;color:inherit"><tr>{head}</tr>{lines}</table>' if shown else ""
    return (
        '<div style="font-family:system-ui,-apple-system,sans-serif;font-size:13px;line-height:1.5;color:inherit">'
        f'<div style="font-size:14px;max-width:880px;margin:2px 0 8px"><b>{escape(found.sentence)}</b></div>'
        f'<div style="opacity:.85;margin-bottom:4px">{escape(rests_on(found))}</div>'
        f'<div style="overflow-x:auto">{table}</div>'
        + "".join(f'<div style="opacity:.85">· {escape(note)}</div>' for note in notes)
        + "</div>"
    )


def comparison_text(found: Comparison) -> str:
    """The same for a terminal."""
    lines = [found.sentence, rests_on(found)]
    for each in found.differences[:MOST_LINES]:
        named = each.contender if each.segment == ALL else f"{each.contender}, {each.segment}"
        told_there = each.result.reason if isinstance(each.result, Refusal) else _numbers(each, found)
        lines.append(f"  {named}, {UNITS[each.measure]}: {told_there}")
    return "\n".join([*lines, *(f"note: {note}" for note in found.scored.notes)])


def rests_on(found: Comparison) -> str:
    """How the table was made, in one sentence."""
    known = [each.result for each in found.differences if isinstance(each.result, Difference)]
    against = f"Each against {found.scored.contenders[0]}, row by row"
    if not known:
        return f"{against}; nothing could be compared."
    many = known[0].comparisons
    corrected = f"; p-values corrected for all {many} comparisons (Holm)" if many > 1 else ""
    return f"{against}; intervals of {100 * found.level:g} %{corrected}."


# ----------------------------------------------------------------------------------------------------------- helpers
def _line(each: Compared, found: Comparison) -> str:
    named = each.contender if each.segment == ALL else f"{each.contender} · {each.segment}"
    cells = [escape(named), UNITS[each.measure], *_cells(each, found)]
    if isinstance(each.result, Refusal):
        reason = f'<td style="{CELL};opacity:.85" colspan="{len(HEAD) - 2}">{escape(each.result.reason)}</td>'
        return f'<tr style="{LINE}">{"".join(_cell(cell) for cell in cells[:2])}{reason}</tr>'
    return f'<tr style="{LINE}">{"".join(_cell(cell) for cell in cells)}</tr>'


def _numbers(each: Compared, found: Comparison) -> str:
    value, interval, _, p, rows, test, more = _cells(each, found)
    said = told(each, found.margin if each.measure == "quality" else None)["verdict"]
    return f"{value} {interval}, {said} (p = {p}, {rows} rows, {test}){'; ' + more if more else ''}"


def _cell(told_there: str) -> str:
    return f'<td style="{CELL};overflow-wrap:anywhere">{told_there}</td>'


def _cells(each: Compared, found: Comparison) -> list[str]:
    result = each.result
    if isinstance(result, Refusal):
        return []
    line = told(each, found.margin if each.measure == "quality" else None)
    number = usd if each.measure == "cost" else "{:.3f}".format
    plus = "+" if result.value > 0 else ""
    groups = f"{result.n:,}" if result.groups == result.n else f"{result.n:,} in {result.groups:,} groups"
    more = line["more_rows_needed"]
    return [
        f"{plus}{number(result.value)}",
        f"[{number(result.low)}, {number(result.high)}]",
        f"<b>{escape(str(line['verdict']))}</b>",
        f"{result.settled:.2g}",
        groups,
        escape(result.test),
        f"about {more:,} more rows would tell" if more else "",
    ]
