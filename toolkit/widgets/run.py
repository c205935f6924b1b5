"""The rows of a run, to look at: the graph with the run's figures, a page of rows at a time, and a row that is opened.

    tk.show("latest")                     # or a run's handle, or its name, which may be cut short
    tk.show(run, row="r017")              # one row, see `toolkit.widgets.row`

Rows are read by pages, so that a run of any length is shown at once. Outside of a notebook the same is HTML or text.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from toolkit.errors import RunError
from toolkit.ledger.reading.history import History
from toolkit.ledger.reading.showing import PAGE_ROWS, Record, SeenPage, SeenRun, Wanted, page_seen, run_seen
from toolkit.runs.progress import duration
from toolkit.widgets import figures, telling
from toolkit.widgets.canvas import Shown
from toolkit.widgets.course import FAILED, short_step
from toolkit.widgets.live import found_run
from toolkit.widgets.markup import bold, faint, framed
from toolkit.widgets.row import RowView, row_view
from toolkit.widgets.standing import standing_of

if TYPE_CHECKING:
    from toolkit.runs.running import Running

STATUSES = ("answered", "parked", "failed", "set_aside")
SORTED = {
    "order": "in the order of the table",
    "latest": "latest first",
    "slowest": "slowest first",
    "dearest": "dearest first",
    "errors": "most errors first",
}
_CELL = "padding:2px 10px 2px 0;vertical-align:top;border:0;text-align:"


def show(run: Running | str = "latest", *, row: str | None = None, home: Path | str | None = None) -> Shown:
    """The rows of a run, or one of them: its handle, or its name, which may be cut short; `home` is that of the record.

    Raises RunError where there is no record, no such run or no such row.
    """
    history, run_id = found_run(run, home=home)
    return RunView(history, run_id) if row is None else row_view(history, run_id, str(row))


class RunView(Shown):
    """A run's rows, shown. `look` reads which rows are wanted, `open` shows one of them below."""

    def __init__(self, history: History, run_id: str) -> None:
        super().__init__()
        self.history = history
        self.run_id = run_id
        self.opened: RowView | None = None
        self.seen: SeenRun
        self.page: SeenPage
        self._read(Wanted())

    def look(self, **wanted: Any) -> RunView:
        """Show the rows that are wanted: status, step, model, text, sort, page (see `Wanted`). Raises RunError."""
        known = Wanted.__dataclass_fields__
        if unknown := sorted(set(wanted) - set(known)):
            raise RunError(f"rows are not chosen by {unknown[0]!r} but by {', '.join(known)}")
        self.page = page_seen(self.history, self.run_id, self._whole(Wanted(**wanted)))
        self.refresh()
        return self

    def open(self, row_id: str) -> RunView:
        """Show that row below the others. Raises RunError where there is none."""
        self.opened = row_view(self.history, self.run_id, row_id)
        self.refresh()
        return self

    @property
    def html(self) -> str:
        parts = {**self.parts(), "list": _listed(self.page, is_over=self.standing.is_over, turns=False)}
        hint = faint(f"in a notebook a click opens a row; anywhere: tk.show({self.run_id!r}, row=…)")
        return framed(f"{parts['head']}{parts['list']}{hint}{parts['row']}")

    @property
    def text(self) -> str:
        lines = [telling.text(self.standing), *figures.text(self.seen), "", *_lines(self.page)]
        return "\n".join([*lines, *([] if self.opened is None else ["", self.opened.text])])

    def parts(self) -> dict[str, str]:
        opened = "" if self.opened is None else self.opened.parts()["row"]
        return {
            "head": telling.html(self.standing) + figures.html(self.seen),
            "controls": _controls(self.seen, self.page.wanted),
            "list": _listed(self.page, is_over=self.standing.is_over),
            "row": opened,
        }

    def asked(self, wish: dict[str, Any]) -> None:
        if wish.get("row"):
            self.open(str(wish["row"]))
        elif wish.get("refresh"):
            self._read(self.page.wanted)
            self.refresh()
        else:
            self.look(**{name: wish[name] for name in Wanted.__dataclass_fields__ if name in wish})

    def _read(self, wanted: Wanted) -> None:
        self.standing = standing_of(self.history, self.run_id)
        self.seen, self.page = run_seen(self.history, self.run_id, wanted)

    def _whole(self, wanted: Wanted) -> Wanted:
        """With the whole path of a step that is named as people name it."""
        paths = {short_step(each["step"]): each["step"] for each in self.seen.choices}
        return Wanted(**{**wanted.__dict__, "step": paths.get(wanted.step, wanted.step)})


