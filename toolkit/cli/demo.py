"""`toolkit demo`: the shipped support batch, end to end, without a key and without a download."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.ending import FAILED, INTERRUPTED, complain
from toolkit.cli.options import DEFAULT_HOME, Home

if TYPE_CHECKING:
    from toolkit.ledger.reading.history import History
    from toolkit.runs.resuming import Job

CHUNK_ROWS = 115
"""Four chunks, so that Prefect has something to show."""


def demo(
    home: Home = DEFAULT_HOME,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Only the first N tickets; without it all of them.")
    ] = None,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="Run without Prefect: no server, no flow run.")
    ] = False,
) -> None:
    """Answer a day of support tickets with small models that run in this process, and show what can be asked after.

    The tickets go through Prefect as one flow run (a server of its own is started where none is named by
    PREFECT_API_URL, which takes a while), are graded against the truth that comes with them, and stay in --home.
    """
    from toolkit.evaluation.quality import grade_run
    from toolkit.examples.support import FLEET, REQUESTS
    from toolkit.examples.support.quality import CHECKS
    from toolkit.ledger.reading.history import History
    from toolkit.runs.resuming import Job

    began = time.monotonic()
    job = Job("support", str(FLEET), str(REQUESTS))
    print(_opening(home, rows, no_prefect=no_prefect), flush=True)
    try:
        run_id = _plainly(job, home, rows) if no_prefect else _by_prefect(job, home, rows)
    except KeyboardInterrupt:
        complain(f"interrupted; go on with: toolkit resume latest --home {shlex.quote(str(home))}")
        raise typer.Exit(INTERRUPTED) from None
    grade_run(home, run_id, CHECKS)
    _tell(History(home), run_id, seconds=time.monotonic() - began)


# --------------------------------------------------------------------------------------------------------------- runs
def _plainly(job: Job, home: Path, rows: int | None) -> str:
    return job.start(home=home, limit=rows, fresh=True, origin="cli").wait(show=True).id


def _by_prefect(job: Job, home: Path, rows: int | None) -> str:
    """As one flow run; its log goes to the error stream."""
    if not sys.stderr.isatty():
        os.environ.setdefault("PREFECT_LOGGING_COLORS", "false")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    from toolkit.orchestration import as_flow, local_server

    workflow, _ = job.open()
    flow = as_flow(workflow, fleet=job.fleet, rows=job.rows, chunk_size=CHUNK_ROWS, reference=job.workflow)
    with local_server():
        summary = flow(limit=rows or 0, fresh=True, home=str(home))
    print(str(summary), file=sys.stderr)
    return str(summary.run_id)


# --------------------------------------------------------------------------------------------------------------- tell
def _opening(home: Path, rows: int | None, *, no_prefect: bool) -> str:
    from toolkit.examples.support import REQUESTS

    total = len(REQUESTS.read_bytes().splitlines())
    through = "" if no_prefect else " through Prefect"
    count = min(rows or total, total)
    return f"{count} support tickets{through}, answered by the embedded fleet; the record goes to {home.resolve()}"


def _tell(history: History, run_id: str, *, seconds: float) -> None:
    from toolkit.cli import questions, summary, tables
    from toolkit.ledger.views import questions as statements

    out = tables.console()
    outcome = questions.outcome_of(history, run_id)
    rows = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in outcome.rows.items())
    out.print()
    out.print(
        f"{run_id}: {rows} · {outcome.calls:,} calls · {tables.usd(outcome.cost_usd)} USD · {seconds:.0f} s in all",
        markup=False,
    )
    out.print()
    summary.print_steps(history, run_id, title="Steps and models")
    out.print("What was parked has no grade. Prices are nominal, so that routing has something to weigh.\n")
    columns = ("step", "model", "chosen", "explored", "escalated to", "after an error")
    mix = questions.records(history.sql(statements.MIX, run_id=run_id))
    cells = [
        (m["step"], m["model"], *(tables.count(m[name]) for name in ("chosen", "explored", "escalated", "fallback")))
        for m in mix
    ]
    out.print(tables.table("Who was asked, and why", columns, cells, words=2))
    summary.print_waiting(history, run_id)
    out.print("What to type next:", style="bold")
    for command, what in _next_commands(history, run_id):
        out.print(f"  {command:<58}{what}", markup=False, soft_wrap=True)
    if outcome.failures:
        for failure in outcome.failures:
            complain(failure)
        raise typer.Exit(FAILED)


def _next_commands(history: History, run_id: str) -> list[tuple[str, str]]:
    from toolkit.cli import questions
    from toolkit.ledger.views import questions as statements

    found = Path(sys.argv[0])  # as it was started: make has it in a folder that no shell knows of
    command = os.path.relpath(found) if found.name == "toolkit" and shutil.which("toolkit") is None else "toolkit"
    where = f" --home {shlex.quote(str(history.home))}" if history.home != DEFAULT_HOME else ""
    waiting = questions.records(history.sql(statements.WAITING, run_id=run_id))
    row = f" --row {waiting[0]['row_id']}" if waiting else ""
    return [
        (f"{command} show latest{row}{where}", "a ticket: who, why, at what cost" if row else "the run"),
        (f"{command} sql 'from model_costs'{where}", "any question, in SQL"),
        (f"{command} lab", "the same record as DataFrames and charts"),
    ]
