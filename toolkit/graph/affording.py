"""Whether the budgets of a run can hold over its workflow: every model that a step names must have a price."""

from __future__ import annotations

from toolkit.asking.spending import unpriced
from toolkit.errors import FleetError
from toolkit.fleet import Fleet
from toolkit.graph.workflow import Workflow
from toolkit.money.budgets import Budgets


def check_prices(budgets: Budgets, workflow: Workflow, fleet: Fleet, *, path: str = "") -> None:
    """Raises FleetError where a step names a model whose calls a budget could not hold, as nobody knows its price."""
    if budgets.ceiling_usd is not None:
        return
    path = f"{path}/{workflow.name}" if path else workflow.name
    for step in workflow.steps:
        if step.inner is not None:
            check_prices(budgets, step.inner, fleet, path=path)
        graders = [name for grader in step.grade for name in grader.names()]
        for name in (*(step.route.names() or ()), *graders) if step.route is not None else ():
            caps = budgets.caps(run_id="", day="", step=f"{path}/{step.name}", model=name)
            unknown = fleet.facts[name].price is None and name not in fleet.persons
            if unknown and (cap := next((cap for cap in caps if cap.unit == "usd"), None)):
                raise FleetError(f"step {step.name!r}: the budget of {cap.budget} cannot hold: {unpriced(name)}")
