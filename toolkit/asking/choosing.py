"""Who is asked: a router's decision on a question, and whatever it has to ask for that.

A router that asks yields requests as a step does: they are sent, recorded below the step's name (`<step>/route`) and
charged to the step that they serve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from toolkit.asking.asides import ROUTE, Replying, aside, driven
from toolkit.asking.attempting import Attempter
from toolkit.asking.questions import Plan, Question
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens, with_margin
from toolkit.records import Decision, Reply, Request
from toolkit.routing.router import RoutingFacts

GATE_PATIENCE_SECONDS = 120.0


class Chooser:
    """Decides for one run."""

    def __init__(self, attempter: Attempter, *, clock: Callable[[], float]) -> None:
        self._attempter = attempter
        self._clock = clock

    async def decision(self, question: Question, seed: int, reply: Replying) -> Decision:
        """The router's decision. Where shut gates alone leave nobody to ask, they are waited for, but not for ever.

        Where budgets alone leave nobody, it is decided as if they did not: a budget that is reached stops the run, and
        fails no row.
        `reply` gets the answer to what a router asks, and raises what kept it from coming.
        """
        plan = question.plan
        facts = self.facts(question, seed)
        decision = plan.route.decide(facts)
        if isinstance(decision, Decision) and _barred(decision, by="budget"):
            facts = replace(facts, left_usd=None)
            decision = plan.route.decide(facts)
        if not isinstance(decision, Decision):
            return await driven(decision, partial(_asked, question, facts, reply))
        patient_until = self._clock() + GATE_PATIENCE_SECONDS
        while (shut := _barred(decision, by="gate")) and self._clock() < patient_until:
            await self._attempter.pause(self._attempter.opens_in(shut))
            again = plan.route.decide(replace(facts, models=self._attempter.models()))
            assert isinstance(again, Decision)
            decision = again
        return decision

    def facts(self, question: Question, seed: int) -> RoutingFacts:
        """What a router looks at now."""
        request, purse = question.request, self._attempter.purse
        return RoutingFacts(
            request=request,
            models=self._attempter.models(),
            step=question.place.step,
            fields=question.fields,
            input_tokens=prompt_tokens(request, ESTIMATE),
            min_input_tokens=with_margin(question.plan.fit.least_tokens(request, ESTIMATE), ESTIMATE),
            seed=seed,
            run_id=question.place.run_id,
            left_usd=None if purse is None else purse.unspent_usd(question.place),
        )


# ----------------------------------------------------------------------------------------------------------- helpers
def _barred(decision: Decision, *, by: str) -> list[str]:
    """The models that this constraint alone keeps from being asked, where nobody else can be."""
    return [
        candidate.model
        for candidate in (() if decision.order else decision.candidates)
        if [verdict.constraint for verdict in candidate.verdicts if not verdict.passed] == [by]
    ]


async def _asked(question: Question, facts: RoutingFacts, reply: Replying, model: str, wanted: Request) -> Reply:
    """The reply to what a router asks, sought by the policy of the step."""
    plan = Plan(question.plan.route, question.plan.policy)
    return await reply(*aside(question, facts, at=ROUTE, model=model, wanted=wanted, plan=plan))
