"""A workflow as a Prefect flow: one task per chunk of rows, and a last one for the end.

In: a workflow, and what its flow's form starts with. Out: a `prefect.Flow`. Prefect orders, shows and cancels; what is
asked, tried again and recorded is the engine's alone, so retries, caches and results of Prefect are off.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal, cast, overload

from prefect import Flow, runtime
from prefect.client.schemas.objects import State

import toolkit
from toolkit.errors import WorkflowError
from toolkit.fleet import Fleet
from toolkit.graph.dataflow import Wrap, unwrapped
from toolkit.graph.workflow import Workflow
from toolkit.orchestration.conducting import Conducting
from toolkit.orchestration.form import Form, Given, Order, named
from toolkit.orchestration.reporting import Summary
from toolkit.orchestration.stepping import Shown
from toolkit.redaction import Redact
from toolkit.routing import Router

Tasks = Literal["chunks", "steps"]


@overload
def as_flow(
    workflow: Workflow,
    *,
    fleet: Fleet | str | Path | None = None,
    fleets: Mapping[str, str | Path] | None = None,
    rows: Any = None,
    routers: Mapping[str, Router | str] | None = None,
    tasks: Tasks = "chunks",
    chunk_size: int = 100,
    name: str | None = None,
    awaited: Literal[False] = False,
    reference: str | None = None,
    redact: Redact | str | None = "",
    variable: str = "flow",
) -> Flow[..., Summary]: ...
@overload
def as_flow(
    workflow: Workflow,
    *,
    fleet: Fleet | str | Path | None = None,
    fleets: Mapping[str, str | Path] | None = None,
    rows: Any = None,
    routers: Mapping[str, Router | str] | None = None,
    tasks: Tasks = "chunks",
    chunk_size: int = 100,
    name: str | None = None,
    awaited: Literal[True],
    reference: str | None = None,
    redact: Redact | str | None = "",
    variable: str = "flow",
) -> Flow[..., Coroutine[Any, Any, Summary]]: ...


def as_flow(
    workflow: Workflow,
    *,
    fleet: Fleet | str | Path | None = None,
    fleets: Mapping[str, str | Path] | None = None,
    rows: Any = None,
    routers: Mapping[str, Router | str] | None = None,
    tasks: Tasks = "chunks",
    chunk_size: int = 100,
    name: str | None = None,
    awaited: bool = False,
    reference: str | None = None,
    redact: Redact | str | None = "",
    variable: str = "flow",
) -> Any:
    """A flow whose parameters are those of `Form`, and whose result is a `Summary`.

    `fleet` and `rows` are paths (the form's defaults), or objects (used where the form leaves them empty). `fleets` and
    `routers` are choices: what people read in the form, and the path of a models.toml or the router behind it (routers
    by step as text: `triage=Fixed('large'); reply=cheapest`); a field beside them takes any other. With
    `tasks="steps"` every request of a model step is a task run too: for small runs, as each costs Prefect 10 ms and
    more. A flow may be called in a notebook's cell as it is; with `awaited=True` it is to be awaited instead.
    `reference` is the workflow as `toolkit resume` finds it (`support`, `file.py:name`); `redact` is what happens where
    the form leaves that empty. Parameters are redacted in Prefect's database too, but for those that its UI or a
    schedule sent, which are there before anything runs. To `serve` a flow, keep it at
    the top of a module under the name `variable`.

        support_flow = as_flow(support, fleet="models.toml", rows="tickets.csv")
        with local_server():
            print(support_flow(limit=20))
    """
    if tasks not in ("chunks", "steps"):
        raise WorkflowError(f"tasks is 'chunks' (a task per chunk of rows) or 'steps' (per step too), not {tasks!r}")
    choices = {name: str(path) for name, path in (fleets or {}).items()}
    routes = {name: route if isinstance(route, str) else repr(route) for name, route in (routers or {}).items()}
    given = Given(workflow, fleet, rows, chunk_size, reference, redact, choices, routes)

    def conducting_of(answers: dict[str, Any]) -> Conducting:
        return Conducting(given, Form(**answers), wrap=_shown if tasks == "steps" else lambda _: unwrapped)

    def run(**answers: Any) -> State[Any]:
        return conducting_of(answers).run()

    async def run_awaited(**answers: Any) -> State[Any]:
        conducting = conducting_of(answers)
        work = asyncio.ensure_future(asyncio.to_thread(conducting.run))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            conducting.cancel()
            await work
            raise

    function: Any = run_awaited if awaited else run
    function.__signature__ = given.signature
    function.__doc__ = Form.__doc__
    function.__name__ = function.__qualname__ = variable
    function.__module__ = sys._getframe(1).f_globals.get("__name__", __name__)
    flow = DiscreetFlow(
        function,
        name=name or workflow.name,
        version=toolkit.__version__,
        description=_description(workflow),
        flow_run_name=lambda: named(name or workflow.name, given.told(runtime.flow_run.parameters)),
        retries=0,
        persist_result=False,
    )
    flow.given = given
    return flow


class DiscreetFlow(Flow[..., Any]):
    """A flow whose parameters are redacted before Prefect puts them on record."""

    given: Given | None = None

    def with_options(self, **options: Any) -> Any:
        """A copy with other options, as discreet as this one."""
        other = super().with_options(**options)
        other.__class__ = DiscreetFlow
        cast(DiscreetFlow, other).given = self.given
        return other

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        serialized = super().serialize_parameters(parameters)
        return serialized if self.given is None else dict(self.given.told(serialized))


def _shown(order: Order) -> Wrap:
    return Shown(words=order.discretion.content == "full")


def _description(workflow: Workflow) -> str:
    """What Prefect's UI says of the flow (Markdown)."""
    steps = "\n".join(f"* `{step.name}`{_who(step.route)}" for step in workflow.order)
    columns = ", ".join(f"`{name}`" for name in workflow.columns)
    return f"The workflow `{workflow.name}` over a table of rows with the columns {columns}.\n\n{steps}"


def _who(route: Any) -> str:
    return f": asks `{route!r}`" if route is not None else ""
