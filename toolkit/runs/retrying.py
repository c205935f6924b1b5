"""Rows of a run that failed, or were set aside: listed, mended, and driven again in the same run.

    troubled("latest")                                        the rows, with the reason of each
    retry("latest", failed=True)                              as they are on record
    retry("latest", set_aside=True, mended="mended.csv")      given anew under the same ids

Steps of theirs that are answered stay, where a mended row asks the same; what failed is asked anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.asking.settings import DEFAULT_HOME, Again
from toolkit.errors import RowsError, RunError
from toolkit.fleet import Fleet
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal
from toolkit.records import RowRecord, RowStatus, Run
from toolkit.rows import Rows, open_rows
from toolkit.runs.feeding import identify
from toolkit.runs.resuming import Job, find_run
from toolkit.runs.running import Running, start

TROUBLED: tuple[RowStatus, ...] = ("failed", "set_aside")


def troubled(run_id: str, *, statuses: Collection[str] = TROUBLED, home: Path | str = DEFAULT_HOME) -> list[RowRecord]:
    """The rows of a run that failed or were set aside, by their place in the table. Raises RunError."""
    return [row for row in _rows(find_run(run_id, home=home), home).values() if row.status in statuses]


def retry(
    run_id: str,
    *,
    failed: bool = False,
    set_aside: bool = False,
    row_ids: Collection[str] = (),
    mended: Any = None,
    workflow: Workflow | None = None,
    fleet: Fleet | None = None,
    home: Path | str = DEFAULT_HOME,
    **options: Any,
) -> Running:
    """Drive rows of a run again, in that run, and return its handle at once.

    Which: all that `failed` or were `set_aside`; of those, or of both where neither is said, only `row_ids`;
    where nothing is said, those that are `mended`. A row is given as it is on record, or anew by `mended`: a file, a
    query, a DataFrame or a list with rows under their old ids. A run that was started from objects needs its `workflow`
    and `fleet`. `options` are those of `start`.

    Raises RunError where there is no such run or row, or nothing to drive.
    """
    run = find_run(run_id, home=home)
    if workflow is None or fleet is None:
        known = Job.of(run, rows="").open()
        workflow, fleet = workflow or known[0], fleet or known[1]
    anew = _mended(mended, workflow)
    statuses = tuple(status for status, is_wanted in zip(TROUBLED, (failed, set_aside), strict=True) if is_wanted)
    if not statuses and not row_ids and not anew:
        raise RunError("say which rows: those that failed, those that were set aside, their ids, or mended ones")
    wanted = set(row_ids) or (set() if statuses else set(anew))
    chosen = _chosen(run, _rows(run, home), statuses=statuses or TROUBLED, wanted=wanted, mended=set(anew))
    return _driven(run, chosen, anew, workflow=workflow, fleet=fleet, home=home, **options)


def go_on(
    run: Run,
    row_ids: Collection[str] | None = None,
    *,
    workflow: Workflow,
    fleet: Fleet,
    home: Path | str = DEFAULT_HOME,
    **options: Any,
) -> Running:
    """Drive on rows that wait for a person (all of them where none are named), as they are on record.

    For runs that were started from objects. Raises RunError where no row is left that waits, or where its words are
    not on record.
    """
    with Journal.open(home) as journal:
        parked = [row for row in journal.parked_rows(run.id) if row.parent_row_id is None]
    chosen = [row for row in parked if row_ids is None or row.row_id in row_ids]
    if not chosen:
        raise RunError(f"run {run.id} has no row among these that waits for a person: somebody went on with them")
    return _driven(run, chosen, {}, workflow=workflow, fleet=fleet, home=home, **options)


# ----------------------------------------------------------------------------------------------------------- helpers
def _rows(run: Run, home: Path | str) -> dict[str, RowRecord]:
    with Journal.open(home) as journal:
        found = {row_id: journal.row(run.id, row_id) for row_id in journal.row_statuses(run.id)}
    return {row_id: row for row_id, row in found.items() if row is not None and row.parent_row_id is None}


def _mended(source: Any, workflow: Workflow) -> dict[str, Mapping[str, Any]]:
    if source is None:
        return {}
    listed = list(open_rows(source).stream())
    found = {identify(workflow, index, fields): fields for index, fields in enumerate(listed)}
    if len(found) < len(listed):
        raise RowsError(f"{len(listed) - len(found)} of the mended rows have the id of another one; give each once")
    return found


def _chosen(
    run: Run, rows: Mapping[str, RowRecord], *, statuses: Collection[str], wanted: set[str], mended: set[str]
) -> list[RowRecord]:
    for row_id in sorted(wanted | mended):
        if row_id not in rows:
            raise RunError(f"run {run.id} has no row {row_id!r}; toolkit retry {run.id} --list names them")
        if rows[row_id].status not in statuses:
            told = " or ".join(statuses).replace("_", " ")
            raise RunError(f"row {row_id!r} of run {run.id} is {rows[row_id].status.replace('_', ' ')}, not {told}")
    chosen = [row for row in rows.values() if row.status in statuses and (not wanted or row.row_id in wanted)]
    if unused := mended.difference(row.row_id for row in chosen):
        raise RunError(f"row {min(unused)!r} is mended, but not among those that were chosen; choose it too")
    if not chosen:
        raise RunError(
            f"run {run.id} has no row that is {' or '.join(statuses).replace('_', ' ')}: nothing to do again"
        )
    return chosen


def _driven(
    run: Run,
    chosen: list[RowRecord],
    anew: Mapping[str, Mapping[str, Any]],
    *,
    workflow: Workflow,
    fleet: Fleet,
    **options: Any,
) -> Running:
    table = _given(run, chosen, anew)
    again = tuple(Again(row.row_id, row.index, row.finished_at) for row in chosen)
    return start(workflow, table, fleet, run_id=run.id, again=again, **options)


def _given(run: Run, chosen: list[RowRecord], anew: Mapping[str, Mapping[str, Any]]) -> Rows:
    kept_no_words = run.settings.get("content") == "hashes"
    for row in chosen:
        if row.row_id not in anew and (kept_no_words or not row.fields):
            raise RunError(f"the record does not have the words of row {row.row_id!r} (any more): give it anew, mended")
    given = [anew.get(row.row_id, row.fields) for row in chosen]
    columns = tuple(dict.fromkeys(name for fields in given for name in fields))

    def stream() -> Iterator[Mapping[str, Any]]:
        return iter(given)

    return Rows(columns, len(given), stream)
