"""One row of a run, to look at: a timeline of what was done for it, and each part of that opens.

    tk.show(run, row="r017")
    toolkit.widgets.row_view(history, run_id, row_id)        # to be put into another widget: its `.widget`

In a notebook a bar that is clicked opens its attempt. Everywhere else the same is HTML without a script, or text.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import orjson

from toolkit.ledger.reading.history import History
from toolkit.ledger.reading.showing import Record, SeenRow, row_seen
from toolkit.records import made_at
from toolkit.runs.progress import duration
from toolkit.widgets import attempts, timeline
from toolkit.widgets.canvas import Shown
from toolkit.widgets.course import FAILED, KINDS, course_of, kind_of, part_of, short_step
from toolkit.widgets.markup import bold, details, faint, framed, listed, spread
from toolkit.widgets.telling import duration_of

TEXT_CHARACTERS = 100


class RowView(Shown):
    """A row, shown. `html` and `text` are the same without a widget; `widget` is what goes into another widget.

    `open` shows another row of the run in its place.
    """

    def __init__(self, history: History, run_id: str, row_id: str) -> None:
        super().__init__()
        self.history = history
        self.run_id = run_id
        self.seen = row_seen(history, run_id, row_id)

    def open(self, row_id: str) -> None:
        """Show that row of the run. Raises RunError where there is none."""
        self.seen = row_seen(self.history, self.run_id, row_id)
        self.refresh()

    @property
    def row_id(self) -> str:
        return self.seen.row_id

    @property
    def html(self) -> str:
        return framed(html(self.seen))

    @property
    def text(self) -> str:
        return text(self.seen)

    def parts(self) -> dict[str, str]:
        return {"row": html(self.seen)}

    def asked(self, wish: dict[str, Any]) -> None:
        if row_id := wish.get("row"):
            self.open(str(row_id))


def row_view(history: History, run_id: str, row_id: str) -> RowView:
    """That row of that run, to be shown by itself or, as `.widget`, within another widget.

    Raises RunError where there is no such run or row, LedgerError where the record cannot be read.
    """
    return RowView(history, run_id, row_id)


def html(seen: SeenRow) -> str:
    """A row as HTML: how it ended, its fields, the timeline, and what was done by step."""
    course = course_of(seen)
    drawn = timeline.svg(course) + spread([timeline.legend(course)]) if course.stretches else faint(_nothing(seen))
    hidden = faint(f"{course.hidden:,} more lanes of parallel work are not drawn; they are listed below")
    steps = "".join(_step(seen, name, records) for name, records in _by_part(seen).items())
    return "".join((
        f'<div style="margin:2px 0">{_head(seen)}</div>',
        _fields(seen),
        drawn,
        hidden if course.hidden else "",
        _relatives(seen),
        steps,
        faint(f"note: {seen.note}") if seen.note else "",
    ))  # fmt: skip


def text(seen: SeenRow) -> str:
    """A row for a terminal: how it ended, its course in characters, and a line for each attempt and answer."""
    fields = orjson.loads((seen.row or {}).get("fields") or "{}")
    lines = [f"row {seen.row_id} of {seen.run['id']}: {_ended(seen)}"]
    lines += [f"  {name}: {_short(value)}" for name, value in fields.items()]
    course = course_of(seen)
    lines += timeline.text(course) if course.stretches else [f"  {_nothing(seen)}"]
    for records in _by_part(seen).values():
        lines += _step_lines(records, seen)
    if seen.children:
        names = ", ".join(child["row_id"] for child in seen.children[:5])
        lines.append(f"  rows of nested workflows: {seen.children_total:,}, such as {names}")
    return "\n".join([*lines, *([f"note: {seen.note}"] if seen.note else [])])


# --------------------------------------------------------------------------------------------------------------- head
def _ended(seen: SeenRow) -> str:
    row = seen.row
    if row is None:
        return "the row of the whole batch" if seen.row_id == "*" else "under way"
    took = f" after {duration(row['seconds'])}" if row["seconds"] is not None else ""
    reason = f"; {row['reason']}" if row["reason"] else ""
    return f"{row['status'].replace('_', ' ')}{took}, {attempts.money(row['cost_usd'])}{reason}"


def _head(seen: SeenRow) -> str:
    return f"row {bold(seen.row_id)} {faint('of ' + seen.run['id'])} · {escape(_ended(seen))}"


def _nothing(seen: SeenRow) -> str:
    return "nothing was asked for this row" + (
        ": it was set aside" if seen.row and seen.row["status"] == "set_aside" else ""
    )


def _fields(seen: SeenRow) -> str:
    if seen.row is None:
        return ""
    if seen.row["fields"] is None:
        return faint(f"its fields are {attempts.gone(seen)}")
    fields = orjson.loads(seen.row["fields"])
    first = next((str(value) for value in fields.values() if isinstance(value, str) and len(value) > 20), "")
    told = listed({name: escape(str(value)) for name, value in fields.items()})
    return details(f"{len(fields)} fields {faint(_short(first))}", told) if fields else ""


def _relatives(seen: SeenRow) -> str:
    told = ""
    if seen.row and seen.row["parent_row_id"]:
        told += spread(
            [faint(f"a row of the nested workflow at {short_step(seen.row['parent_step'])} of"),
             row_link(seen.row["parent_row_id"])]
        )  # fmt: skip
    if seen.children:
        links = [f"{row_link(child['row_id'])} {faint(child['status'])}" for child in seen.children]
        more = f", the first {len(links)}" if seen.children_total > len(links) else ""
        told += details(f"{seen.children_total:,} rows of nested workflows{more}", spread(links))
    return told


def row_link(row_id: str) -> str:
    """A row's name, which opens it where there is a widget."""
    return f'<a class="tk-link" data-row="{escape(row_id)}" tabindex="0" role="button">{escape(row_id)}</a>'


