"""The beginning of a run: what cannot run is refused, and what can is put on record with all that it needs.

rows, workflow, fleet, settings ─▶ checks ─▶ the run's record ─▶ rows as the run sees them, and whoever asks for it
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from toolkit.asking.loop import Asker
from toolkit.asking.reconciling import opened
from toolkit.asking.settings import Settings
from toolkit.asking.steering import Steering
from toolkit.errors import RowsError, RunError
from toolkit.fleet import Fleet
from toolkit.graph.affording import check_prices
from toolkit.graph.drawing import Graph
from toolkit.graph.past import Fork
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal, entries
from toolkit.ledger.recording import Recorder
from toolkit.money.budgets import Budgets, budgets_of
from toolkit.records import Run, RunStatus, now
from toolkit.rows import Rows, open_rows
from toolkit.runs.claiming import Holding
from toolkit.runs.discretion import Discretion, discreet, redacted


@dataclass(frozen=True)
class Begun:
    """A run on record and held, its rows after redaction, and the asker that answers its questions.

    `before` is the status of a run that is continued.
    """

    run: Run
    rows: Rows
    asker: Asker
    holding: Holding
    before: RunStatus | None = None


def begin(workflow: Workflow, rows: Any, *, fleet: Fleet, settings: Settings, steering: Steering) -> Begun:
    """Raises a SetupError where nothing could run, without what is redacted."""
    at_first = Discretion.of(replace(settings, content=""))
    with discreet(at_first.redactor(fleet, key=secrets.token_bytes(32))):
        table = open_rows(rows).head(settings.limit, settings.skip)
        _check_columns(workflow, table)
        workflow.check(fleet)
    journal, holding = Journal.open(settings.home), None
    try:
        known = journal.run(settings.run_id) if settings.run_id else None
        discretion = Discretion.of(settings, known)
        discretion.check(workflow, fleet)
        key = discretion.key(settings.home)
        redactor = discretion.redactor(fleet, key=key)
        if known is not None:
            run = _continued(known, workflow)
        else:
            run = _new(workflow, table, settings)
            run = replace(run, settings={**redactor.value(run.settings), **discretion.told})
        budgets = _budgets(settings, known)
        if budgets is not None:
            check_prices(budgets, workflow, fleet)
        if budgets is not None or run.settings.get("budget"):
            run = replace(run, settings={**run.settings, "budget": repr(budgets) if budgets else None})
        journal.write(*(entries.price_entry(*listed, noted_at=now()) for listed in fleet.prices.entries()))
        recorder = Recorder.of(journal, content=discretion.content, key=key)
        holding = Holding(journal, run, steering=steering).enter(is_part=len(settings.parts) == 1)
        if budgets is not None:
            opened(journal, budgets, run_id=run.id, continued=known is not None)
    except BaseException:
        if holding is not None:
            holding.abandon()
        journal.close()
        raise
    asker = Asker(
        fleet,
        recorder,
        redactor,
        seed=run.seed,
        fresh=bool(run.settings.get("fresh")),
        steering=steering,
        is_shared=lambda: holding.is_shared,
        sure=holding.sure,
        budgets=budgets,
        holder=holding.holder,
    )
    return Begun(run, redacted(table, redactor), asker, holding, None if known is None else known.status)


def new_run_id(workflow: str) -> str:
    """A name that a person can type: workflow, UTC time, four characters of chance."""
    return f"{workflow}-{now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


# ----------------------------------------------------------------------------------------------------------- helpers
def _check_columns(workflow: Workflow, table: Rows) -> None:
    missing = [name for name in workflow.columns if name not in table.columns]
    if workflow.rows is not None:
        required = {
            n: f
            for n, f in workflow.rows.model_fields.items()
            if f.is_required() and (f.alias or n) not in table.columns
        }
        missing = list(required)
    if missing:
        raise RowsError(
            f"workflow {workflow.name!r} needs the column {missing[0]!r}, which the rows do not have; "
            f"they have {', '.join(table.columns) or 'none'}"
        )


def _budgets(settings: Settings, known: Run | None) -> Budgets | None:
    """What the settings say; where they say nothing, what the run that they continue was begun with."""
    if settings.budget == "" and known is not None:
        return budgets_of(known.settings.get("budget"))
    return budgets_of(settings.budget)


def _continued(known: Run, workflow: Workflow) -> Run:
    if known.workflow != workflow.name:
        raise RunError(f"run {known.id} is one of workflow {known.workflow!r}, not of {workflow.name!r}")
    return replace(known, status="running", finished_at=None)


def _new(workflow: Workflow, table: Rows, settings: Settings) -> Run:
    forked = Fork.of(settings.told)
    return Run(
        id=settings.run_id or new_run_id(workflow.name),
        workflow=workflow.name,
        origin=settings.origin,
        started_at=now(),
        rows_total=table.total,
        seed=settings.seed,
        settings={
            "source": table.source,
            "limit": settings.limit,
            "skip": settings.skip,
            "fresh": settings.fresh,
            "graph": Graph.of(workflow).kept,
            **settings.told,
        },
        parent_run_id=None if forked is None else forked.run_id,
        flow_run_id=settings.flow_run_id,
    )
