"""A workflow as a step of another: once for a row, or for each item of a list; child rows keep their parent's id."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from toolkit.errors import InvalidOutput, StepError
from toolkit.graph.calling import together
from toolkit.graph.rowstate import RowState, row_record, total_cost
from toolkit.graph.steps import Step
from toolkit.graph.work import own_key
from toolkit.graph.workflow import Workflow
from toolkit.ledger.recording import Recorder
from toolkit.records import Answer, Json, Place, RowRecord


class Flow(Protocol):
    """The inner workflow, bound to the run."""

    workflow: Workflow
    recorder: Recorder

    def typed(self, fields: Mapping[str, Json]) -> Any: ...

    async def row(self, row_id: str, fields: Mapping[str, Json], typed: Any = None) -> RowState: ...


async def nested(inner: Flow, step: Step, *, place: Place, inputs: Mapping[str, Json]) -> Answer:
    """The answer of a step that is a workflow: the dict of its steps' values, or the list of them.

    Raises StepError where what it is to run over is no list.
    """
    key = own_key(place, inputs, "workflow")
    if step.each is None:
        child = await _child(inner, f"{place.row_id}/{step.name}", fields=inputs, place=place)
        return replace(_answer(place, child), key=key)
    source, column = step.each
    items = inputs[source]
    if not isinstance(items, list):
        raise StepError(f"step {step.name!r} runs over {source!r}, which is a {type(items).__name__} and no list")
    shared = {name: value for name, value in inputs.items() if name != source}
    children = await together(
        _child(inner, f"{place.row_id}/{step.name}[{i}]", fields={**shared, column: item}, place=place)
        for i, item in enumerate(items)
    )
    answers = [_answer(place, child) for child in children]
    bad = next((answer for answer in answers if answer.status != "answered"), None)
    whole = bad or Answer(place, key, "answered", value=[answer.value for answer in answers])
    return replace(whole, cost_usd=total_cost(answers))


async def _child(inner: Flow, row_id: str, *, fields: Mapping[str, Json], place: Place) -> tuple[RowState, RowRecord]:
    """A row of the inner workflow, recorded with the row and the step that it belongs to."""
    started = time.perf_counter()
    state, fault = RowState(row_id, fields), ""
    try:
        typed = inner.typed(fields)
    except InvalidOutput as error:
        fault = f"does not fit {inner.workflow.rows.__name__}: {error}"
    else:
        state = await inner.row(row_id, fields, typed)
    record = row_record(
        state,
        run_id=place.run_id,
        index=0,
        seconds=time.perf_counter() - started,
        parent=(place.row_id, place.step),
    )
    if fault:
        record = replace(record, status="set_aside", reason=fault)
    inner.recorder.row(record)
    return state, record


def _answer(place: Place, child: tuple[RowState, RowRecord]) -> Answer:
    state, record = child
    value = {name: answer.value for name, answer in state.answers.items() if answer.status == "answered"}
    status = "failed" if record.status == "set_aside" else record.status
    return Answer(place, "", status, value=value, reason=record.reason, cost_usd=record.cost_usd)
