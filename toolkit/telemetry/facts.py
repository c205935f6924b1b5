"""What is read of the record for an export: frozen rows, as `toolkit.ledger.views.telemetry` lists their columns.

In: a history and what to read of it. Out: rows in the order in which they ended, a page at a time, and all that belongs
to a page. No more than a page is ever held.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from toolkit.errors import LedgerError
from toolkit.ledger.reading.history import History
from toolkit.ledger.reading.table import Table
from toolkit.ledger.views import telemetry as statements

PAGE_ROWS = 2_000
"""So many rows are read at once: each reading opens the history anew, which takes longer than the reading."""
PAGE_ROWS_WITH_CONTENT = 250
ALWAYS = 2**62
"""Later than anything on record, in microseconds."""
BATCH = "*"
"""The row that steps of the whole batch are recorded under."""


@dataclass(frozen=True, slots=True)
class Window:
    """What to read: of one run, or of all; from `since_us` and before `until_us`."""

    run_id: str | None = None
    since_us: int = 0
    until_us: int = ALWAYS


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run."""

    run_id: str
    workflow: str
    origin: str
    status: str
    started_us: int
    finished_us: int | None
    rows_total: int | None
    parent_run_id: str | None
    flow_run_id: str | None


@dataclass(frozen=True, slots=True)
class RowFacts:
    """A row that ended; `status` is unfinished where its run stopped before it did."""

    run_id: str
    row_id: str
    workflow: str | None
    index: int | None
    status: str
    reason: str | None
    seconds: float | None
    cost_usd: float | None
    parent_row_id: str | None
    parent_step: str | None
    finished_us: int
    run_status: str | None


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """A step that was settled.

    `is_workflow` says that its work is a workflow of its own; `items_began_us` is when the first of its rows began.
    """

    run_id: str
    row_id: str
    step: str
    turn: int
    repeat: int
    key: str
    status: str
    reason: str | None
    model: str | None
    attempt_id: str | None
    attempts: int
    cost_usd: float | None
    seconds: float | None
    reused_from: str | None
    answered_us: int
    is_workflow: bool
    items_began_us: int | None
    value: str | None


@dataclass(frozen=True, slots=True)
class DecisionFacts:
    """A routing decision."""

    id: str
    run_id: str
    row_id: str
    step: str
    turn: int
    repeat: int
    choice: str
    probability: float | None
    reason: str | None
    router: str | None
    probabilities: str | None
    exploration_rate: float | None
    snapshot: str | None
    candidate_order: list[str] | None
    candidates: str | None


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """One try at one model; `request` and `output` are its texts, where content is wanted and kept."""

    id: str
    run_id: str
    row_id: str
    step: str
    turn: int
    repeat: int
    decision_id: str | None
    number: int
    why: str | None
    model: str
    provider_name: str
    operation_name: str
    request_model: str
    response_model: str | None
    response_id: str | None
    started_us: int
    wait_seconds: float | None
    service_seconds: float | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_input_tokens: int | None
    cache_write_input_tokens: int | None
    reasoning_output_tokens: int | None
    cost_usd: float | None
    reported_cost_usd: float | None
    price_version: str | None
    finish_reasons: list[str] | None
    confidence: float | None
    error_type: str | None
    error_message: str | None
    session_id: str | None
    request: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class GradeFacts:
    """A judgement of an attempt or of a step's answer."""

    id: str
    run_id: str
    row_id: str
    step: str
    turn: int
    repeat: int
    attempt_id: str | None
    grader: str
    kind: str
    value: float | None
    label: str | None
    reason: str | None
    graded_by: str | None


@dataclass(frozen=True, slots=True)
class Belongings:
    """All that belongs to one row of a run."""

    answers: tuple[AnswerFacts, ...] = ()
    decisions: tuple[DecisionFacts, ...] = ()
    attempts: tuple[AttemptFacts, ...] = ()
    grades: tuple[GradeFacts, ...] = ()
    fields: str | None = None


class Incomplete(LedgerError):
    """A part of the record cannot be read at the moment; nothing is sent, as what is missing would never be."""


Fact = TypeVar("Fact")


