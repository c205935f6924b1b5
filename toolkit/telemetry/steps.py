"""Steps and attempts of the record as spans: who was picked and why, each try with its usage and cost.

In: what belongs to a row or a batch. Out: frozen spans, the step's before those of its attempts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from toolkit.telemetry.facts import AnswerFacts, AttemptFacts, Belongings, DecisionFacts, GradeFacts
from toolkit.telemetry.span import US_NS, Place, Span, SpanEvent, Telling, began_ns, id_of, known, named, step_id_of
from toolkit.telemetry.texts import messages_of

UNSEEN = "_OTHER"


def step_spans(
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
    attributes = known(
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
        attributes |= known(reason=answer.reason or None, value=answer.value)
        if is_tool:
            attributes |= names.attributes(tool_result=answer.value)
    failed = answer.status == "failed"
    error = next((a.error_type for a in reversed(own) if a.error_type), UNSEEN) if failed else None
    end = answer.answered_us * US_NS
    began = [began_ns(answer.answered_us, answer.seconds)]
    if answer.items_began_us is not None:
        began.append(min(answer.items_began_us, answer.answered_us) * US_NS)
    return Span(
        trace_id,
        span_id,
        parent_id,
        named("execute_tool", name) if is_tool else name,
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
    start = attempt.started_us * US_NS
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
    ) | known(
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
        attributes |= known(error_message=attempt.error_message)
    return Span(
        trace_id,
        id_of(8, "attempt", attempt.id),
        parent_id,
        named(attempt.operation_name, attempt.request_model),
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
    return known(
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
    own = known(**{"grade.kind": grade.kind, "grade.by": grade.graded_by})
    return SpanEvent(names.names["evaluation"], at_ns, attributes | own)


# ------------------------------------------------------------------------------------------------------------ helpers
def _place(fact: AnswerFacts | AttemptFacts | DecisionFacts | GradeFacts) -> Place:
    return fact.step, fact.turn, fact.repeat


def _ns(seconds: float | None) -> int:
    return round((seconds or 0.0) * 1e9)
