"""A question: a request at its place, and the plan by which it is to be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.context import Fit, Keep
from toolkit.fleet import Fleet
from toolkit.grading import Grader
from toolkit.money.budgets import Standing
from toolkit.policies import Policy
from toolkit.prompts.outputs import Output
from toolkit.records import Attempt, Json, Place, Request
from toolkit.routing.router import Router


@dataclass(frozen=True)
class Plan:
    """How a step's requests are to be answered. `label` stands for all of it in keys and in the history."""

    route: Router
    policy: Policy
    output: Output = field(default_factory=Output)
    graders: tuple[Grader, ...] = ()
    fit: Fit = field(default_factory=Keep)
    label: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A request at its place, with what its graders and rules may look at.

    `sources` tells what the request was made of: name of an input → key of the answer that it holds.
    """

    place: Place
    request: Request
    plan: Plan
    fields: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Tally:
    """Running totals of a run, read by whoever shows progress; `budget` is the one that is nearest to its end."""

    calls: int = 0
    errors: int = 0
    reused: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    budget: Standing | None = None

    def count(self, attempt: Attempt) -> None:
        """One more call."""
        self.calls += 1
        self.errors += attempt.error is not None
        self.cost_usd += attempt.cost_usd or 0.0
        self.unpriced += attempt.cost_usd is None and attempt.reply is not None


def unanswerable(fleet: Fleet, plan: Plan, step: str) -> str | None:
    """Why nobody in the fleet could ever answer this step, or None.

    Raises FleetError where a model is unknown, or cannot be opened (its key or a file is missing).
    """
    names = plan.route.names()
    specs = [fleet[name] for name in (fleet.specs if names is None else names)]
    if not specs:
        return f"step {step!r}: its router {plan.route!r} names no model"
    for spec in (*specs, *(fleet[name] for name in plan.fit.names())):
        fleet.open(spec.name)
    if fault := next((found for grader in plan.graders if (found := _ungradable(fleet, grader))), None):
        return f"step {step!r} is graded by {fault}"
    if plan.output.schema is None or any({"json", "*"} & spec.capabilities for spec in specs):
        return None
    return f"step {step!r} wants typed output, and none of {', '.join(s.name for s in specs)} has the capability 'json'"


def _ungradable(fleet: Fleet, grader: Grader) -> str | None:
    """Whom a grader asks that cannot be asked, and why, or None."""
    for spec in (fleet[name] for name in grader.names()):
        if spec.is_person:
            return f"{spec.name}, a person: people grade a finished run, by judge_run(…, by={spec.name!r})"
        if "*" not in spec.capabilities and (lacking := sorted(set(grader.needs()) - spec.capabilities)):
            return f"{spec.name}, which lacks the capability {lacking[0]!r}"
        fleet.open(spec.name)
    return None
