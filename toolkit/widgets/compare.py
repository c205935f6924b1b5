"""The rows that two contenders answered differently: a list in pages, and both rows beside each other on a click.

    tk.changes(tk.compare([first, second], step="triage"))

In a notebook a line that is clicked opens the row in both runs. Elsewhere the list is HTML without a script, or text.
"""

from __future__ import annotations

from html import escape
from typing import Any

from toolkit.errors import RunError
from toolkit.evaluation.comparison import Comparison
from toolkit.evaluation.exchange import usd
from toolkit.ledger.reading.history import History
from toolkit.widgets.canvas import Shown
from toolkit.widgets.markup import bold, faint, framed, spread, table
from toolkit.widgets.row import RowView, row_link

PAGE_ROWS = 12
ORDERS = {"losses": "losses first", "gains": "gains first", "rows": "by row id"}
NAME_CHARACTERS = 40


def changes(found: Comparison) -> Changes:
    """The rows of a comparison that changed, to be looked at.

    Raises RunError where there is nothing to list: a single contender, or rows that are not known one by one.
    """
    return Changes(found)


class Changes(Shown):
    """The rows whose quality differs between the first contender and another one, in pages."""

    def __init__(self, found: Comparison) -> None:
        super().__init__()
        scored = found.scored
        if len(scored.contenders) < 2:
            raise RunError(f"there is only {scored.contenders[0]}: no other answered its rows differently")
        self.found = found
        self.contender = scored.contenders[1]
        self.order, self.find, self.page = "losses", "", 0
        self.opened: str | None = None
        self._table = found.changed(self.contender)
        self._views: dict[str, RowView] = {}
        self._box: Any = None

    def asked(self, wish: dict[str, Any]) -> None:
        if row_id := wish.get("row"):
            self.open(str(row_id))
            return
        if (name := wish.get("contender")) in self.found.scored.contenders[1:] and name != self.contender:
            self.contender, self._table = str(name), self.found.changed(str(name))
        self.order = wish["order"] if wish.get("order") in ORDERS else self.order
        self.find = str(wish.get("find", self.find)).strip()
        self.page = min(max(int(wish.get("page") or 0), 0), max(self.pages - 1, 0))
        self.refresh()

    def open(self, row_id: str) -> None:
        """Show that row of both runs. Raises RunError where it cannot be opened, with the reason."""
        names = (self.found.scored.contenders[0], self.contender)
        origins = dict(zip(self.found.scored.contenders, self.found.scored.origins, strict=False))
        views = []
        for name in names:
            origin = origins.get(name)
            if origin is None:
                raise RunError(f"{name} is no run, so it has no row to open; tk.replay gives a router a run of its own")
            if name not in self._views:
                self._views[name] = RowView(History(origin.home), origin.run_id, row_id)
            else:
                self._views[name].open(row_id)
            views.append(self._views[name])
        self.opened = row_id
        self._place(views)
        self.refresh()

    @property
    def widget(self) -> Any:
        if self._box is None:
            from ipywidgets import VBox

            self._box = VBox([super().widget])
        return self._box

    @property
    def html(self) -> str:
        return framed(self._head() + self._listed(self._rows(), links=False) + self._more())

    @property
    def text(self) -> str:
        head = self._said()
        lines = [f"  {row['row_id']}: {self._in_words(row)}" for row in self._rows()]
        return "\n".join([head, *lines, *([self._beyond()] if self._beyond() else [])])

    def parts(self) -> dict[str, str]:
        return {
            "head": self._head(),
            "controls": self._controls(),
            "list": self._listed(self._rows(), links=self._can_open) + self._pager(),
            "row": faint(f"row {self.opened} in both, beside each other:") if self.opened else "",
        }

    @property
    def total(self) -> int:
        """How many rows are listed: those that changed, and whose id has what is looked for."""
        return len(self._kept())

    @property
    def pages(self) -> int:
        return -(-self.total // PAGE_ROWS)

    # ------------------------------------------------------------------------------------------------------- helpers
    def _place(self, views: list[RowView]) -> None:
        if self._box is None:
            return
        from ipywidgets import HBox, Layout

        for view in views:
            view.widget.layout = Layout(width="50%", min_width="0", overflow="auto")
        beside = HBox([view.widget for view in views], layout=Layout(width="100%", align_items="flex-start"))
        self._box.children = (super().widget, beside)

    @property
    def _can_open(self) -> bool:
        return len(self.found.scored.origins) == len(self.found.scored.contenders)

    def _kept(self) -> Any:
        kept = self._table
        if self.find:
            kept = kept[kept.row_id.astype(str).str.contains(self.find, case=False, regex=False)]
        if self.order == "gains":
            return kept.iloc[::-1]
        return kept.sort_values("row_id", kind="stable") if self.order == "rows" else kept

    def _rows(self) -> list[dict[str, Any]]:
        first = self.page * PAGE_ROWS
        page = self._kept().iloc[first : first + PAGE_ROWS]
        return [dict(zip(page.columns, row, strict=True)) for row in page.itertuples(index=False)]

    def _said(self) -> str:
        scored, change = self.found.scored, self._table["change"]
        n, gains = int(scored.common.sum()), int((change > 0).sum())
        return (
            f"{len(change):,} of {n:,} rows changed from {_short(scored.contenders[0])} to {_short(self.contender)}: "
            f"{gains:,} better, {len(change) - gains:,} worse"
        )

    def _head(self) -> str:
        opens = "a click opens the row in both" if self._can_open else "routers have no runs whose rows could be opened"
        return f'<div style="margin:2px 0">{bold(self._said())} {faint("· " + opens)}</div>'

    def _controls(self) -> str:
        """Always the same markup, so that a field keeps what is being typed into it."""
        others = self.found.scored.contenders[1:]
        chosen = [_select("contender", {name: f"against {_short(name)}" for name in others})] if len(others) > 1 else []
        field = '<input name="find" placeholder="find a row id" aria-label="find a row id">'
        return spread([*chosen, _select("order", ORDERS), field])

    def _listed(self, rows: list[dict[str, Any]], *, links: bool) -> str:
        if not rows:
            return faint("no such row changed" if self.find else "no row changed: all have the same quality in both")
        columns = [name for name in self._table.columns if name not in ("row_id", "change")]
        head = ("row", "change", *(_heading(name, self.found.scored.contenders) for name in columns))
        body = [
            (
                row_link(str(row["row_id"])) if links else escape(str(row["row_id"])),
                bold(f"{row['change']:+.3g}"),
                *(escape(_number(row[name], name)) for name in columns),
            )
            for row in rows
        ]
        return table(head, body, numbers=range(1, len(head)))

    def _pager(self) -> str:
        if self.pages <= 1:
            return ""
        turn = [("‹ before", self.page - 1, self.page > 0), ("next ›", self.page + 1, self.page + 1 < self.pages)]
        buttons = [
            f'<button data-page="{page}"{"" if there else " disabled"}>{name}</button>' for name, page, there in turn
        ]
        return spread([*buttons, faint(f"page {self.page + 1:,} of {self.pages:,}, {self.total:,} rows")])

    def _beyond(self) -> str:
        more = self.total - PAGE_ROWS * (self.page + 1)
        return f"and {more:,} more: .changed() has them all" if more > 0 else ""

    def _more(self) -> str:
        return faint(self._beyond()) if self._beyond() else ""

    def _in_words(self, row: dict[str, Any]) -> str:
        told = [f"{row['change']:+.3g}"]
        told += [f"{name} {_number(value, name)}" for name, value in row.items() if name not in ("row_id", "change")]
        return ", ".join(told)


def _select(name: str, options: dict[str, str]) -> str:
    told = "".join(f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in options.items())
    return f'<select name="{name}" aria-label="{name}">{told}</select>'


def _heading(column: str, contenders: tuple[str, ...]) -> str:
    for name in contenders:
        column = column.replace(f" of {name}", f" of {_short(name)}")
    return escape(column)


def _number(value: Any, column: str) -> str:
    if isinstance(value, float):
        if value != value:
            return "unknown"
        return usd(value) if column.startswith("cost of ") else f"{value:.3g}"
    return str(value)


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
