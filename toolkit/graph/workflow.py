"""A workflow: steps joined by the names of their parameters, checked when built.

    columns of the row ─▶ per-row steps ─▶ reducing steps
    (no column at all) ─▶ once-steps, run once for the whole batch

A name is an earlier step, a declared column, or else taken for a column of the rows, which is checked when they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from toolkit.asking.questions import Plan, unanswerable
from toolkit.errors import WorkflowError
from toolkit.fleet import Fleet
from toolkit.graph.steps import Step
from toolkit.graph.wiring import check, declared_columns, in_order
from toolkit.policies import Once, Policy
from toolkit.prompts.tools import RUN_PARAMETER
from toolkit.routing.router import Router

if TYPE_CHECKING:
    from toolkit.runs.running import Running


@dataclass(frozen=True, init=False)
class Workflow:
    """Steps in the order given; their edges are their parameters' names.

    `rows` is a pydantic model that every row must satisfy (rows that do not are set aside); `policy` serves steps that
    name none, `route` those of them that declare an output (any other step without a route is a tool); `row_id` is the
    column that identifies a row (default `id` where there is one).
    """

    name: str
    steps: tuple[Step, ...]
    rows: Any = None
    policy: Policy = field(default_factory=Once)
    row_id: str = "id"

    def __init__(
        self,
        name: str,
        steps: Iterable[Step | Workflow],
        *,
        rows: Any = None,
        route: Router | None = None,
        policy: Policy | None = None,
        row_id: str = "id",
    ) -> None:
        made = tuple(each.as_step() if isinstance(each, Workflow) else each for each in steps)
        if route is not None:
            made = tuple(_routed(each, route) for each in made)
        for attribute, value in (
            ("name", name),
            ("steps", made),
            ("rows", rows),
            ("policy", policy or Once()),
            ("row_id", row_id),
        ):
            object.__setattr__(self, attribute, value)
        check(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints: the steps, what each needs, and who answers it."""
        lines = [f"workflow {self.name!r}:"]
        for step in self.steps:
            needs = f" ← {', '.join(step.needs)}" if step.needs else ""
            lines.append(f"  {step.name}{needs}" + (f" · {step.route!r}" if step.route is not None else ""))
        printer.text("\n".join(lines))

    # ------------------------------------------------------------------------------------------------------ the graph
    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        return {step.name: step for step in self.steps}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names that rows must bring, in the order of first use."""
        wanted: dict[str, None] = {}
        for step in self.steps:
            for name in step.needs:
                if name not in self.by_name and name != RUN_PARAMETER and name not in step.optional:
                    wanted.setdefault(name)
        return tuple(wanted)

    @cached_property
    def order(self) -> tuple[Step, ...]:
        """The steps, each after those it needs."""
        return in_order(self)

    @cached_property
    def once(self) -> frozenset[str]:
        """Steps that need nothing of a row: they run once for the whole batch."""
        found: set[str] = set()
        known = {*self.by_name, *(declared_columns(self) or ())}
        for step in self.order:
            sources = [name for name in step.needs if name in known or name not in step.optional]
            if not step.reduces and all(name in found or name == RUN_PARAMETER for name in sources):
                found.add(step.name)
        return frozenset(found)

    @cached_property
    def reducing(self) -> tuple[Step, ...]:
        return tuple(step for step in self.order if step.reduces)

    @cached_property
    def per_row(self) -> tuple[Step, ...]:
        return tuple(step for step in self.order if not step.reduces and step.name not in self.once)

    @cached_property
    def dependents(self) -> Mapping[str, tuple[Step, ...]]:
        """Per-row steps by the name of a per-row step that they need."""
        names = {step.name for step in self.per_row}
        return {name: tuple(step for step in self.per_row if name in step.needs) for name in names}

    # -------------------------------------------------------------------------------------------------------- variants
    def with_routes(self, routes: Router | Mapping[str, Router]) -> Workflow:
        """The same workflow with other routers: one for all asking steps, nested ones too, or by step's name."""
        if isinstance(routes, Router):
            inner = [replace(s, inner=s.inner.with_routes(routes)) if s.inner else s for s in self.steps]
            nested = Workflow(self.name, inner, rows=self.rows, policy=self.policy, row_id=self.row_id)
            return nested.with_routes({step.name: routes for step in self.steps if step.asks})
        if unknown := sorted(set(routes) - set(self.by_name)):
            raise WorkflowError(f"workflow {self.name!r} has no step {unknown[0]!r}; it has {', '.join(self.by_name)}")
        steps = [step.with_route(routes[step.name]) if step.name in routes else step for step in self.steps]
        return Workflow(self.name, steps, rows=self.rows, policy=self.policy, row_id=self.row_id)

    def as_step(self, name: str | None = None) -> Step:
        """This workflow as a step of another: its columns are the parameters, its value the dict of its steps'."""
        return Step(name or self.name, _no_function, needs=self.columns, inner=self)

    def over(self, items: str, *, item: str, name: str | None = None) -> Step:
        """This workflow for every item of the list called `items`; within it an item goes by the column name `item`."""
        if item not in self.columns:
            raise WorkflowError(f"workflow {self.name!r} has no column {item!r}; it has {', '.join(self.columns)}")
        needs = tuple(dict.fromkeys(items if column == item else column for column in self.columns))
        return Step(name or self.name, _no_function, needs=needs, inner=self, each=(items, item))

    # ----------------------------------------------------------------------------------------------------------- plans
    def plan(self, step: Step, fleet: Fleet) -> Plan:
        """How the requests of a step are answered by this fleet; its label is part of every answer's key."""
        assert step.route is not None
        policy = step.policy or self.policy
        names = step.route.names()
        graders = (name for grader in step.grade for name in grader.names())
        asked = (*(fleet if names is None else names), *step.fit.names(), *graders)
        who = " ".join(fleet[name].identity for name in asked)
        judged = " ".join(map(repr, (*step.grade, step.fit)))
        label = f"{step.route!r} / {policy!r} / {judged} / {who}"
        return Plan(step.route, policy, step.reader(), step.grade, step.fit, label)

    def check(self, fleet: Fleet) -> None:
        """Raises FleetError or WorkflowError where this fleet could never answer a step."""
        for step in self.steps:
            if step.inner is not None:
                step.inner.check(fleet)
            elif step.route is not None and (fault := self._unanswerable(step, fleet)):
                raise WorkflowError(f"workflow {self.name!r}: {fault}; declare it in models.toml, or route elsewhere")

    def _unanswerable(self, step: Step, fleet: Fleet) -> str | None:
        plan = self.plan(step, fleet)
        fault = unanswerable(fleet, plan, step.name)
        names = plan.route.names()
        members = [fleet[name] for name in (fleet if names is None else names)]
        if fault or not step.tools or any({"tools", "*"} & spec.capabilities for spec in members):
            return fault
        return (
            f"step {step.name!r} has tools, and none of {', '.join(s.name for s in members)} has the capability 'tools'"
        )

    # ------------------------------------------------------------------------------------------------------------ runs
    def run(self, rows: Any, fleet: Fleet, **options: Any) -> Running:
        """Run over rows and wait; see `running.start` for the options."""
        from toolkit.runs.running import start

        return start(self, rows, fleet, **options).wait()

    def start(self, rows: Any, fleet: Fleet, **options: Any) -> Running:
        """Run over rows without waiting; see `running.start` for the options."""
        from toolkit.runs.running import start

        return start(self, rows, fleet, **options)

    def fork(self, run_id: str, *, at: str, fleet: Fleet, **options: Any) -> Running:
        """Run anew from the step `at` on what a past run has before it; see `forking.fork` for the options."""
        from toolkit.runs.forking import fork

        return fork(self, run_id, at=at, fleet=fleet, **options)

    # --------------------------------------------------------------------------------------------------------- drawing
    def mermaid(self) -> str:
        """The graph as Mermaid text."""
        from toolkit.graph.drawing import mermaid

        return mermaid(self)

    def _repr_svg_(self) -> str:
        from toolkit.graph.drawing import svg

        return svg(self)


# ----------------------------------------------------------------------------------------------------------- helpers
def _routed(step: Any, route: Router) -> Any:
    wants = isinstance(step, Step) and step.route is None and step.output is not None
    return step.with_route(route) if wants else step


def _no_function(**_: Any) -> Any:
    raise WorkflowError("this step is a workflow; it has no function to call")
