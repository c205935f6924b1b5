"""`toolkit run`, `resume` and `retry`: a batch from the command line, to its end or to Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.ending import FAILED, INTERRUPTED, complain
from toolkit.cli.options import DEFAULT_HOME, AsJson, Home, InFlight, RunName
from toolkit.cli.questions import Outcome, outcome_of
from toolkit.errors import FleetError, RowsError, ToolkitError, sentence

if TYPE_CHECKING:
    from toolkit.records import RowRecord
    from toolkit.runs.resuming import Job
    from toolkit.runs.running import Running


def run(
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="WORKFLOW", help="`support` (the shipped example), file.py, file.py:name or package.module:name."
        ),
    ],
    rows: Annotated[
        str, typer.Option("--rows", help="A CSV, TSV, Parquet, JSON(L) or Excel file, or a DuckDB SELECT.")
    ] = "",
    fleet: Annotated[str, typer.Option("--fleet", help="A models.toml.")] = "",
    router: Annotated[
        str,
        typer.Option(
            "--router",
            help="For all steps, e.g. \"Ladder('small', 'large')\", or by step: \"triage=large; reply=cheapest\".",
        ),
    ] = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N rows.")] = None,
    home: Home = DEFAULT_HOME,
    in_flight: InFlight = 64,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask anew what other runs have on record.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of all random draws.")] = 0,
    redact: Annotated[
        str,
        typer.Option(
            "--redact",
            help="What is replaced before anybody sees it: secrets, personal (addresses and phones too), none, or a "
            "call such as \"Redact(emails=True, keep=('sender',))\".",
        ),
    ] = "secrets",
    content: Annotated[
        str, typer.Option("--content", help="full, or hashes: metadata and keyed hashes, and no words on record.")
    ] = "full",
    budget: Annotated[
        str, typer.Option("--budget", help="What may be spent, e.g. '5 USD', 'day: 20 USD; step reply: 1 USD'.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run a workflow over a table of rows.

    A row that fails is set aside with its reason and the batch goes on; Ctrl-C stops cleanly, and `toolkit resume` goes
    on from there. Exit code 0: all went well (rows may be parked for a person or set aside as unusable); 1: rows or
    steps failed; 2: nothing could run; 130: interrupted.
    """
    with _quiet_stdout(as_json):
        job = job_of(workflow, rows=rows, fleet=fleet, router=router)
        running = job.start(
            home=home,
            limit=limit,
            in_flight=in_flight,
            fresh=fresh,
            seed=seed,
            redact=redact,
            content=content,
            budget=budget,
            origin="cli",
        )
    _finish(running, as_json=as_json)


