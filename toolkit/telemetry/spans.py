"""The record as spans: one trace per row, and one per run for what is done once for the batch.

    run support                        the run; its steps for the whole batch below it
    invoke_workflow support            a row (linked to its run)
    ├── triage                         a step: who was picked and why
    │   ├── chat keywords              an attempt, with usage and cost; ERROR where it failed
    │   └── chat linear
    └── execute_tool passages          a step without a model

In: facts. Out: frozen spans. What people, tools or models wrote is told only with content.
"""

from __future__ import annotations

from typing import Any

from toolkit.telemetry.facts import BATCH, Belongings, RowFacts, RunFacts
from toolkit.telemetry.span import (
    US_NS,
    Span,
    Telling,
    began_ns,
    known,
    named,
    root_of,
    span_id_of,
    step_id_of,
    trace_id_of,
)
from toolkit.telemetry.steps import step_spans

FAILED = ("failed", "set_aside", "unfinished")


def row_spans(
    row: RowFacts, belongings: Belongings, telling: Telling, *, before_us: int | None = None
) -> tuple[Span, ...]:
    """The spans of a row that ended. `before_us` is when it ended before, where that was sent already."""
    names = telling.conventions
    nested = row.parent_row_id is not None
    trace = trace_id_of(row.run_id, root_of(row))
    span_id = span_id_of(row.run_id, row.row_id, again_us=row.finished_us if before_us is not None else None)
    below = step_spans(
        row.run_id, row.row_id, belongings, telling, trace_id=trace, parent_id=span_id, before_us=before_us
    )
    workflow = (row.parent_step or "").rsplit("/", 1)[-1] if nested else row.workflow
    attributes = names.attributes(operation="invoke_workflow", workflow=workflow) | known(
        run_id=row.run_id,
        row_id=row.row_id,
        workflow=row.workflow,
        index=row.index,
        status=row.status,
        cost_usd=row.cost_usd,
        **(_worded(row.reason, belongings.fields) if telling.content else {}),
    )
    failed = row.status in FAILED
    parent = step_id_of(row.run_id, row.parent_row_id, (row.parent_step or "", 0, 0)) if row.parent_row_id else None
    finished = row.finished_us * US_NS
    root = Span(
        trace,
        span_id,
        parent,
        named("invoke_workflow", workflow),
        "internal",
        min([began_ns(row.finished_us, row.seconds), *(span.start_ns for span in below)]),
        max([finished, *(span.end_ns for span in below)]),
        attributes | (names.attributes(error=row.status) if failed else {}),
        error_type=row.status if failed else None,
        error_message=row.reason if telling.content else None,
        link=(trace_id_of(row.run_id), span_id_of(row.run_id)),
    )
    return (root, *below)


def run_spans(
    run: RunFacts, belongings: Belongings, telling: Telling, *, before_us: int | None = None
) -> tuple[Span, ...]:
    """The span of a run that ended, and those of its steps for the whole batch."""
    trace = trace_id_of(run.run_id)
    ended_us = run.finished_us if run.finished_us is not None else run.started_us
    span_id = span_id_of(run.run_id, again_us=ended_us if before_us is not None else None)
    below = step_spans(run.run_id, BATCH, belongings, telling, trace_id=trace, parent_id=span_id, before_us=before_us)
    attributes = known(
        run_id=run.run_id,
        workflow=run.workflow,
        origin=run.origin,
        status=run.status,
        rows_total=run.rows_total,
        parent_run_id=run.parent_run_id,
        flow_run_id=run.flow_run_id,
    )
    root = Span(
        trace,
        span_id,
        None,
        named("run", run.workflow),
        "internal",
        min([run.started_us * US_NS, *(span.start_ns for span in below)]),
        max([ended_us * US_NS, *(span.end_ns for span in below)]),
        attributes,
    )
    return (root, *below)


def _worded(reason: str | None, fields: str | None) -> dict[str, Any]:
    return {"reason": reason or None, "fields": fields}
