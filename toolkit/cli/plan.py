"""`toolkit plan`: what a resume would ask again, why, and about what it would cost. Nothing here writes or asks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from toolkit.cli.options import DEFAULT_HOME, AsJson, Home, RunName

if TYPE_CHECKING:
    from toolkit.planning import Prospect, StepProspect


def plan(run: RunName, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """Show what `toolkit resume` would do with a run: what stays, what is asked and why, and an estimate of the cost.

    The estimate rests on the averages of that run alone. Exit code 0, also where nothing is left to do.
    """
    from toolkit.cli.questions import named
    from toolkit.ledger.reading.history import History
    from toolkit.planning import facts_of, planned, settings_of

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