# -------------------------------------------------------------------------------------------------------------- steps
Records = dict[str, list[Record]]


def _by_part(seen: SeenRow) -> dict[str, Records]:
    """What there is of each step (and turn, and repeat), in the order in which it began."""
    told = [
        *((made_at(made["id"]), "decisions", made) for made in seen.decisions),
        *((tried["started_at"], "attempts", tried) for tried in seen.attempts),
        *((asked["asked_at"], "reviews", asked) for asked in seen.reviews),
        *((settled["answered_at"], "answers", settled) for settled in seen.answers),
    ]
    found: dict[str, Records] = {}
    for _, kind, record in sorted(told, key=lambda each: each[0]):
        found.setdefault(part_of(record), {}).setdefault(kind, []).append(record)
    for grade in seen.grades:
        found.setdefault(part_of(grade), {}).setdefault("grades", []).append(grade)
    return found


def _step(seen: SeenRow, name: str, records: Records) -> str:
    tried, answers = records.get("attempts", []), records.get("answers", [])
    body = "".join(
        [
            *(details(f"decision: {bold(made['choice'] or 'nobody')} {faint(made['reason'] or '')}",
                      attempts.decision(made)) for made in records.get("decisions", [])),
            *(attempts.attempt(seen, each, after=after) for each, after in zip(tried, _afters(records), strict=True)),
            *(details(f"{KINDS['person'].mark} question to {bold(asked['person'])}", attempts.review(asked))
              for asked in records.get("reviews", [])),
            *(details(f"ended: {bold(each['status'])} {faint(_value(each))}", attempts.answer(each, seen))
              for each in answers),
            *([details("grades", attempts.grades(records["grades"]))] if "grades" in records else []),
        ]
    )  # fmt: skip
    return details(_step_summary(records), body, about=name)


def _step_summary(records: Records) -> str:
    one = next(iter(records.values()))[0]
    turn = f" turn {one['turn']}" if one["turn"] else ""
    repeat = f" [{one['repeat']}]" if one["repeat"] else ""
    last = next(reversed(records.get("answers", [])), None)
    tried = records.get("attempts", [])
    marks = "".join(
        dict.fromkeys(
            [m for each in tried if (m := KINDS[kind_of(each)].mark)]
            + ([FAILED.mark] if any(each["error_type"] for each in tried) else [])
            + ([KINDS["reused"].mark] if last and last["reused_from"] else [])
        )
    )
    who = ", ".join(dict.fromkeys(each["model"] for each in tried))
    told = [who, last["status"] if last else "under way", _value(last) if last else ""]
    return f"{bold(short_step(one['step']) + turn + repeat)} {marks} {faint(' · '.join(filter(None, told)))}"


def _afters(records: Records) -> Iterator[str]:
    """What was done after each attempt: the next one, or how the step ended."""
    tried, answers = records.get("attempts", []), records.get("answers", [])
    for number, _ in enumerate(tried, start=1):
        if number < len(tried):
            yield f"{tried[number]['why']}: {tried[number]['model']}"
        elif records.get("reviews"):
            yield f"left to {records['reviews'][-1]['person']}"
        elif answers:
            yield f"{answers[-1]['status']}; {answers[-1]['reason'] or 'nothing more'}"
        else:
            yield "nothing yet"


def _step_lines(records: Records, seen: SeenRow) -> Iterator[str]:
    for made in records.get("decisions", []):
        yield f"  {short_step(made['step'])}: {made['choice'] or 'nobody'} was chosen: {made['reason']}"
    for each, after in zip(records.get("attempts", []), _afters(records), strict=True):
        wait, served = each["wait_seconds"] or 0.0, each["service_seconds"] or 0.0
        came = f"{each['error_type']}: {_short(each['error_message'])} → {after}" if each["error_type"] else ""
        told = came or _short(seen.texts.get(each["output_hash"] or "", ""))
        yield (
            f"    attempt {each['number']}, {each['model']}, {each['why']}: waited {duration_of(wait)}, served "
            f"{duration_of(served)}, {attempts.money(each['cost_usd'])}" + (f" → {told}" if told else "")
        )
    for settled in records.get("answers", []):
        yield f"  {short_step(settled['step'])}: {settled['status']} {_value(settled)}".rstrip()


def _value(settled: Record) -> str:
    """A value in a few words, or why there is none."""
    if settled["status"] != "answered" or settled["value"] is None:
        return _short(settled["reason"])
    value = orjson.loads(str(settled["value"]))
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value):,} {'numbers' if all(isinstance(each, int | float) for each in value) else 'items'}"
    return _short(value if isinstance(value, str) else orjson.dumps(value).decode())


def _short(value: Any, most: int = TEXT_CHARACTERS) -> str:
    told = " ".join(("" if value is None else str(value)).split())
    return told if len(told) <= most else told[: most - 1] + "…"
