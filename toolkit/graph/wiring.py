"""How the steps of a workflow hang together: their order, and what is wrong with a workflow that cannot be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING

from toolkit.errors import WorkflowError
from toolkit.graph.steps import Step
from toolkit.prompts.prompting import Template, fields_of
from toolkit.prompts.tools import RUN_PARAMETER

if TYPE_CHECKING:
    from toolkit.graph.workflow import Workflow


def check(workflow: Workflow) -> None:
    """Raises WorkflowError where the workflow does not hold together."""
    where = f"workflow {workflow.name!r}"
    if not workflow.name or "/" in workflow.name:
        raise WorkflowError(f"{where}: a name has at least one character, and no '/'")
    if not workflow.steps:
        raise WorkflowError(f"{where} has no steps")
    seen: set[str] = set()
    declared = declared_columns(workflow)
    for step in workflow.steps:
        if not isinstance(step, Step):
            raise WorkflowError(f"{where}: {step!r} is no step; decorate the function with @step")
        if step.name in seen:
            raise WorkflowError(f"{where} has two steps named {step.name!r}; rename one")
        if step.name == RUN_PARAMETER or "/" in step.name:
            raise WorkflowError(f"{where}: a step cannot be named {step.name!r}; that name is taken")
        if declared is not None and step.name in declared:
            raise WorkflowError(f"{where}: step {step.name!r} clashes with the column of that name; rename the step")
        seen.add(step.name)
    in_order(workflow)
    for step in workflow.steps:
        _check_sources(workflow, step, declared)
        step.reader()


def in_order(workflow: Workflow) -> tuple[Step, ...]:
    """The steps, each after those it needs. Raises WorkflowError where they go in a circle."""
    by_name = {step.name: step for step in workflow.steps}
    graph = {step.name: [name for name in step.needs if name in by_name] for step in workflow.steps}
    try:
        return tuple(by_name[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise WorkflowError(f"workflow {workflow.name!r} goes in a circle: {circle}") from None


def declared_columns(workflow: Workflow) -> tuple[str, ...] | None:
    """The columns that its rows are declared to have, None where nothing is declared. Raises WorkflowError."""
    if workflow.rows is None:
        return None
    fields = getattr(workflow.rows, "model_fields", None)
    if fields is None:
        raise WorkflowError(f"workflow {workflow.name!r}: rows= must be a pydantic model, not {workflow.rows!r}")
    return tuple(fields)


# ----------------------------------------------------------------------------------------------------------- helpers
def _check_sources(workflow: Workflow, step: Step, declared: Sequence[str] | None) -> None:
    where = f"workflow {workflow.name!r}, step {step.name!r}"
    for name in step.needs:
        source = workflow.by_name.get(name)
        if source is not None and source.reduces and not step.reduces:
            raise WorkflowError(f"{where} needs {name!r}, which is known only after all rows; mark it reduces=True")
        known = source is not None or declared is None or name in declared
        if not known and name not in step.optional and name != RUN_PARAMETER:
            raise WorkflowError(
                f"{where} needs {name!r}, which is neither a step nor a column; "
                f"steps: {', '.join(workflow.by_name)}; columns: {', '.join(declared or ())}"
            )
    if step.inner is not None and step.inner.reducing:
        name = step.inner.reducing[0].name
        raise WorkflowError(
            f"{where} is a workflow whose step {name!r} reduces; inside another there is no batch to see"
        )
    if step.asks and (iscoroutinefunction(step.function) or isasyncgenfunction(step.function)):
        raise WorkflowError(f"{where} asks models and is async; make it a plain function, the engine does the waiting")
    if step.tools:
        _check_tools(where, step)
    if isinstance(step.function, Template) and not step.reduces:
        _check_template(workflow, where, step.function)
    if step.grade and not step.asks:
        raise WorkflowError(f"{where} has graders but no route; only answers of models are graded")
    if step.policy is not None and not step.asks:
        raise WorkflowError(f"{where} has a policy but no route; say who answers: route=Fixed('…')")


def _check_tools(where: str, step: Step) -> None:
    if not step.asks:
        raise WorkflowError(f"{where} has tools but no route; say which model may call them: route=Fixed('…')")
    if isgeneratorfunction(step.function):
        raise WorkflowError(f"{where} has tools and is a generator; it asks one request, the engine takes the turns")
    if step.max_turns < 1:
        raise WorkflowError(f"{where}: max_turns must be at least 1, not {step.max_turns}")


def _check_template(workflow: Workflow, where: str, template: Template) -> None:
    """What it wants of a value whose type is declared must be a field of that type."""
    columns = getattr(workflow.rows, "model_fields", {})
    for path in template.paths:
        name, *rest = path.split(".")
        source = workflow.by_name.get(name)
        declared = source.output if source is not None else columns[name].annotation if name in columns else None
        for part in rest:
            known = fields_of(declared)
            if known is not None and part not in known and not hasattr(declared, part):
                raise WorkflowError(f"{where}: its template wants {path!r}; there is no {part!r} in {', '.join(known)}")
            declared = (known or {}).get(part)