# --------------------------------------------------------------------------------------------------------------- read
def run(history: History, run_id: str) -> RunFacts | None:
    """The run of that name."""
    found = _each(RunFacts, read(history, statements.RUN, {"run": run_id}, run_id=run_id))
    return found[0] if found else None


def runs_ended(history: History, window: Window) -> list[RunFacts]:
    """The runs that ended within the window."""
    params = {"since": window.since_us, "until": window.until_us}
    return _each(RunFacts, read(history, statements.RUNS_ENDED, params, run_id=window.run_id))


def rows_ended(history: History, window: Window, *, left: bool = False) -> Iterator[list[RowFacts]]:
    """The rows that ended within the window, in pages; or, with `left`, those that never ended as their run stopped."""
    statement = statements.ROWS_LEFT if left else statements.ROWS_ENDED
    params: dict[str, Any] = {"since": window.since_us, "until": window.until_us, "page": PAGE_ROWS}
    after: tuple[int, str, str] = (-1, "", "")
    while True:
        place = dict(zip(("after_us", "after_run", "after_row"), after, strict=True))
        page = _each(RowFacts, read(history, statement, params | place, run_id=window.run_id))
        if page:
            yield page
        if len(page) < PAGE_ROWS:
            return
        after = (page[-1].finished_us, page[-1].run_id, page[-1].row_id)


def with_belongings(
    history: History, rows: Sequence[RowFacts], *, content: bool = False
) -> Iterator[tuple[RowFacts, Belongings]]:
    """The rows of a page, each with all that belongs to it; with `content` only the texts of a few rows are held."""
    size = PAGE_ROWS_WITH_CONTENT if content else PAGE_ROWS
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        found = belongings(history, [(row.run_id, row.row_id) for row in part], content=content)
        for row in part:
            yield row, found[row.run_id, row.row_id]


def belongings(
    history: History, rows: Sequence[tuple[str, str]], *, content: bool = False
) -> Mapping[tuple[str, str], Belongings]:
    """(run, row) → all that belongs to it; values, texts and fields only with `content`."""
    pairs = {"runs": [run for run, _ in rows], "rows": [row for _, row in rows]}
    attempts = _each(AttemptFacts, read(history, statements.ATTEMPTS, pairs))
    fields: dict[tuple[str, str], str] = {}
    if content:
        texts = {id: (request, output) for id, request, output in read(history, statements.TEXTS, pairs).rows}
        attempts = [
            replace(attempt, request=texts[attempt.id][0], output=texts[attempt.id][1])
            if attempt.id in texts
            else attempt
            for attempt in attempts
        ]
        fields = {(run, row): text for run, row, text in read(history, statements.FIELDS, pairs).rows}
    answers = _by_row(_each(AnswerFacts, read(history, statements.ANSWERS, pairs | {"content": content})))
    decisions = _by_row(_each(DecisionFacts, read(history, statements.DECISIONS, pairs)))
    tried = _by_row(attempts)
    grades = _by_row(_each(GradeFacts, read(history, statements.GRADES, pairs)))
    return {
        row: Belongings(
            tuple(answers[row]), tuple(decisions[row]), tuple(tried[row]), tuple(grades[row]), fields.get(row)
        )
        for row in rows
    }


def read(
    history: History, statement: str, params: Mapping[str, Any] | None = None, *, run_id: str | None = None
) -> Table:
    """The rows of a statement. Raises Incomplete where the reader could not see everything."""
    table = history.sql(statement, params, run_id=run_id)
    if table.note:
        raise Incomplete(f"not everything on record can be read now: {table.note}")
    return table


# ------------------------------------------------------------------------------------------------------------ helpers
def _each(kind: type[Fact], table: Table) -> list[Fact]:
    """A table's rows as facts; its columns are their fields."""
    return list(itertools.starmap(_maker(kind, table.columns), table.rows))


def _maker(kind: type[Fact], columns: Sequence[str]) -> Any:
    return lambda *values: kind(**dict(zip(columns, values, strict=True)))


def _by_row(facts: Sequence[Any]) -> defaultdict[tuple[str, str], list[Any]]:
    grouped: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for fact in facts:
        grouped[fact.run_id, fact.row_id].append(fact)
    return grouped
