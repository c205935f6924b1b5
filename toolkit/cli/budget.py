"""`toolkit budget`: what is spent and held back of each budget, and what dead processes still hold back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import DEFAULT_HOME, AsJson, Home

if TYPE_CHECKING:
    from toolkit.ledger import Journal


def budget(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Only of this run; `latest`, or the beginning of an id.")
    ] = "",
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Settle what dead processes hold back, by what is on record of it.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Show what is spent and held back of each budget, over all processes.

    A call that was cut off in the middle counts as spent, all of what was held back for it; one whose attempt is on
    record by its cost. A resume reconciles its run by itself.
    """
    from toolkit.asking.reconciling import dead, reconciled
    from toolkit.ledger import Journal
    from toolkit.runs.resuming import find_run
    from toolkit.runs.run_names import check_journal

    run_id = find_run(run, home=home).id if run else None
    check_journal(home)
    with Journal.open(home) as journal:
        gone = journal.decided(lambda transaction: dead(transaction, run_id))
        settled = reconciled(journal, gone) if reconcile else None
        told = _told(journal, run_id, still_dead=0 if reconcile else len(gone))
    if settled is not None:
        told["reconciled"] = {"on_record": settled[0], "counted_as_spent": settled[1]}
    print(json.dumps(told) if as_json else _in_words(told))


def _told(journal: Journal, run_id: str | None, *, still_dead: int) -> dict[str, object]:
    """Scopes with their sums, and reservations."""
    from toolkit.ledger.writing import reservations
    from toolkit.money.budgets import budgets_of
    from toolkit.records import made_at

    kept = journal.decided(reservations.balances)
    held = journal.decided(lambda transaction: reservations.held(transaction, None if run_id is None else (run_id,)))
    limits: dict[tuple[str, str], float] = {}
    for run in journal.runs():
        budgets = budgets_of(run.settings.get("budget"))
        for part in budgets.parts if budgets is not None else ():
            day = f"{run.started_at:%Y-%m-%d}"
            for unit, most in part.limits:
                limits.setdefault((part.scope(run.id, day), unit), most)
    scopes = [
        {
            "scope": scope,
            "unit": unit,
            "limit": limits.get((scope, unit)),
            "spent": max(0.0, b.spent),
            "held": max(0.0, b.reserved),
        }
        for (scope, unit), b in kept.items()
        if run_id is None or f"{scope} ".startswith(f"run {run_id} ") or scope.startswith("day ")
    ]
    oldest = min((f"{made_at(each.id):%Y-%m-%d %H:%M:%S}" for each in held), default=None)
    return {
        "scopes": scopes,
        "calls_under_way": len(held) - still_dead,
        "dead_reservations": still_dead,
        "oldest": oldest,
    }


def _in_words(told: dict[str, object]) -> str:
    from toolkit.cli.tables import console, table

    scopes = told["scopes"]
    assert isinstance(scopes, list)
    if scopes:
        cells = [
            (each["scope"], *(_amount(each[name], each["unit"]) for name in ("limit", "spent", "held")))
            for each in scopes
        ]
        console().print(table("", ("scope", "limit", "spent", "held back"), cells))
    lines = [] if scopes else ["no run has had a budget here"]
    if told["calls_under_way"]:
        lines.append(f"{told['calls_under_way']} calls are under way")
    if told["dead_reservations"]:
        lines.append(
            f"{told['dead_reservations']} calls were cut off with their process, the oldest at {told['oldest']} UTC; "
            "what was held back for them counts as spent until: toolkit budget --reconcile, or a resume of their run"
        )
    if isinstance(found := told.get("reconciled"), dict):
        lines.append(f"reconciled: {found['on_record']} by their record, {found['counted_as_spent']} count as spent")
    return "\n".join(lines)


def _amount(value: float | None, unit: str) -> str:
    from toolkit.money.budgets import amount

    return "?" if value is None else amount(value, "tokens" if unit == "tokens" else "usd")