def resume(
    run: RunName,
    home: Home = DEFAULT_HOME,
    in_flight: InFlight = 64,
    rows: Annotated[
        str, typer.Option("--rows", help="The same rows again, where the record could not keep how they were named.")
    ] = "",
    budget: Annotated[
        str, typer.Option("--budget", help="Another budget in place of the run's own; what is spent stays spent.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Go on with a run: answered rows stay, the others run again, and nothing on record is asked again.

    A run that is paused goes on where it is; it takes no other process for that.
    """
    from toolkit.cli.steering import lifted

    if lifted(run, home):
        return
    with _quiet_stdout(as_json):
        from toolkit.runs.resuming import resume as resumed

        running = resumed(run, home=home, in_flight=in_flight, rows=_named(rows) if rows else None, budget=budget)
    _finish(running, as_json=as_json)


def retry(
    run: RunName,
    failed: Annotated[bool, typer.Option("--failed", help="All rows that failed.")] = False,
    set_aside: Annotated[bool, typer.Option("--set-aside", help="All rows that were set aside, once mended.")] = False,
    rows: Annotated[list[str] | None, typer.Option("--rows", metavar="ID", help="Only these; once for each.")] = None,
    mended: Annotated[
        str, typer.Option("--with", help="Rows given anew under their old ids: a file or a DuckDB SELECT.")
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Only list them, with their reasons.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", help="Only write them to this JSONL, to be mended and given by --with.")
    ] = None,
    home: Home = DEFAULT_HOME,
    in_flight: InFlight = 64,
    as_json: AsJson = False,
) -> None:
    """Drive rows of a run again that failed or were set aside; their answered steps are not asked again."""
    from toolkit.runs.retrying import TROUBLED, troubled
    from toolkit.runs.retrying import retry as retried

    if listed or write is not None:
        chosen = tuple(status for status, said in zip(TROUBLED, (failed, set_aside), strict=True) if said)
        found = troubled(run, statuses=chosen or TROUBLED, home=home)
        found = [row for row in found if not rows or row.row_id in rows]
        if write is not None:
            _write(found, write)
        print(_listed(found, as_json=as_json))
        return
    with _quiet_stdout(as_json):
        running = retried(
            run,
            failed=failed,
            set_aside=set_aside,
            row_ids=rows or (),
            mended=_named(mended) if mended else None,
            home=home,
            in_flight=in_flight,
        )
    _finish(running, as_json=as_json)


def fork(
    run: RunName,
    at: Annotated[str, typer.Option("--at", metavar="STEP", help="The step from which on all runs anew.")],
    router: Annotated[str, typer.Option("--router", help="Other routers than the run had; see `toolkit run`.")] = "",
    fleet: Annotated[str, typer.Option("--fleet", help="Another models.toml than the run had.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", help="Another workflow than the run had.")] = "",
    rows: Annotated[str, typer.Option("--rows", help="Other rows than the run had; they are matched by id.")] = "",
    home: Home = DEFAULT_HOME,
    in_flight: InFlight = 64,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask anew what other runs have on record.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a past run anew from one of its steps on; what stands before that step is taken from the record.

    The workflow is read as it is now: with another prompt, say. The past run stays as it is.
    """
    with _quiet_stdout(as_json):
        from toolkit.runs.forking import fork as forked
        from toolkit.runs.resuming import Job, find_run

        past = find_run(run, home=home)
        job = Job.of(past, rows=_named(rows) if rows else None)
        given = {"workflow": workflow, "router": router, "fleet": _absolute(fleet) if fleet else ""}
        job = replace(job, **{name: value for name, value in given.items() if value})
        made, models = job.open()
        same = {"limit": past.settings.get("limit"), "skip": past.settings.get("skip", 0)} if not rows else {}
        running = forked(
            made,
            past.id,
            at=at,
            fleet=models,
            rows=job.rows,
            home=home,
            in_flight=in_flight,
            fresh=fresh,
            told=job.told,
            origin="cli",
            **same,
        )
    _finish(running, as_json=as_json)


# -------------------------------------------------------------------------------------------------------------- begin
def job_of(workflow: str, *, rows: str, fleet: str, router: str) -> Job:
    """The job as text that means the same in whatever folder it is resumed from."""
    from toolkit.runs.resuming import Job

    if workflow == "support":
        from toolkit.examples.support import FLEET, REQUESTS

        rows, fleet = rows or str(REQUESTS), fleet or str(FLEET)
    if not rows:
        raise RowsError(
            "say which rows: --rows file.csv (or Parquet, JSONL, Excel), or --rows \"select … from 'file.csv'\""
        )
    if not fleet:
        raise FleetError("say who answers: --fleet models.toml")
    where, colon, name = workflow.partition(":")
    return Job(
        workflow=f"{_absolute(where)}{colon}{name}" if where.endswith(".py") else workflow,
        fleet=_absolute(fleet),
        rows=_named(rows),
        router=router or None,
    )


def _named(rows: str) -> str:
    """A file by its whole path, a query as it is."""
    from toolkit.rows import is_query

    return rows if is_query(rows) else _absolute(rows)


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


# --------------------------------------------------------------------------------------------------------------- rows
def _listed(rows: list[RowRecord], *, as_json: bool) -> str:
    if as_json:
        told = [{"row_id": r.row_id, "status": r.status, "reason": r.reason, "fields": dict(r.fields)} for r in rows]
        return json.dumps({"rows": told})
    width = max((len(row.row_id) for row in rows), default=0)
    lines = [
        f"{row.row_id:<{width}}  {row.status.replace('_', ' '):<9}  {' '.join(row.reason.split())}" for row in rows
    ]
    return "\n".join([*lines, f"{len(rows):,} rows"])


def _write(rows: list[RowRecord], path: Path) -> None:
    """The rows as lines of JSON, each under its id in the run."""
    import orjson

    with path.open("wb") as file:
        for row in rows:
            given = row.row_id.removesuffix(f"#{row.index}")
            column = next((name for name, value in row.fields.items() if str(value) == given), "id")
            file.write(orjson.dumps({**row.fields, column: row.row_id}) + b"\n")


# ---------------------------------------------------------------------------------------------------------------- end
def _finish(running: Running, *, as_json: bool) -> None:
    """Wait, tell how it went, and end with the exit code for it."""
    went_on = f"what is answered is kept; go on with: {again(running)}"
    code = 0
    try:
        with _quiet_stdout(as_json):
            running.wait(show=True)
    except KeyboardInterrupt:
        complain(f"interrupted; {went_on}")
        code = INTERRUPTED
    except ToolkitError as error:
        complain(f"{sentence(error)}; {went_on}")
        code = FAILED
    if running.stopped:
        complain(f"{running.stopped}; what is answered is kept; go on with: {again(running)} --budget '… USD'")
        code = code or FAILED
    outcome = outcome_of(running.history, running.id)
    if as_json:
        print(_as_json(running, outcome))
    else:
        print(told(running, outcome))
    if not running.is_finished:  # interrupted twice: its thread is still at work, and nobody wants to wait for it
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code or (FAILED if outcome.failures else 0))


def again(running: Running) -> str:
    """The command that goes on with a run."""
    from toolkit.runs.run_names import going_on

    return going_on(running.id, running.settings.home)


def told(running: Running, outcome: Outcome) -> str:
    """How it went, in a few lines."""
    from toolkit.runs.progress import duration

    rows = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in outcome.rows.items() if count)
    reused = f" ({running.progress.tally.reused:,} answers reused)" if running.progress.tally.reused else ""
    unpriced = f" + {outcome.unpriced:,} calls of unknown cost" if outcome.unpriced else ""
    lines = [
        f"{running.id} {outcome.status} after {duration(running.progress.seconds)}: {rows or 'no row ended'} · "
        f"{outcome.calls:,} calls{reused} · {outcome.cost_usd or 0.0:.4f} USD{unpriced}"
    ]
    lines += [f"  {failure}" for failure in outcome.failures]
    return "\n".join([*lines, f"  more: toolkit show {running.id} --home {shlex.quote(str(running.settings.home))}"])


def _as_json(running: Running, outcome: Outcome) -> str:
    return json.dumps(
        {
            "run_id": running.id,
            "workflow": running.run.workflow,
            "status": outcome.status,
            "rows": outcome.rows,
            "calls": outcome.calls,
            "errors": outcome.errors,
            "reused": running.progress.tally.reused,
            "cost_usd": outcome.cost_usd,
            "calls_of_unknown_cost": outcome.unpriced,
            "seconds": round(running.progress.seconds, 3),
            "home": str(running.settings.home.resolve()),
        }
    )


@contextlib.contextmanager
def _quiet_stdout(quiet: bool) -> Iterator[None]:
    """What a workflow prints goes to the error stream where stdout is for one JSON object."""
    with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
        yield
