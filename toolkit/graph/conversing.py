"""A step with tools: it asks, runs what the model calls, tells it the results, and asks again, until it calls no more.

    request ─▶ turn 1 ─▶ calls ─▶ results ─▶ turn 2 ─▶ … ─▶ turn n without calls: the step's value

Turns are answers of their own, recorded at `turn` 1, 2 … of the step; its value is at turn 0, calls stand below its
name. So a killed run goes on with the turn at which it stopped.

A turn is taken from another run as any answer is: where the whole request, results included, is the same. Not so where
one of the tools acts: then a model is asked anew in every row of every run, so that nothing is done in the world that
was decided in another. Where a run keeps hashes alone, a row that is resumed begins again, and calls its tools again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from toolkit.asking.loop import Asker
from toolkit.asking.questions import Plan
from toolkit.asking.tool_turns import AtTheEnd, GoesOn, TurnOutput, calls_of, message_of
from toolkit.errors import StepError
from toolkit.graph.toolcalls import ToolCalls
from toolkit.graph.work import Work
from toolkit.messages import Message
from toolkit.prompts.outputs import Output
from toolkit.records import Answer, Request, answer_key

AskPlanned = Callable[[Request, int, Plan], Awaitable[Answer]]
"""Asks a request as so many turns of a step's go, from 1, by a plan."""


async def conversed(
    work: Work, request: Request, *, plan: Plan, tools: ToolCalls, ask: AskPlanned, asker: Asker
) -> Answer:
    """The step's answer. Raises StepError where the model still calls tools in the last turn that the step allows."""
    step, place = work.step, work.place
    request = replace(
        request, tools=(*request.tools, *(tool.spec for tool in step.tools)), needs=(*request.needs, "tools")
    )
    key = _key(work, asker.redactor.request(request), plan)
    if (found := await asker.recalled(key, place)) is not None:
        return found
    plan = _of_turns(work, request, plan)
    begun_with, called = plan.route, ""
    for turn in range(1, step.max_turns + 1):
        answer = await ask(request, turn, plan)
        if answer.status != "answered":
            return work.unanswered(answer)
        by_person = answer.model in asker.fleet.persons  # whose word is the value itself
        said = None if by_person else message_of(answer.value)
        if said is None:
            whole = work.answered(answer.value if by_person else answer.value["value"], key=key)
            asker.keep(whole)
            return whole
        calls = calls_of(said)
        called = ", ".join(dict.fromkeys(call.name for call in calls))
        if turn == step.max_turns:
            break
        results = await tools.results(calls, step=replace(place, turn=turn))
        told = (Message("tool", (result,)) for result in results)
        request = replace(request, messages=(*request.messages, said, *told))
        plan = replace(plan, route=GoesOn(answer.model or "", begun_with))
    raise StepError(
        f"step {step.name!r}: the model still calls tools ({called}) in turn {step.max_turns}, the last that the step "
        f"allows; raise max_turns, or tell it when to stop"
    )


def _key(work: Work, request: Request, plan: Plan) -> str:
    """The key of the whole: of this request in this row of this run, as its tools are."""
    whole = f"turns in {work.place.run_id} {work.place.row_id} {plan.label}"
    return answer_key(work.place.step, request.canonical(), whole)


def _of_turns(work: Work, request: Request, plan: Plan) -> Plan:
    """The plan for turns. Where a tool acts, its label, and with it the key of a turn, is of this row of this run."""
    final = plan.output
    if request.output_schema is not None and final.schema is None:
        final = Output.of(request.output_schema)
    label = plan.label
    if any(tool.acts for tool in work.step.tools):
        label = f"{label} / acts in {work.place.run_id} {work.place.row_id}"
    graders = tuple(map(AtTheEnd, plan.graders))
    return replace(plan, output=TurnOutput.ending_in(final), graders=graders, label=label)
