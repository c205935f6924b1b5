"""`toolkit plan`: what a run would ask and cost before it begins, or a resume again. Nothing here writes or asks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import DEFAULT_HOME, AsJson, Home, InFlight
from toolkit.errors import RunError

if TYPE_CHECKING:
    from toolkit.forecasts.planning import Prospect, StepProspect


def plan(
    what: Annotated[
        str, typer.Argument(metavar="RUN|WORKFLOW", help="A run on record, or a workflow as `toolkit run` takes it.")
    ],
    rows: Annotated[str, typer.Argument(metavar="[ROWS]", help="The rows of a workflow, as --rows of `run`.")] = "",
    given: Annotated[str, typer.Option("--rows", help="The same.")] = "",
    fleet: Annotated[str, typer.Option("--fleet", help="A models.toml.")] = "",
    router: Annotated[str, typer.Option("--router", help="As for `run`.")] = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N rows.")] = None,
    in_flight: InFlight = 64,
    fresh: Annotated[bool, typer.Option("--fresh", help="As if nothing were on record.")] = False,
    redact: Annotated[str, typer.Option("--redact", help="As for `run`.")] = "secrets",
    budget: Annotated[str, typer.Option("--budget", help="A budget to hold it against.")] = "",
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Tell what a run would do before it begins, or what `toolkit resume` would do with a run that was begun.

    Of a workflow: how many calls, how many are answered already, what it will cost and how long it will take. What
    cannot be known before anything is asked is estimated by earlier runs, and said to be unknown where there are none.
    Nothing is asked, and no tool is called. Of a run: what stays, what is asked again and why, by that run's averages.
    Exit code 0, also where nothing is left to do.
    """
    if what == "support" or what.endswith(".py") or ":" in what or rows or given or fleet:
        from toolkit.cli.forecast import print_forecast

        options = {"limit": limit, "in_flight": in_flight, "fresh": fresh, "redact": redact, "budget": budget}
        print_forecast(what, rows or given, fleet, router=router, as_json=as_json, options={"home": home, **options})
        return
    if router or limit is not None or fresh or budget or redact != "secrets":
        raise RunError(
            f"{what!r} names a run on record, which is planned as it was begun: only --home and --json say more of it; "
            "to plan a workflow, give file.py:name and its rows"
        )
    _of_run(what, home, as_json=as_json)


def _of_run(run: str, home: Path, *, as_json: bool) -> None:
    from toolkit.forecasts.planning import facts_of, planned, settings_of
    from toolkit.ledger.reading.history import History
    from toolkit.runs.run_names import named

    history = History(home)
    run_id = named(history, run)
    told, prospect = settings_of(history, run_id), planned(facts_of(history, run_id))
    if as_json:
        print(_as_json(run_id, told, prospect))
        return
    for line in _sentences(run_id, told, prospect):
        print(line)
    _print_steps(prospect)


def _sentences(run_id: str, told: dict[str, str], prospect: Prospect) -> list[str]:
    from toolkit.cli.tables import count, usd

    unreached = "" if prospect.rows_unreached is None else f", {count(prospect.rows_unreached)} were never reached"
    lines = [
        f"{run_id} ({told['status']}, redact={told['redact']}, content={told['content']}): "
        f"{count(prospect.rows_done)} rows are done, {count(prospect.rows_again)} run again{unreached}"
    ]
    if not prospect.rows_again and not prospect.rows_unreached:
        return [*lines, "nothing is left to do"]
    if prospect.asked_again:
        lines.append(f"asked again although answered: {', '.join(map(_short, prospect.asked_again))}")
    if not prospect.steps:
        return [*lines, "no step is on record yet: there is nothing to estimate from"]
    cost = "unknown" if prospect.cost_usd is None else f"{usd(prospect.cost_usd)} USD"
    return [*lines, f"about {prospect.calls:,.0f} calls, cost {cost}, by this run's own averages"]


def _print_steps(prospect: Prospect) -> None:
    from toolkit.cli.tables import console, count, table, usd

    if prospect.steps:
        cells = [
            (
                _short(step.step),
                count(step.on_record),
                count(step.waiting),
                count(sum(step.ask.values())),
                ", ".join(f"{number:,} {why}" for why, number in step.ask.items()),
                f"{step.calls:,.0f}",
                "unknown" if step.cost_usd is None else usd(step.cost_usd),
            )
            for step in prospect.steps
        ]
        columns = ("step", "on record", "waiting", "to ask", ">why", "calls", "USD")
        console().print(table("", columns, cells))


def _as_json(run_id: str, told: dict[str, str], prospect: Prospect) -> str:
    rows = {"done": prospect.rows_done, "again": prospect.rows_again, "never_reached": prospect.rows_unreached}
    return json.dumps(
        {
            "run_id": run_id,
            **told,
            "rows": rows,
            "asked_again": list(prospect.asked_again),
            "calls": round(prospect.calls, 3),
            "cost_usd": prospect.cost_usd,
            "steps": [_step(step) for step in prospect.steps],
        }
    )


def _step(step: StepProspect) -> dict[str, object]:
    return {**asdict(step), "ask": {why.replace(" ", "_"): count for why, count in step.ask.items()}}


def _short(step: str) -> str:
    """A step without its workflow's name."""
    return step.split("/", 1)[-1]
