"""What a run would ask, cost and take, in words and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from toolkit.cli.batch import job_of

if TYPE_CHECKING:
    from toolkit.forecasts.forecasting import Forecast, Range, StepForecast
    from toolkit.money.budgets import Budgets


def print_forecast(
    workflow: str, rows: str, fleet: str, *, router: str, as_json: bool, options: Mapping[str, Any]
) -> None:
    """Look at a workflow and its rows, and tell what was found."""
    from toolkit.asking.settings import settings_of
    from toolkit.forecasts.foreseeing import foreseen
    from toolkit.money.budgets import budgets_of

    job = job_of(workflow, rows=rows, fleet=fleet, router=router)
    settings = settings_of(options)
    opened, members = job.open()
    found, budgets = foreseen(opened, job.rows, members, settings), budgets_of(settings.budget)
    if as_json:
        print(json.dumps(_told(found, budgets)))
        return
    for line in _sentences(found, budgets):
        print(line)
    _print_steps(found)


def _sentences(found: Forecast, budgets: Budgets | None) -> list[str]:
    from toolkit.runs.progress import duration

    lines = [
        f"{found.rows:,} rows: {_calls(found.calls)}; {found.on_record:,} requests are answered on record",
        f"cost: {_cost(found.cost_usd)}",
        "time: "
        + ("unknown: nothing like it has run yet" if found.seconds is None else f"about {duration(found.seconds)}"),
    ]
    lines += found.against(budgets) if budgets is not None else ()
    for step in found.steps:
        seen, name = step.seen, _short(step)
        if seen.unknown:
            times = f"{seen.unknown:,} rows" if seen.unknown > 1 else "once"
            lines.append(f"{name}: what it asks cannot be known yet ({times}): {seen.why_unknown}")
        if seen.unroutable:
            lines.append(f"{name}: {seen.unroutable:,} requests would find no model")
        if seen.failed:
            lines.append(f"{name}: {seen.failed:,} rows would fail before anything is asked")
        if seen.parks:
            lines.append(f"{name}: {seen.parks:,} requests go to a person")
    return lines


def _print_steps(found: Forecast) -> None:
    from toolkit.cli.tables import console, count, table

    cells = [
        (
            _short(step),
            ", ".join(f"{number:,} {model}" for model, number in step.seen.choices.most_common()),
            count(step.seen.requests),
            count(step.seen.on_record),
            count(step.seen.shared),
            count(step.to_ask),
            _number(step.calls),
            _money(step.cost_usd),
        )
        for step in found.steps
    ]
    columns = ("step", "first choice", "requests", "on record", "alike", "to ask", "calls", "USD")
    console().print(table("", columns, cells, words=2))


def _calls(calls: Range) -> str:
    likely = "" if calls.likely is None else f", about {calls.likely:,.0f} likely"
    worst = "with no known bound" if calls.worst is None else f"{calls.worst:,.0f} at most"
    return f"{calls.least:,.0f} calls at least{likely}, {worst}"


def _cost(cost: Range) -> str:
    from toolkit.money.budgets import amount

    likely = "unknown what is likely" if cost.likely is None else f"about {amount(cost.likely, 'usd')} likely"
    worst = "no known bound" if cost.worst is None else f"{amount(cost.worst, 'usd')} at most"
    return f"{amount(cost.least, 'usd')} at least, {likely}, {worst}"


def _number(calls: Range) -> str:
    return f"{calls.least:,.0f} – {'?' if calls.worst is None else f'{calls.worst:,.0f}'}"


def _money(cost: Range) -> str:
    from toolkit.cli.tables import usd

    parts = [cost.least, cost.likely, cost.worst]
    return " / ".join("?" if part is None else usd(part) for part in parts)


def _told(found: Forecast, budgets: Budgets | None) -> dict[str, object]:
    return {
        "rows": found.rows,
        "calls": asdict(found.calls),
        "cost_usd": asdict(found.cost_usd),
        "seconds": found.seconds,
        "on_record": found.on_record,
        "budgets": list(found.against(budgets)) if budgets is not None else [],
        "steps": [
            {
                **{name: value for name, value in vars(step.seen).items() if name not in ("most_calls", "worst_usd")},
                "to_ask": step.to_ask,
                "calls": asdict(step.calls),
                "cost_usd": asdict(step.cost_usd),
            }
            for step in found.steps
        ],
    }


def _short(step: StepForecast) -> str:
    return step.seen.step.split("/", 1)[-1]
