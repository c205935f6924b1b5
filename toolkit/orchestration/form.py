"""The form of a flow: what Prefect's UI asks for, and what the flow is then started from.

In: what `as_flow` was given in code. Out: a signature with types, defaults and descriptions; and, out of the answers,
the workflow with its routers, the fleet and the rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from toolkit.errors import RunError
from toolkit.fleet import Fleet
from toolkit.records import Run
from toolkit.resuming import Job, find_run
from toolkit.routing.parsing import parse_routers
from toolkit.rows import Rows, open_rows
from toolkit.workflow import Workflow

Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a person fills in; each field is a parameter of the flow.

    Args:
        rows: A file (CSV, Parquet, JSONL, Excel) or a DuckDB SELECT that gives the rows.
        fleet: The models.toml that says who can be asked.
        router: Who answers, instead of the workflow's own routers: Fixed('large'), Ladder('small', 'large'), cheapest, or step by step as triage=Fixed('large'); reply=cheapest.
        limit: Only the first so many rows; empty means all.
        chunk_size: Rows of one Prefect task.
        chunks_at_once: Chunks under way at the same time; one chunk alone already has 64 rows under way.
        fresh: Ask anew, also where earlier runs have the answer on record.
        seed: The source of all random draws; the same seed draws alike.
        home: The folder of journal and history.
        run_id: Continue this run (or latest) where it stopped; empty means a new one.
    """  # noqa: E501 (Prefect reads one line for each parameter)

    rows: str
    fleet: str
    router: str | None = None
    limit: Positive | None = None
    chunk_size: Positive = 100
    chunks_at_once: Positive = 1
    fresh: bool = False
    seed: int = 0
    home: str = ".toolkit"
    run_id: str | None = None


@dataclass(frozen=True)
class Given:
    """What `as_flow` was given: `fleet` and `rows` are objects or paths, `reference` loads the workflow again."""

    workflow: Workflow
    fleet: Any
    rows: Any
    chunk_size: int
    reference: str | None

    @property
    def signature(self) -> inspect.Signature:
        """The form's parameters: what was given as text is a default, what was given as an object may stay empty."""
        parameters = dict(inspect.signature(Form, eval_str=True).parameters)
        for name, value in (("rows", self.rows), ("fleet", self.fleet)):
            if isinstance(value, str | Path):
                parameters[name] = parameters[name].replace(default=str(value))
            elif value is not None:
                parameters[name] = parameters[name].replace(default=None, annotation=str | None)
        parameters["chunk_size"] = parameters["chunk_size"].replace(default=self.chunk_size)
        return inspect.Signature(list(parameters.values()), return_annotation=Any)


@dataclass(frozen=True)
class Order:
    """A form made good: all that a run needs. `told` is kept with the run, for `toolkit resume`."""

    workflow: Workflow
    fleet: Fleet
    rows: Rows
    form: Form
    run_id: str | None
    limit: int | None
    told: Mapping[str, Any]


def made_good(given: Given, form: Form) -> Order:
    """Open what the form names. Raises SetupError with what is missing and what to do."""
    fleet = Fleet.load(form.fleet) if form.fleet else given.fleet
    known = _continued(form, given.workflow)
    job = (known.settings.get("job") or {}) if known else {}
    router = (form.router or "").strip() or job.get("router")
    workflow = given.workflow.with_routes(parse_routers(router, tuple(fleet))) if router else given.workflow
    limit = form.limit or (known.settings.get("limit") if known else None)
    rows = open_rows(form.rows or given.rows).head(limit, 0)
    told = {}
    if given.reference and form.fleet and form.rows:
        told = Job(given.reference, form.fleet, form.rows, router).told
    return Order(workflow, fleet, rows, form, known.id if known else None, limit, told)


def _continued(form: Form, workflow: Workflow) -> Run | None:
    """The run that the form says to continue."""
    if not form.run_id or not form.run_id.strip():
        return None
    run = find_run(form.run_id.strip(), home=form.home)
    if run.workflow != workflow.name:
        raise RunError(f"run {run.id} is one of the workflow {run.workflow!r}, not of {workflow.name!r}")
    return run


def named(flow: str, answers: Mapping[str, Any]) -> str:
    """What a flow run does, in a line: flow, rows, limit, router."""
    source = " ".join(str(answers.get("rows") or "rows given in code").split())
    if not source.lower().startswith(("select ", "from ", "with ", "rows ")):
        source = Path(source).name
    parts = [f"{flow}: {source if len(source) <= 80 else source[:79] + '…'}"]
    if answers.get("limit"):
        parts.append(f"first {answers['limit']:,} rows")
    if answers.get("router"):
        parts.append(str(answers["router"])[:60])
    if answers.get("run_id"):
        parts.append(f"continues {answers['run_id']}")
    return ", ".join(parts)
