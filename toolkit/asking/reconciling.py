"""Reservations whose process is gone, and scopes that nobody has counted yet: put right by what is on record.

What a dead process held back is settled by the cost of the attempt, where that is on record; where it is not, the call
was cut off in the middle, and all that was held back for it counts as spent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC
from functools import partial
from pathlib import Path

from toolkit.errors import AccessDenied, ContextOverflow, InvalidRequest, Overloaded, RateLimited
from toolkit.ledger import History, Journal
from toolkit.ledger.entries import event_entry
from toolkit.ledger.writing import reservations
from toolkit.ledger.writing.holders import HOLDERS, Holder
from toolkit.ledger.writing.reservations import NOTHING, UNKNOWN, Held, Spent
from toolkit.ledger.writing.transaction import Transaction
from toolkit.money.budgets import Budgets, Per, Unit
from toolkit.records import Event, now

FREE_TYPES = {kind.error_type for kind in (RateLimited, Overloaded, InvalidRequest, AccessDenied, ContextOverflow)}
OLD_SECONDS = 3600.0
"""What nobody in particular holds back is taken for dead after that: no call lasts so long."""


def dead(transaction: Transaction, run_id: str | None = None) -> list[Held]:
    """Reservations of processes that are gone; of one run only if given."""
    moment = time.time()
    living = {holder.id for holder in (Holder(*each) for each in transaction.rows(HOLDERS)) if holder.is_alive(moment)}
    found = reservations.held(transaction, None if run_id is None else (run_id,))
    return [
        each for each in found if (each.at < moment - OLD_SECONDS if each.holder is None else each.holder not in living)
    ]


def reconciled(journal: Journal, gone: Iterable[Held]) -> tuple[int, int]:
    """Settle dead reservations; how many by what is on record, and how many as spent. Blocks."""
    gone = list(gone)
    if not gone:
        return 0, 0
    journal.flush()
    on_record = _recorded(journal.home, [each.id for each in gone])
    costs = {each.id: on_record.get(each.id, UNKNOWN) for each in gone}
    return journal.decided(partial(_reconcile, gone=gone, costs=costs, known=set(on_record)))


def _reconcile(
    transaction: Transaction, *, gone: list[Held], costs: Mapping[str, Spent], known: set[str]
) -> tuple[int, int]:
    settled = reservations.reconcile(transaction, costs)
    by_run: dict[str, list[Held]] = {}
    for each in gone:
        if each.id in settled:
            by_run.setdefault(each.run_id, []).append(each)
    for run_id, those in by_run.items():
        cut_off = [each for each in those if each.id not in known]
        about = {
            "on_record": len(those) - len(cut_off),
            "counted_as_spent": len(cut_off),
            "usd": sum(each.usd or 0.0 for each in cut_off),
            "tokens": sum(each.tokens or 0.0 for each in cut_off),
        }
        transaction.write(event_entry(Event("toolkit.budget.reconciled", run_id, now(), about)))
    found = sum(id in known for id in settled)
    return found, len(settled) - found


def opened(journal: Journal, budgets: Budgets, *, run_id: str, continued: bool) -> None:
    """Open the scopes of a run's budgets with what the record says was spent in them before they were counted, and
    settle what dead processes of the run held back. Blocks."""
    if continued:
        reconciled(journal, journal.decided(partial(dead, run_id=run_id)))
    day = now().astimezone(UTC).date().isoformat()
    there = journal.decided(reservations.balances)
    spent: dict[tuple[str, Unit], float] = {}
    for part in budgets.parts:
        scope = part.scope(run_id, day)
        units = [unit for unit, _ in part.limits if (scope, unit) not in there]
        if units and (continued or part.per == "day"):
            of = run_id if part.per == "run" else day
            found = _spending(journal, per=part.per, of=of)
            usd = sum(cost for step, model, cost, _ in found if part.covers(step, model))
            tokens = sum(count for step, model, _, count in found if part.covers(step, model))
            spent |= {(scope, unit): tokens if unit == "tokens" else usd for unit in units}
    if spent:
        journal.decided(partial(reservations.begin, spent=spent))


# ------------------------------------------------------------------------------------------------------------- record
def _recorded(home: Path, ids: list[str]) -> dict[str, Spent]:
    """What the record says that attempts have cost, by id."""
    found = History(home).sql(reservations.RECORDED, {"ids": ids})
    return {
        id: Spent(cost_usd, tokens) if cost_usd is not None or error_type not in FREE_TYPES else NOTHING
        for id, error_type, cost_usd, tokens in found
    }


def _spending(journal: Journal, *, per: Per, of: str) -> list[tuple[str, str, float, float]]:
    """(step, model, US dollars, tokens) of a run or of a day, by the record."""
    journal.flush()
    statement = reservations.RUN_SPENDING if per == "run" else reservations.DAY_SPENDING
    return list(History(journal.home).sql(statement, {"of": of if per == "run" else f"{of} 00:00:00+00"}).rows)
