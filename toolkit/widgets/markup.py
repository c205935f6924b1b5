"""Pieces of HTML that widgets share. Text in, markup out; all that comes from data is escaped here.

There is no script and no style sheet, so that a saved notebook, nbconvert and a plain viewer show the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import orjson

FOLDED_CHARACTERS = 700
MOST_CHARACTERS = 40_000
FONT = "font-family:system-ui,-apple-system,sans-serif;font-size:13px;line-height:1.5;color:inherit"
_PRE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0;padding:6px 8px;border-radius:4px;font-size:12px;"
    "background:rgba(128,128,128,.12);color:inherit;font-family:ui-monospace,Menlo,Consolas,monospace;line-height:1.45"
)
_CELL = "padding:2px 12px 2px 0;text-align:{side};vertical-align:top;border:0"


def words(text: str) -> str:
    """Text as it is, its end folded where it is long, and cut where it is very long."""
    cut = len(text) - MOST_CHARACTERS
    text = text[:MOST_CHARACTERS].encode(errors="replace").decode()
    more = faint(f"… and {cut:,} characters more: the view attempts_text has all") if cut > 0 else ""
    if len(text) <= FOLDED_CHARACTERS * 1.3:
        return f'<pre style="{_PRE}">{escape(text)}</pre>{more}'
    at = text.rfind("\n", FOLDED_CHARACTERS // 2, FOLDED_CHARACTERS) + 1 or FOLDED_CHARACTERS
    rest = f"{len(text) - at:,} characters more"
    folded = details(faint(rest), f'<pre style="{_PRE}">{escape(text[at:])}</pre>')
    return f'<pre style="{_PRE}">{escape(text[:at])}</pre>{folded}{more}'


def json_words(text: str) -> str:
    """JSON with a line for each value, a long list of numbers by its length; other text as it is."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return words(text)
    return words(value if isinstance(value, str) else pretty(value))


def pretty(value: Any) -> str:
    """A value as JSON to be read."""
    return orjson.dumps(_shortened(value), option=orjson.OPT_INDENT_2, default=str).decode()


def details(summary: str, body: str, *, about: str = "", is_open: bool = False) -> str:
    """What opens on a click. `summary` and `body` are markup; `about` is the name by which a picture opens it."""
    named = f' data-part="{escape(about)}"' if about else ""
    opened = " open" if is_open else ""
    return (
        f'<details{named}{opened} style="margin:3px 0"><summary style="cursor:pointer;overflow-wrap:anywhere">{summary}'
        f'</summary><div style="margin:2px 0 8px 14px">{body}</div></details>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """A table; cells are markup, `numbers` are the columns that stand right."""
    right = set(numbers)
    styles = [_CELL.format(side="right" if place in right else "left") for place in range(len(head))]
    top = "".join(f'<th style="{style};font-weight:600">{name}</th>' for name, style in zip(head, styles, strict=True))
    body = "".join(
        '<tr style="background:none">'
        + "".join(f'<td style="{style}">{cell}</td>' for cell, style in zip(row, styles, strict=True))
        + "</tr>"
        for row in rows
    )
    heading = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return (
        f'<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:2px 0;font-size:12.5px;'
        f'color:inherit;border:0">{heading}<tbody>{body}</tbody></table></div>'
    )


def listed(pairs: Mapping[str, str]) -> str:
    """Names and values, the values being markup; those that are empty are left out."""
    return table(("", ""), [(faint(name), value) for name, value in pairs.items() if value])


def faint(text: str) -> str:
    return f'<span style="opacity:.72">{escape(text)}</span>'


def bold(text: str) -> str:
    return f"<b>{escape(text)}</b>"


def spread(parts: Iterable[str]) -> str:
    """Pieces of markup beside each other, on as many lines as they need."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:2px 16px;margin:3px 0">{"".join(parts)}</div>'


def framed(body: str, *, width: int = 860) -> str:
    """The outermost element of what a cell shows."""
    return f'<div class="tk-record" style="{FONT};max-width:{width}px;min-width:0;padding:4px 2px">{body}</div>'


def _shortened(value: Any) -> Any:
    """The same with vectors told by their length and first numbers."""
    if isinstance(value, list):
        if len(value) > 16 and all(isinstance(each, int | float) for each in value):
            return f"{len(value):,} numbers: {', '.join(f'{each:.4g}' for each in value[:4])}, …"
        return [_shortened(each) for each in value]
    return {name: _shortened(each) for name, each in value.items()} if isinstance(value, dict) else value
