"""What waits for people, in words: as text for a terminal, as HTML for a saved notebook. Pure; both say the same."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from toolkit.asking.parking import span
from toolkit.asking.settings import DEFAULT_HOME
from toolkit.ledger import Review
from toolkit.widgets.review_view import excerpt

SHOWN = 8
ID_CHARACTERS = 8
COLUMNS = ("id", "for", "waits", "left", "row", "step", "question")


@dataclass(frozen=True)
class Waiting:
    """An inbox at the moment `as_of`: how many wait, the first of them, and rows that were answered and can go on.

    `fault` says why nothing is known of it; `of` narrows it down, as in "of run desk-1".
    """

    home: Path
    as_of: datetime
    total: int = 0
    first: Sequence[Review] = ()
    ready: int = 0
    of: str = ""
    fault: str = ""


def headline(waiting: Waiting) -> str:
    """What there is, in a sentence."""
    if waiting.fault:
        return waiting.fault
    where = f" {waiting.of}" if waiting.of else ""
    if not waiting.total:
        return f"nobody is waited for{where} in {waiting.home}"
    return f"{waiting.total:,} question{'s wait' if waiting.total > 1 else ' waits'} for a person{where}"


def advice(waiting: Waiting) -> list[str]:
    """What to do next, on the command line."""
    at = "" if str(waiting.home) == DEFAULT_HOME else f" --home {shlex.quote(str(waiting.home))}"
    told = []
    if waiting.first and not waiting.fault:
        name = waiting.first[0].id[:ID_CHARACTERS]
        told += [
            f"show one: toolkit inbox show {name}{at}",
            f"answer: toolkit inbox answer {name} --value …{at}, or one after the other with --interactive",
        ]
    if waiting.ready:
        rows = f"{waiting.ready:,} row{'s' if waiting.ready > 1 else ''}"
        told.append(f"{rows} answered, and not gone on with yet: toolkit inbox wake{at}")
    return told


def cells(review: Review, as_of: datetime) -> tuple[str, ...]:
    """A question as a line of a table."""
    left = "" if review.expires_at is None else "over"
    if review.expires_at is not None and review.expires_at > as_of:
        left = span(review.expires_at - as_of)
    waits = span(max(as_of - review.asked_at, as_of - as_of))
    step = review.place.step.partition("/")[2]
    return review.id[:ID_CHARACTERS], review.person, waits, left, review.place.row_id, step, excerpt(review.question)


def text(waiting: Waiting) -> str:
    """A few lines."""
    lines = [headline(waiting)]
    if waiting.first:
        table = [COLUMNS, *(cells(review, waiting.as_of) for review in waiting.first[:SHOWN])]
        widths = [max(len(row[n]) for row in table) for n in range(len(COLUMNS) - 1)]
        lines += [
            "  " + "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in table
        ]
        if (more := waiting.total - len(table) + 1) > 0:
            lines.append(f"  and {more:,} more")
    return "\n".join(lines + advice(waiting))


def html(waiting: Waiting) -> str:
    """The same as a table, without script or style sheet."""
    cell = "padding:2px 10px 2px 0;text-align:left;vertical-align:top;border:0;background:none"
    parts = [f"<div><b>{escape(headline(waiting))}</b></div>"]
    if waiting.first:
        head = "".join(f'<th style="{cell};font-weight:600;white-space:nowrap">{name}</th>' for name in COLUMNS)
        rows = "".join(
            "<tr>"
            + "".join(
                f'<td style="{cell};{"overflow-wrap:anywhere" if n == len(COLUMNS) - 1 else "white-space:nowrap"}">'
                f"{escape(each)}</td>"
                for n, each in enumerate(cells(review, waiting.as_of))
            )
            + "</tr>"
            for review in waiting.first[:SHOWN]
        )
        parts.append(
            f'<table style="border-collapse:collapse;margin:4px 0;color:inherit"><tr>{head}</tr>{rows}</table>'
        )
        if (more := waiting.total - min(len(waiting.first), SHOWN)) > 0:
            parts.append(f"<div>and {more:,} more</div>")
    parts += [f'<div style="opacity:.8">{escape(each)}</div>' for each in advice(waiting)]
    style = (
        "font-family:system-ui,-apple-system,sans-serif;font-size:13px;line-height:1.5;color:inherit;max-width:980px"
    )
    return f'<div style="{style}">{"".join(parts)}</div>'
