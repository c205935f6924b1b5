"""Fork a past run: what its steps before one of them gave is taken from the record, all from that one on runs anew.

In: a workflow as it is now, with another prompt, router or model than the run had, and the run. Out: a new run, whose
`parent_run_id` is that one's, and which leaves that one as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.errors import RunError
from toolkit.fleet import Fleet
from toolkit.graph.past import Fork, anew
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal
from toolkit.records import Json, Run
from toolkit.runs.resuming import find_run
from toolkit.runs.running import start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.runs.running import Running


def fork(
    workflow: Workflow,
    run_id: str,
    *,
    at: str,
    fleet: Fleet,
    rows: Any = None,
    home: Path | str = DEFAULT_HOME,
    **options: Any,
) -> Running:
    """Begin a run that is like a past one up to the step `at`, and return its handle at once.

    A step that rests neither on `at` nor on the whole batch has in each row the answer that it had there, whoever would
    be asked today; where it had none, it runs. What runs anew is asked as in any run: a request that is on record word
    for word is answered from there, but with `fresh=True`. `rows` are the past run's own, as they are on record, where
    none are given; they are matched by their ids. `run_id` may be cut short; `options` are those of `start`, of which
    seed and redaction are the past run's where they are not given.

    Raises RunError where there is no such run or it kept no content, WorkflowError where there is no such step.
    """
    past = find_run(run_id, home=home)
    anew(workflow, at)
    if past.settings.get("content") == "hashes":
        raise RunError(f"run {past.id} kept hashes and no content: none of its answers can be taken; run it again")
    rows = _rows(past, workflow, home) if rows is None else rows
    told = {**options.pop("told", {}), **Fork(past.id, past.workflow, at).told}
    as_before = {"seed": past.seed, "redact": past.settings.get("redact", "")}
    return start(workflow, rows, fleet, home=home, told=told, **{**as_before, **options})


def _rows(past: Run, workflow: Workflow, home: Path | str) -> list[Mapping[str, Json]]:
    """The rows of a run as it saw them, each with the id that it had there."""
    with Journal.open(home) as journal:
        known = journal.row_fields(past.id)
        statuses = journal.row_statuses(past.id)
    found = [(row_id, fields) for row_id, fields in known if statuses[row_id] != "set_aside"]
    if not found or any(fields is None for _, fields in found):
        raise RunError(f"the rows of run {past.id} are not on record (any more); name them: fork(…, rows=…)")
    return [{**fields, workflow.row_id: fields.get(workflow.row_id) or row_id} for row_id, fields in found]
