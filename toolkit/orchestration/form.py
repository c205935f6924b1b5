"""The form of a flow: what Prefect's UI asks for, and what the flow is then started from.

In: what `as_flow` was given in code. Out: a signature with types, defaults and descriptions; and, out of the answers,
the workflow with its routers, the fleet and the rows.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from toolkit.asking.settings import Settings
from toolkit.errors import RunError
from toolkit.fleet import Fleet
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal
from toolkit.ledger.homes import has_journal
from toolkit.ledger.recording import Content
from toolkit.money.budgets import budgets_of
from toolkit.records import Run
from toolkit.redaction import TOKEN, Redact, Redactor
from toolkit.routing.parsing import parse_routers
from toolkit.rows import Rows, open_rows
from toolkit.runs.discretion import Discretion, discreet, redacted
from toolkit.runs.resuming import Job, find_run

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
OWN = "as the workflow has it"
"""The first of the routers to choose from."""
KEPT = "full, or as the run to be continued had it"
"""The first of what may be kept of the contents."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a person fills in; each field is a parameter of the flow.

    Args:
        rows: A file (CSV, Parquet, JSONL, Excel) or a DuckDB SELECT that gives the rows.
        fleet: Who can be asked: a models.toml.
        fleet_file: Another models.toml; where it is given, the choice above does not count.
        router: Who answers, instead of the workflow's own routers, such as Fixed('large') or triage=Fixed('large').
        routing: Any other router, such as Ladder('small', 'large'), cheapest, or step by step triage=Fixed('large'); reply=cheapest. Where it is given, the choice above does not count.
        limit: Only the first so many rows; 0 means all.
        budget: What may be spent at most, such as 5 USD; day: 20 USD; step reply: 1 USD. Empty means no limit, or as the run to be continued had it.
        run_id: Continue this run (or latest) where it stopped, over its own rows, with its own fleet and routers but for what is written into the free fields for those; empty means a new one.
        fresh: Ask anew, also where earlier runs have the answer on record.
        chunk_size: Rows of one Prefect task.
        chunks_at_once: Chunks under way at the same time; one chunk alone already has 64 rows under way.
        seed: The source of all random draws; the same seed draws alike.
        redact: What is replaced before anybody sees it: secrets, personal (addresses and phones too), none, or a call such as Redact(emails=True); empty means secrets, or as the run to be continued had it.
        content: How much goes on record; of hashes alone no words are kept.
        home: The folder of journal and history.
    """  # noqa: E501 (Prefect reads one line for each parameter)

    rows: str
    fleet: str
    fleet_file: str = ""
    router: str = ""
    routing: str = ""
    limit: Natural = 0
    budget: str = ""
    run_id: str = ""
    fresh: bool = False
    chunk_size: Positive = 100
    chunks_at_once: Positive = 1
    seed: int = 0
    redact: str = ""
    content: str = KEPT
    home: str = ".toolkit"


@dataclass(frozen=True)
class Given:
    """What `as_flow` was given: `fleet` and `rows` are objects or paths, `reference` loads the workflow again.

    `redact` is what a flow run does whose form leaves that empty. `fleets` and `routers` are what the form lets choose
    from: names as people read them, and the path or the call behind each.
    """

    workflow: Workflow
    fleet: Any
    rows: Any
    chunk_size: int
    reference: str | None
    redact: Redact | str | None = ""
    fleets: Mapping[str, str] = field(default_factory=dict)
    routers: Mapping[str, str] = field(default_factory=dict)

    def fleet_of(self, form: Form) -> str:
        """The path of the fleet that is wanted; empty where it is the one given in code."""
        return form.fleet_file.strip() or self.fleets.get(form.fleet, form.fleet or "")

    def router_of(self, form: Form) -> str:
        """The routers that are wanted, as text; empty where they are the workflow's own."""
        chosen = "" if form.router == OWN else self.routers.get(form.router, form.router or "")
        return form.routing.strip() or chosen.strip()

    def asked(self, answers: Mapping[str, Any]) -> Settings:
        """What is to be redacted and kept, by the form or else by the code."""
        redact, content = (str(answers.get(name) or "").strip() for name in ("redact", "content"))
        return Settings(redact=redact or self.redact, content="" if content == KEPT else content)

    def redactor(self, answers: Mapping[str, Any]) -> Redactor:
        """For what is said before a record is open; its tokens are of no record."""
        redact = Discretion.of(replace(self.asked(answers), content="")).redact
        return Redactor(redact, key=secrets.token_bytes(32))

    def told(self, answers: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answers as they may be told; one that says wrongly what to redact counts as saying nothing."""
        try:
            return self.redactor(answers).fields(answers)
        except RunError:
            return Redactor(Redact.personal(), key=secrets.token_bytes(32)).fields(answers)

    @property
    def signature(self) -> inspect.Signature:
        """The form's parameters: what was given as text is a default, what was given as an object may stay empty."""
        parameters = dict(inspect.signature(Form, eval_str=True).parameters)
        for name, value in (("rows", self.rows), ("fleet", self.fleet)):
            if isinstance(value, str | Path):
                parameters[name] = parameters[name].replace(default=str(value))
            elif value is not None:
                parameters[name] = parameters[name].replace(default="")
        for name, other, choices in (
            ("fleet", "fleet_file", tuple(self.fleets)),
            ("router", "routing", (OWN, *self.routers) if self.routers else ()),
        ):
            if choices:
                parameters[name] = parameters[name].replace(default=choices[0], annotation=Literal[choices])
            else:
                del parameters[other]
        parameters["content"] = parameters["content"].replace(
            annotation=Annotated[Literal[(KEPT, *get_args(Content))], BeforeValidator(lambda told: told or KEPT)]
        )
        parameters["chunk_size"] = parameters["chunk_size"].replace(default=self.chunk_size)
        return inspect.Signature(list(parameters.values()), return_annotation=Any)


@dataclass(frozen=True)
class Order:
    """A form made good: all that a run needs, its rows redacted. `told` is kept with the run, for `toolkit resume`."""

    workflow: Workflow
    fleet: Fleet
    rows: Rows
    form: Form
    run_id: str | None
    limit: int | None
    discretion: Discretion
    told: Mapping[str, Any]


def made_good(given: Given, form: Form, *, flow_run_id: str | None = None) -> Order:
    """Open what the form names. Raises SetupError with what is missing and what to do, and without what is redacted.

    A flow run that Prefect starts again goes on with the run that it had begun.
    """
    answers = vars(form)
    with discreet(given.redactor(answers)):
        continued = _continued(form, given.workflow)
        known, job = continued or begun_by(flow_run_id, home=form.home), _job_of(continued)
        fleet_path = form.fleet_file.strip() or (job.fleet if job else given.fleet_of(form))
        fleet = Fleet.load(fleet_path) if fleet_path else given.fleet
        router = given.router_of(form) or (job.router if job else None)
        workflow = given.workflow.with_routes(parse_routers(router, tuple(fleet))) if router else given.workflow
        source = job.rows if job else form.rows or given.rows
        limit, skip = _part(form, known)
        rows = open_rows(source).head(limit, skip)
        budgets_of(form.budget)
        discretion = Discretion.of(given.asked(answers), known)
        discretion.check(workflow, fleet)
        redactor = discretion.redactor(fleet, key=discretion.key(Path(form.home)))
    told = {}
    if given.reference and fleet_path and isinstance(source, str) and source:
        told = Job(given.reference, fleet_path, source, router).told
    run_id = known.id if known else None
    return Order(workflow, fleet, redacted(rows, redactor), form, run_id, limit, discretion, told)


def _part(form: Form, known: Run | None) -> tuple[int | None, int]:
    """The limit, and how many rows to skip: of a run that is continued as it was begun, whatever the form says."""
    if known is None:
        return form.limit or None, 0
    return known.settings.get("limit"), known.settings.get("skip") or 0


def begun_by(flow_run_id: str | None, *, home: Path | str) -> Run | None:
    """The run that this flow run began when it was started before, if it was."""
    if flow_run_id is None or not has_journal(home):
        return None
    with Journal.open(home) as journal:
        return next((run for run in journal.runs() if run.flow_run_id == flow_run_id), None)


def _job_of(run: Run | None) -> Job | None:
    """What a run is to be continued from; None where the record cannot tell, and the form has to."""
    job = run.settings.get("job") if run is not None else None
    if run is None or not isinstance(job, dict) or TOKEN.search(str(job.get("rows"))):
        return None
    return Job.of(run)


def _continued(form: Form, workflow: Workflow) -> Run | None:
    """The run that the form says to continue."""
    if not form.run_id.strip():
        return None
    run = find_run(form.run_id.strip(), home=form.home)
    if run.workflow != workflow.name:
        raise RunError(f"run {run.id} is one of the workflow {run.workflow!r}, not of {workflow.name!r}")
    return run


def named(flow: str, answers: Mapping[str, Any]) -> str:
    """What a flow run does, in a line: flow, rows, limit, router; or the run that it continues, whose rows they are."""
    router = answers.get("routing") or answers.get("router")
    routed = [str(router)[:60]] if router and router != OWN else []
    if answers.get("run_id"):
        return ", ".join([f"{flow}: continues {answers['run_id']}", *routed])
    source = " ".join(str(answers.get("rows") or "rows given in code").split())
    if not source.lower().startswith(("select ", "from ", "with ", "rows ")):
        source = Path(source).name
    parts = [f"{flow}: {source if len(source) <= 80 else source[:79] + '…'}"]
    if answers.get("limit"):
        parts.append(f"first {answers['limit']:,} rows")
    return ", ".join([*parts, *routed])