# ------------------------------------------------------------------------------------------------------------- markup
def _controls(seen: SeenRun, wanted: Wanted) -> str:
    steps = {each["step"]: short_step(each["step"]) for each in seen.choices}
    models = {each["model"]: each["model"] for each in seen.choices if each["model"]}
    return "".join((
        f'<input name="text" type="search" placeholder="search in rows and answers" value="{escape(wanted.text)}" '
        'aria-label="search">',
        _select("status", {status: status.replace("_", " ") for status in STATUSES}, wanted.status, "any status"),
        _select("step", steps, wanted.step, "any step"),
        _select("model", models, wanted.model, "any model"),
        _select("sort", SORTED, wanted.sort, None),
        '<button data-wish="refresh" title="Read the record again">Refresh</button>',
    ))  # fmt: skip


def _select(name: str, choices: dict[str, str], chosen: str, any_: str | None) -> str:
    first = "" if any_ is None else f'<option value="">{any_}</option>'
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(shown)}</option>'
        for value, shown in choices.items()
    )
    return f'<select name="{name}" aria-label="{name}">{first}{options}</select>'


def _listed(page: SeenPage, *, is_over: bool, turns: bool = True) -> str:
    """A page of rows; without `turns` there is nobody who could turn it."""
    if not page.rows:
        return f"<div>{faint(_none(page, is_over=is_over))}</div>"
    head = ("row", "status", "what went in", "calls", "errors", "took", "USD")
    sides = ("left", "left", "left", "right", "right", "right", "right")
    top = "".join(f'<th style="{_CELL}{side}">{name}</th>' for name, side in zip(head, sides, strict=True))
    body = "".join(
        f'<tr data-row="{escape(each["row_id"])}" tabindex="0" style="background:none">'
        + "".join(f'<td style="{_CELL}{side}">{cell}</td>' for cell, side in zip(_cells(each), sides, strict=True))
        + "</tr>"
        for each in page.rows
    )
    return (
        f'<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:12.5px;color:inherit;border:0">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>{_turning(page, turns=turns)}"
    )


def _cells(each: Record) -> tuple[str, ...]:
    told = escape(_excerpt(each))
    reason = f"<br>{faint(_cut(each['reason'], 120))}" if each["reason"] else ""
    return (
        bold(each["row_id"]),
        escape(_status(each)),
        told + reason,
        f"{each['calls']:,}" + (f" · {each['reused']:,} reused" if each["reused"] else ""),
        f"{FAILED.mark} {each['errors']:,}" if each["errors"] else "0",
        "" if each["seconds"] is None else duration(each["seconds"]),
        "unknown" if each["cost_usd"] is None else f"{each['cost_usd']:.6f}",
    )


def _turning(page: SeenPage, *, turns: bool) -> str:
    """The buttons that turn pages, and which one this is."""
    number, last = page.wanted.page, page.pages - 1
    first = number * PAGE_ROWS + 1
    told = f"rows {first:,} to {first + len(page.rows) - 1:,} of {page.total:,}, as of {page.as_of:%H:%M:%S} UTC"
    off = " disabled"
    ways = (("«", 0, "first"), ("‹", number - 1, "previous"), ("›", number + 1, "next"), ("»", last, "last"))
    buttons = "".join(
        f'<button data-page="{max(0, to)}" aria-label="{name} page"{"" if 0 <= to <= last and to != number else off}>'
        f"{mark}</button>"
        for mark, to, name in ways
    )
    return f'<div class="tk-turning">{buttons if last and turns else ""}{faint(told)}</div>'


def _none(page: SeenPage, *, is_over: bool) -> str:
    if page.wanted.narrowing:
        chosen = ", ".join(f"{name} {value!r}" for name, value in page.wanted.narrowing.items())
        return f"no row fits {chosen}"
    return "no row of this run has ended" + ("" if is_over else " yet; Refresh looks again")


def _lines(page: SeenPage) -> list[str]:
    if not page.rows:
        return [_none(page, is_over=True)]
    width = max(len(each["row_id"]) for each in page.rows)
    lines = [
        f"{each['row_id']:<{width}}  {_status(each):<9}  {each['calls']:>3} calls  "
        f"{'' if each['reused'] == 0 else str(each['reused']) + ' answers reused, '}"
        f"{'' if each['errors'] == 0 else str(each['errors']) + ' failed, '}{_cut(_excerpt(each), 70)}"
        for each in page.rows
    ]
    first = page.wanted.page * PAGE_ROWS + 1
    return [*lines, f"rows {first:,} to {first + len(page.rows) - 1:,} of {page.total:,}"]


def _status(each: Record) -> str:
    return str(each["status"]).replace("_", " ")


def _excerpt(each: Record) -> str:
    """The longest words of a row's fields: what a person knows it by."""
    if each["fields"] is None:
        return "fields are not on record"
    try:
        fields = orjson.loads(each["fields"])
    except orjson.JSONDecodeError:  # it was cut short
        return _cut(str(each["fields"]), 110)
    texts = sorted((str(value) for value in fields.values() if value is not None), key=len, reverse=True)
    return _cut(texts[0], 110) if texts else ""


def _cut(told: str, most: int) -> str:
    told = " ".join(told.split())
    return told if len(told) <= most else told[: most - 1] + "…"
