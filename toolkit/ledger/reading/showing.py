"""Rows of a run as the record has them at one moment: one of them with all that happened to it, or a page of many.

In: a `History`, a run's id, and a row's or what rows are wanted. Out: frozen records of what the statements in
`ledger.views.showing` give. Texts come whole: a request that is kept in pieces is put together again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import duckdb
import orjson

from toolkit.errors import LedgerError, RunError
from toolkit.ledger.documents import MARK, join
from toolkit.ledger.reading import tail
from toolkit.ledger.reading.history import History
from toolkit.ledger.views import showing
from toolkit.records import RowStatus

PAGE_ROWS = 25
CHILDREN_SHOWN = 200
OF_RUN = (showing.RUN, showing.FIGURES, showing.SERVED, showing.FIRST_SEEN, showing.EDGES, showing.CHOICES)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class SeenRow:
    """A row of a run at the moment `as_of`. `row` is None where it has not ended, and of the row of the batch.

    `texts` has the contents by hash, requests put together; what is missing there was pruned, erased or never kept:
    `keeps_texts` tells whether the run kept any. `children` are rows of nested workflows, the first few of
    `children_total`.
    """

    run: Record
    row_id: str
    row: Record | None
    decisions: tuple[Record, ...]
    attempts: tuple[Record, ...]
    answers: tuple[Record, ...]
    grades: tuple[Record, ...]
    reviews: tuple[Record, ...]
    children: tuple[Record, ...]
    texts: Mapping[str, str]
    as_of: datetime
    note: str = ""

    @property
    def children_total(self) -> int:
        return int(self.children[0]["total"]) if self.children else 0

    @property
    def keeps_texts(self) -> bool:
        return bool((orjson.loads(self.run["settings"] or "{}") or {}).get("content") != "hashes")


@dataclass(frozen=True)
class Wanted:
    """Which rows of a run, in which order: a page of those that fit all that is not empty.

    `step` is the whole path of one, `text` is looked for in fields, answers, reasons and ids, whatever the case.
    """

    status: str = ""
    step: str = ""
    model: str = ""
    text: str = ""
    sort: str = "order"
    page: int = 0

    @property
    def narrowing(self) -> dict[str, str]:
        given = {name: getattr(self, name) for name in showing.NARROWED}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class SeenPage:
    """A page of rows: `rows` have the columns of `views.showing.PAGE`, `total` counts all that were wanted."""

    wanted: Wanted
    total: int
    rows: tuple[Record, ...]
    as_of: datetime
    note: str = ""

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE_ROWS))


@dataclass(frozen=True)
class SeenRun:
    """What the graph of a run shows: figures by step, who answered there, and its settings, which have the graph.

    `edges` are (step, source) as decisions kept them, `order` the steps as they were first answered.
    """

    run: Record
    figures: tuple[Record, ...]
    served: tuple[Record, ...]
    order: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    choices: tuple[Record, ...]
    as_of: datetime
    note: str = ""


def row_seen(history: History, run_id: str, row_id: str) -> SeenRow:
    """A row with all that happened to it. Raises RunError where there is no such run or row."""
    statements = (showing.RUN, showing.ROW, showing.DECISIONS, showing.ATTEMPTS, showing.ANSWERS, showing.GRADES,
                  showing.REVIEWS, showing.CHILDREN, showing.TEXTS)  # fmt: skip
    with _asked(history, run_id, *statements) as (shown, ask):
        run = _the_run(history, run_id, ask(showing.RUN))
        found = [ask(statement, row=row_id) for statement in statements[1:7]]
        rows, decisions, attempts, answers, grades, reviews = found
        if not any(found):
            near = ask(showing.NEAR, row=row_id)
            raise RunError(_unknown(run_id, row_id, near))
        hashes = {each[name] for each in (*decisions, *attempts) for name in ("request_hash", "output_hash")
                  if each.get(name)}  # fmt: skip
        return SeenRow(
            run=run,
            row_id=row_id,
            row=rows[0] if rows else None,
            decisions=decisions,
            attempts=attempts,
            answers=answers,
            grades=grades,
            reviews=reviews,
            children=ask(showing.CHILDREN, row=row_id, most=CHILDREN_SHOWN),
            texts=_texts(ask, hashes),
            as_of=shown.as_of,
            note=shown.note,
        )


def page_seen(history: History, run_id: str, wanted: Wanted) -> SeenPage:
    """A page of rows; the last one where there are fewer. Raises RunError where there is no such run or order."""
    statements = _paged(wanted)
    with _asked(history, run_id, showing.RUN, *statements) as (shown, ask):
        _the_run(history, run_id, ask(showing.RUN))
        return _page(shown, ask, wanted, *statements)


def run_seen(history: History, run_id: str, wanted: Wanted) -> tuple[SeenRun, SeenPage]:
    """What the graph of a run shows, and a page of its rows, at one moment. Raises RunError as `page_seen`."""
    statements = _paged(wanted)
    with _asked(history, run_id, *OF_RUN, *statements) as (shown, ask):
        run = SeenRun(
            run=_the_run(history, run_id, ask(showing.RUN)),
            figures=ask(showing.FIGURES),
            served=ask(showing.SERVED),
            order=tuple(each["step"] for each in ask(showing.FIRST_SEEN)),
            edges=tuple((each["step"], each["source"]) for each in ask(showing.EDGES)),
            choices=ask(showing.CHOICES),
            as_of=shown.as_of,
            note=shown.note,
        )
        return run, _page(shown, ask, wanted, *statements)


# ------------------------------------------------------------------------------------------------------------ helpers
@contextmanager
def _asked(history: History, run_id: str, *statements: str) -> Iterator[tuple[Any, Any]]:
    """The record at one moment, and a function that asks it; its rows are dictionaries."""
    query = "; ".join(statements)
    with history.laid_over(tail.tables_in(query), run_id=run_id, needed=tail.views_in(query)) as shown:

        def ask(statement: str, **params: Any) -> tuple[Record, ...]:
            done = shown.connection.execute(statement, params or None)
            names = [column[0] for column in done.description or ()]
            return tuple(dict(zip(names, row, strict=True)) for row in done.fetchall())

        try:
            yield shown, ask
        except duckdb.Error as error:
            raise LedgerError(f"run {run_id} cannot be read: {error}") from error


def _paged(wanted: Wanted) -> tuple[str, str]:
    """The statements that count the rows wanted, and read a page of them."""
    if wanted.sort not in showing.SORTS:
        raise RunError(f"rows are sorted by {', '.join(showing.SORTS)}, not by {wanted.sort!r}")
    if wanted.status and wanted.status not in get_args(RowStatus):
        raise RunError(f"a row is {', '.join(get_args(RowStatus))}, not {wanted.status!r}")
    narrowed = "".join(f" and {showing.NARROWED[name]}" for name in wanted.narrowing)
    by_errors = wanted.sort == "errors"
    page = showing.PAGE.format(
        narrowed=narrowed,
        sort=showing.SORTS[wanted.sort],
        counted=showing.COUNTED if by_errors else "",
        joined=showing.JOINED if by_errors else "",
    )
    return showing.COUNT.format(narrowed=narrowed), page


def _page(shown: Any, ask: Any, wanted: Wanted, count: str, page: str) -> SeenPage:
    total = int(next(iter(ask(count, **wanted.narrowing)[0].values())))
    last = max(0, -(-total // PAGE_ROWS) - 1)
    wanted = Wanted(**{**wanted.__dict__, "page": min(max(0, wanted.page), last)})
    rows = ask(page, **wanted.narrowing, most=PAGE_ROWS, after=wanted.page * PAGE_ROWS)
    return SeenPage(wanted, total, rows, shown.as_of, shown.note)


def _the_run(history: History, run_id: str, found: tuple[Record, ...]) -> Record:
    if not found:
        raise RunError(f"there is no run {run_id!r} in {history.home}")
    return found[0]


def _unknown(run_id: str, row_id: str, near: tuple[Record, ...]) -> str:
    if not near:
        return f"run {run_id} has no row {row_id!r}; no row of it has ended yet"
    names = ", ".join(each["row_id"] for each in near)
    return f"run {run_id} has no row {row_id!r}; it has {near[0]['total']:,}, such as {names}"


def _texts(ask: Any, hashes: set[str]) -> dict[str, str]:
    """The contents under these hashes, requests whole; what is not there, or of which a piece is not, is left out."""
    bodies: dict[str, bytes] = {}
    wanted = set(hashes)
    while wanted:
        found = {each["hash"]: each["body"].encode() for each in ask(showing.TEXTS, hashes=sorted(wanted))}
        bodies |= found
        wanted = {
            piece[1:]
            for body in found.values()
            if body.startswith(MARK.encode())
            for piece in orjson.loads(body)["$pieces"]
            if piece[:1] in ("[", '"')
        } - bodies.keys()
    whole = {}
    for name in hashes & bodies.keys():
        try:
            whole[name] = join(bodies[name], bodies.__getitem__).decode()
        except KeyError:
            continue
    return whole
