"""What a router or a grader asks on the way to an answer: one model, at `<step>/route` or `<step>/grade`.

In: the question of the step, and a request that serves it. Out: a question of its own, and the decision that sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from typing import TypeVar

from toolkit.asking.questions import Plan, Question
from toolkit.errors import CallError, StepError
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens
from toolkit.records import Decision, Reply, Request
from toolkit.routing.router import RoutingFacts, judged

ROUTE, GRADE = "route", "grade"

T = TypeVar("T")
Replying = Callable[[Question, Decision], Awaitable[Reply]]
"""Gets the reply to an aside, and raises what kept it from coming."""


def aside(
    question: Question, facts: RoutingFacts, *, at: str, model: str, wanted: Request, plan: Plan
) -> tuple[Question, Decision]:
    """The question, and a decision for `model`. Raises StepError where that is nobody who could answer on the way."""
    if model not in facts.models or facts.models[model].is_person:
        what = "a person, who answers later" if model in facts.models else "not in the fleet"
        raise StepError(f"step {question.place.step!r}: its {at} asks {model!r}, which is {what}")
    place = replace(question.place, step=f"{question.place.step}/{at}")
    tokens = prompt_tokens(wanted, ESTIMATE)
    (candidate,) = judged(replace(facts, request=wanted, input_tokens=tokens, min_input_tokens=tokens), (model,))
    chosen = (replace(candidate, probability=1.0),)
    return Question(place, wanted, plan), Decision(model, chosen, (model,), f"asked by its {at}", repr(plan.route))


async def driven(
    asking: Generator[tuple[str, Request], Reply, T], reply: Callable[[str, Request], Awaitable[Reply]]
) -> T:
    """What one who asks comes to; an error of whom it asked is thrown into it, and may be its end."""
    try:
        model, wanted = next(asking)
        while True:
            try:
                answer = await reply(model, wanted)
            except CallError as error:
                model, wanted = asking.throw(error)
            else:
                model, wanted = asking.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
