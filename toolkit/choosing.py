"""Who is asked: a router's decision on a question, and whatever it has to ask for that.

A router that asks yields requests as a step does: they are sent, recorded below the step's name (`<step>/route`) and
charged to the step that they serve.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from toolkit.attempting import Attempter
from toolkit.errors import CallError
from toolkit.questions import Plan, Question
from toolkit.records import Decision, Reply, Request
from toolkit.routing.router import Asking, RoutingFacts, judged
from toolkit.tokens import ESTIMATE, prompt_tokens, with_margin

GATE_PATIENCE_SECONDS = 120.0

Replying = Callable[[Question, Decision], Awaitable[Reply]]


class Chooser:
    """Decides for one run."""

    def __init__(self, attempter: Attempter, *, clock: Callable[[], float]) -> None:
        self._attempter = attempter
        self._clock = clock

    async def decision(self, question: Question, seed: int, reply: Replying) -> Decision:
        """The router's decision. Where shut gates alone leave nobody to ask, they are waited for, but not for ever.

        `reply` gets the answer to what a router asks, and raises what kept it from coming.
        """
        plan = question.plan
        facts = self._facts(question, seed)
        decision = plan.route.decide(facts)
        if not isinstance(decision, Decision):
            return await _driven(decision, partial(_replied, question, facts, reply))
        patient_until = self._clock() + GATE_PATIENCE_SECONDS
        while (shut := _shut(decision)) and self._clock() < patient_until:
            await self._attempter.pause(self._attempter.opens_in(shut))
            again = plan.route.decide(replace(facts, models=self._attempter.models()))
            assert isinstance(again, Decision)
            decision = again
        return decision

    def _facts(self, question: Question, seed: int) -> RoutingFacts:
        request = question.request
        return RoutingFacts(
            request=request,
            models=self._attempter.models(),
            step=question.place.step,
            fields=question.fields,
            input_tokens=prompt_tokens(request, ESTIMATE),
            min_input_tokens=with_margin(question.plan.fit.least_tokens(request, ESTIMATE), ESTIMATE),
            seed=seed,
            run_id=question.place.run_id,
        )


# ----------------------------------------------------------------------------------------------------------- helpers
def _shut(decision: Decision) -> list[str]:
    """The models whose gate alone keeps them from being asked, where nobody else can be."""
    return [
        candidate.model
        for candidate in (() if decision.order else decision.candidates)
        if [verdict.constraint for verdict in candidate.verdicts if not verdict.passed] == ["gate"]
    ]


async def _driven(asking: Asking, reply: Callable[[str, Request], Awaitable[Reply]]) -> Decision:
    """What a router that asks comes to; an error of whom it asked is thrown into it, and may be its end."""
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
        settled: Decision = stop.value
        return settled


async def _replied(question: Question, facts: RoutingFacts, reply: Replying, model: str, wanted: Request) -> Reply:
    place = replace(question.place, step=f"{question.place.step}/route")
    plan = Plan(question.plan.route, question.plan.policy)
    (candidate,) = judged(replace(facts, request=wanted, input_tokens=prompt_tokens(wanted, ESTIMATE)), (model,))
    decision = Decision(model, (replace(candidate, probability=1.0),), (model,), "routing", repr(plan.route))
    return await reply(Question(place, wanted, plan), decision)
