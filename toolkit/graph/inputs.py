"""What a step is given: what it names, and nothing else; the run's metadata where it names `run`.

In: a row under way, or the batch as the journal has it. Out: inputs by name, as plain JSON and as the typed objects
that the step's function sees; or the answer of a step that cannot run, as what it needs is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolkit.errors import StepError
from toolkit.graph.rowstate import RowState
from toolkit.graph.steps import About, Step
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal
from toolkit.prompts.outputs import Output
from toolkit.prompts.tools import RUN_PARAMETER
from toolkit.records import Answer, Json, Place


def row_inputs(
    workflow: Workflow, step: Step, state: RowState, *, known: Mapping[str, Answer], place: Place
) -> dict[str, Json] | Answer:
    """The inputs of a step of a row; `known` are the answers of the steps that it needs.

    An answer where it cannot run; one that is skipped is new, and to be kept. Raises StepError where a column is
    missing.
    """
    inputs: dict[str, Json] = {}
    for name in step.needs:
        if name == RUN_PARAMETER:
            continue
        if name not in workflow.by_name:
            if state.has(name):
                inputs[name] = state.fields.get(name)
            elif name not in step.optional:
                raise StepError(f"the row has no column {name!r}")
            continue
        answer = known[name]
        if answer.status == "answered":
            inputs[name] = answer.value
        elif answer.status != "skipped":
            return Answer(place, "", answer.status, reason=f"needs {name}: {answer.reason}")
        elif name not in step.optional:
            return Answer(place, "", "skipped", reason=f"needs {name}, which was skipped: {answer.reason}")
    return inputs


def batch_inputs(workflow: Workflow, step: Step, state: RowState, *, journal: Journal, place: Place) -> dict[str, Json]:
    """The inputs of a reducing step: of a column or a per-row step the list over all answered rows, in their order and
    with None where a step was skipped; of another step its one value. Raises StepError where that has none."""
    rows = _answered_rows(journal, place.run_id)
    above = place.step.rpartition("/")[0]
    inputs: dict[str, Json] = {}
    for name in step.needs:
        if name in state.answers:
            answer = state.answers[name]
            if answer.status == "answered":
                inputs[name] = answer.value
            elif answer.status != "skipped" or name not in step.optional:
                raise StepError(f"needs {name}: {answer.reason}")
        elif name in workflow.by_name:
            values = dict(journal.step_values(place.run_id, f"{above}/{name}"))
            inputs[name] = [values.get(row_id) for row_id in rows]
        elif name not in step.optional or any(name in fields for fields in rows.values()):
            inputs[name] = [fields.get(name) for fields in rows.values()]
    inputs.pop(RUN_PARAMETER, None)
    return inputs


def revived(
    workflow: Workflow,
    step: Step,
    inputs: Mapping[str, Json],
    *,
    state: RowState,
    readers: Mapping[str, Output],
    run: About,
) -> dict[str, Any]:
    """The inputs as the step's function sees them."""
    values: dict[str, Any] = {}
    for name, value in inputs.items():
        source = workflow.by_name.get(name)
        if source is None:
            values[name] = value if step.reduces else state.column(name)
        elif step.reduces and not source.reduces and name not in workflow.once:
            values[name] = [None if item is None else readers[name].revive(item) for item in value]
        else:
            values[name] = readers[name].revive(value) if source.each is None else value
    if RUN_PARAMETER in step.needs:
        values[RUN_PARAMETER] = replace(run, row_id=state.row_id)
    return values


def sources(step: Step, known: Mapping[str, Answer]) -> dict[str, str]:
    """Input → key of the answer that it holds; lists over all rows, and columns of the row, are not among them."""
    return {name: known[name].key for name in step.needs if name in known and known[name].key}


def _answered_rows(journal: Journal, run_id: str) -> dict[str, Mapping[str, Json]]:
    """Fields of the batch's own rows that are answered, by row id."""
    statuses = journal.row_statuses(run_id)
    return {row_id: given for row_id, given in journal.row_fields(run_id) if statuses[row_id] == "answered"}
