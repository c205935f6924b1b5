"""The record as spans: one trace per row, and one per run for what is done once for the batch.

    run support                        the run; its steps for the whole batch below it
    invoke_workflow support            a row (linked to its run)
    ├── triage                         a step: who was picked and why
    │   ├── chat keywords              an attempt, with usage and cost; ERROR where it failed
    │   └── chat linear
    └── execute_tool passages          a step without a model

In: facts. Out: frozen spans. Nothing here knows a wire format. Ids come from the record's own, so that a second export
gives the same; times are those of the record. What people, tools or models wrote is told only with content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Any, Literal

from toolkit.telemetry.conventions import Conventions
from toolkit.telemetry.facts import (
    BATCH,
    AnswerFacts,
    AttemptFacts,
    Belongings,
    DecisionFacts,
    GradeFacts,
    RowFacts,
    RunFacts,
)
from toolkit.telemetry.texts import messages_of

Kind = Literal["internal", "client"]
Place = tuple[str, int, int]
FAILED = ("failed", "set_aside", "unfinished")
UNSEEN = "_OTHER"
_US = 1_000


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something at one moment of a span."""

    name: str
    at_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A span: its place in a trace, when it was, and what is known of it. `error_type` is set where it failed."""

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    kind: Kind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    error_type: str | None = None
    error_message: str | None = None
    events: tuple[SpanEvent, ...] = ()
    link: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """How spans are told: under which names, and whether with content."""

    conventions: Conventions
    content: bool = False


# ---------------------------------------------------------------------------------------------------------------- ids
def trace_id_of(run_id: str, row_id: str = BATCH) -> int:
    """The trace of a row; of the run itself for what is done once for the batch."""
    return _id(16, "trace", run_id, row_id)


def span_id_of(run_id: str, row_id: str = BATCH, *, again_us: int | None = None) -> int:
    """The span of a row or run. `again_us` is when it ended, where it had ended before and was sent then."""
    return _id(8, "row", run_id, row_id, *([str(again_us)] if again_us is not None else []))


def step_id_of(run_id: str, row_id: str, place: Place, *, settled: int = 0) -> int:
    """The span of a step; `settled` counts how often it had been settled before."""
    return _id(8, "step", run_id, row_id, *map(str, place), *([str(settled)] if settled else []))


def root_of(row: RowFacts) -> str:
    """The row in whose trace a row stands: its own, but of an item of a list the row that the list came from.

    An item's name is its parent's with `/step` or `/step[3]` behind it, and it is nested as deep as its step's path.
    """
    if row.parent_row_id is None or row.parent_step is None:
        return row.row_id
    depth = row.parent_step.count("/")
    return row.parent_row_id.rsplit("/", depth - 1)[0] if depth > 1 else row.parent_row_id


# ------------------------------------------------------------------------------------------------------- rows and runs
def row_spans(
    row: RowFacts, belongings: Belongings, telling: Telling, *, before_us: int | None = None
) -> tuple[Span, ...]:
    """The spans of a row that ended. `before_us` is when it ended before, where that was sent already."""
    names = telling.conventions
    nested = row.parent_row_id is not None
    trace = trace_id_of(row.run_id, root_of(row))
    span_id = span_id_of(row.run_id, row.row_id, again_us=row.finished_us if before_us is not None else None)
    below = _steps(row.run_id, row.row_id, belongings, telling, trace_id=trace, parent_id=span_id, before_us=before_us)
    workflow = (row.parent_step or "").rsplit("/", 1)[-1] if nested else row.workflow
    attributes = names.attributes(operation="invoke_workflow", workflow=workflow) | _known(
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
    finished = row.finished_us * _US
    root = Span(
        trace,
        span_id,
        parent,
        _named("invoke_workflow", workflow),
        "internal",
        min([_began(row.finished_us, row.seconds), *(span.start_ns for span in below)]),
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
    below = _steps(run.run_id, BATCH, belongings, telling, trace_id=trace, parent_id=span_id, before_us=before_us)
    attributes = _known(
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
        _named("run", run.workflow),
        "internal",
        min([run.started_us * _US, *(span.start_ns for span in below)]),
        max([ended_us * _US, *(span.end_ns for span in below)]),
        attributes,
    )
    return (root, *below)


# --------------------------------------------------------------------------------------------------- steps and attempts
def _steps(
    run_id: str,
    row_id: str,
    belongings: Belongings,
    telling: Telling,
    *,
    trace_id: int,
    parent_id: int,
    before_us: int | None,
) -> tuple[Span, ...]:
    """Steps with their attempts, in the order in which they were settled; attempts that led to nothing stand alone."""
    settled: defaultdict[Place, list[AnswerFacts]] = defaultdict(list)
    for answer in belongings.answers:
        settled[_place(answer)].append(answer)
    tried: defaultdict[Place, list[AttemptFacts]] = defaultdict(list)
    for attempt in belongings.attempts:
        tried[_place(attempt)].append(attempt)
    decided = {_place(decision): decision for decision in belongings.decisions}
    graded: defaultdict[str | Place, list[GradeFacts]] = defaultdict(list)
    for grade in belongings.grades:
        graded[grade.attempt_id or _place(grade)].append(grade)

    spans: list[Span] = []
    for place, answers in settled.items():
        waiting = list(tried.pop(place, []))
        for times, answer in enumerate(answers):
            if before_us is not None and answer.answered_us <= before_us:
                waiting = [a for a in waiting if a.started_us > answer.answered_us]
                continue
            last = times == len(answers) - 1
            own = [a for a in waiting if last or a.started_us <= answer.answered_us]
            waiting = [a for a in waiting if a not in own]
            step_id = step_id_of(run_id, row_id, place, settled=times)
            attempts = [
                _attempt(a, graded[a.id], telling, trace_id=trace_id, parent_id=step_id)
                for a in own
                if before_us is None or a.started_us > before_us
            ]
            grades = graded[place] if last else []
            spans.append(
                _step(answer, attempts, telling, decision=decided.get(place), grades=grades, own=own,
                      trace_id=trace_id, span_id=step_id, parent_id=parent_id)
            )  # fmt: skip
            spans.extend(attempts)
    for attempts_left in tried.values():
        spans.extend(
            _attempt(a, graded[a.id], telling, trace_id=trace_id, parent_id=parent_id)
            for a in attempts_left
            if before_us is None or a.started_us > before_us
        )
    return tuple(spans)


def _step(
    answer: AnswerFacts,
    attempts: Sequence[Span],
    telling: Telling,
    *,
    decision: DecisionFacts | None,
    grades: Sequence[GradeFacts],
    own: Sequence[AttemptFacts],
    trace_id: int,
    span_id: int,
    parent_id: int,
) -> Span:
    names = telling.conventions
    name = answer.step.rsplit("/", 1)[-1]
    is_tool = answer.model is None and not answer.attempts and not answer.is_workflow and decision is None
    is_tool = is_tool and answer.status in ("answered", "failed")
    attributes = _known(
        run_id=answer.run_id,
        row_id=answer.row_id,
        step=answer.step,
        turn=answer.turn,
        repeat=answer.repeat,
        key=answer.key or None,
        status=answer.status,
        model=answer.model,
        attempts=answer.attempts,
        cost_usd=answer.cost_usd,
        reused_from=answer.reused_from,
    ) | _route(decision)
    if is_tool:
        attributes |= names.attributes(operation="execute_tool", tool=name, tool_type="function")
    if telling.content:
        attributes |= _known(reason=answer.reason or None, value=answer.value)
        if is_tool:
            attributes |= names.attributes(tool_result=answer.value)
    failed = answer.status == "failed"
    error = next((a.error_type for a in reversed(own) if a.error_type), UNSEEN) if failed else None
    end = answer.answered_us * _US
    began = [_began(answer.answered_us, answer.seconds)]
    if answer.items_began_us is not None:
        began.append(min(answer.items_began_us, answer.answered_us) * _US)
    return Span(
        trace_id,
        span_id,
        parent_id,
        _named("execute_tool", name) if is_tool else name,
        "internal",
        min([*began, *(span.start_ns for span in attempts)]),
        max([end, *(span.end_ns for span in attempts)]),
        attributes | names.attributes(error=error),
        error_type=error,
        error_message=answer.reason if telling.content else None,
        events=tuple(_evaluation(grade, telling, at_ns=end) for grade in grades),
    )


def _attempt(
    attempt: AttemptFacts, grades: Sequence[GradeFacts], telling: Telling, *, trace_id: int, parent_id: int
) -> Span:
    names = telling.conventions
    start = attempt.started_us * _US
    end = start + _ns(attempt.service_seconds)
    attributes = names.attributes(
        operation=attempt.operation_name,
        provider=attempt.provider_name,
        request_model=attempt.request_model,
        response_model=attempt.response_model,
        response_id=attempt.response_id,
        finish_reasons=attempt.finish_reasons or None,
        input_tokens=attempt.input_tokens,
        output_tokens=attempt.output_tokens,
        cache_read_input_tokens=attempt.cache_read_input_tokens,
        cache_write_input_tokens=attempt.cache_write_input_tokens,
        reasoning_output_tokens=attempt.reasoning_output_tokens,
        conversation=attempt.session_id,
        error=attempt.error_type,
    ) | _known(
        run_id=attempt.run_id,
        row_id=attempt.row_id,
        step=attempt.step,
        attempt_id=attempt.id,
        decision_id=attempt.decision_id,
        number=attempt.number,
        why=attempt.why,
        model=attempt.model,
        wait_seconds=attempt.wait_seconds,
        cost_usd=attempt.cost_usd,
        reported_cost_usd=attempt.reported_cost_usd,
        price_version=attempt.price_version,
        confidence=attempt.confidence,
    )
    if telling.content:
        attributes |= names.attributes(**messages_of(attempt.request, attempt.output, attempt.finish_reasons))
        attributes |= _known(error_message=attempt.error_message)
    return Span(
        trace_id,
        _id(8, "attempt", attempt.id),
        parent_id,
        _named(attempt.operation_name, attempt.request_model),
        "internal" if attempt.operation_name == "execute_tool" else "client",
        start,
        end,
        attributes,
        error_type=attempt.error_type,
        error_message=attempt.error_message if telling.content else None,
        events=tuple(_evaluation(grade, telling, at_ns=end) for grade in grades),
    )


def _route(decision: DecisionFacts | None) -> dict[str, Any]:
    if decision is None:
        return {}
    return _known(
        decision_id=decision.id,
        **{
            "route.choice": decision.choice,
            "route.probability": decision.probability,
            "route.probabilities": decision.probabilities,
            "route.reason": decision.reason,
            "route.router": decision.router,
            "route.exploration_rate": decision.exploration_rate,
            "route.snapshot": decision.snapshot,
            "route.order": decision.candidate_order,
            "route.candidates": decision.candidates,
        },
    )


def _evaluation(grade: GradeFacts, telling: Telling, *, at_ns: int) -> SpanEvent:
    names = telling.conventions
    attributes = names.attributes(
        evaluation_name=grade.grader,
        evaluation_value=grade.value,
        evaluation_label=grade.label,
        evaluation_explanation=(grade.reason or None) if telling.content else None,
    )
    own = _known(**{"grade.kind": grade.kind, "grade.by": grade.graded_by})
    return SpanEvent(names.names["evaluation"], at_ns, attributes | own)


# ------------------------------------------------------------------------------------------------------------ helpers
def _place(fact: AnswerFacts | AttemptFacts | DecisionFacts | GradeFacts) -> Place:
    return fact.step, fact.turn, fact.repeat


def _known(**values: Any) -> dict[str, Any]:
    """Attributes of our own namespace, of those that are known."""
    return {f"toolkit.{name}": value for name, value in values.items() if value is not None}


def _worded(reason: str | None, fields: str | None) -> dict[str, Any]:
    return {"reason": reason or None, "fields": fields}


def _named(what: str, of: str | None) -> str:
    return f"{what} {of}" if of else what


def _began(ended_us: int, seconds: float | None) -> int:
    """When what ended then began, in nanoseconds; whole microseconds, as the record's stamps are."""
    return (ended_us - ceil((seconds or 0.0) * 1e6)) * _US


def _ns(seconds: float | None) -> int:
    return round((seconds or 0.0) * 1e9)


def _id(size: int, *parts: str) -> int:
    """A number of `size` bytes that the parts determine; never 0, which is no id."""
    found = int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=size).digest(), "big")
    return found or 1
