"""One run as the record has it at one moment: how far it is, who works on it, what it spends, what went wrong last.

In: a `History` and a run's id. Out: a `Watched`. Rows and attempts come from the history and its tail; who works on the
run, and on what, comes from the journal, which alone knows of rows that have not ended.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from toolkit.errors import LedgerError, RunError
from toolkit.ledger.reading import tail
from toolkit.ledger.reading.history import History
from toolkit.ledger.views import watching
from toolkit.ledger.writing.claims import END
from toolkit.ledger.writing.holders import HOLDERS, Holder
from toolkit.ledger.writing.wishes import Wish, wish_of
from toolkit.money.budgets import Balance
from toolkit.records import made_at

WINDOW_SECONDS = 60.0
"""How far back the pace is taken from: long enough to be steady, short enough to show that a run has stalled."""
FAULTS_SHOWN = 3
_OF_HISTORY = (watching.RUN, watching.UNPRICED, watching.ENDED_SINCE, watching.SLOWEST, watching.FAULTS)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Watched:
    """A run at the moment `as_of`.

    `run` has the columns of `views.watching.RUN`; `ended_lately` counts rows that ended in the last `window_seconds`;
    `in_hand` rows are claimed by a living process and have not ended; `balances` are those of all budgets.
    """

    run_id: str
    as_of: datetime
    run: Record
    unpriced: int
    ended_lately: int
    window_seconds: float
    in_hand: int
    slowest: Record | None
    faults: tuple[Record, ...]
    holders: tuple[Holder, ...]
    balances: Mapping[tuple[str, Any], Balance]
    wish: Wish | None = None
    note: str = ""


def watched(history: History, run_id: str) -> Watched:
    """Read it. Raises RunError where there is no such run, LedgerError where the record cannot be read."""
    query = "; ".join(_OF_HISTORY)
    with history.laid_over(tail.tables_in(query), run_id=run_id, needed=tail.views_in(query)) as shown:
        holders, claimed, balances = _of_journal(shown.journal, run_id)
        wish = None if shown.journal is None else wish_of(shown.journal, run_id)
        try:
            found = _records(shown.connection, watching.RUN)
            if not found:
                raise RunError(f"there is no run {run_id!r} in {history.home}")
            since = _window(found[0], holders, as_of=shown.as_of)
            slowest = _records(shown.connection, watching.SLOWEST)
            return Watched(
                run_id=run_id,
                as_of=shown.as_of,
                run=found[0],
                unpriced=_number(shown.connection, watching.UNPRICED),
                ended_lately=_number(shown.connection, watching.ENDED_SINCE, since=since),
                window_seconds=max(0.0, (shown.as_of - since).total_seconds()),
                in_hand=len(claimed) - _number(shown.connection, watching.ENDED_OF, rows=claimed),
                slowest=slowest[0] if slowest else None,
                faults=tuple(_records(shown.connection, watching.FAULTS, most=FAULTS_SHOWN)),
                holders=holders,
                balances=balances,
                wish=wish,
                note=shown.note,
            )
        except duckdb.Error as error:
            raise LedgerError(f"run {run_id} cannot be read: {error}") from error


# ------------------------------------------------------------------------------------------------------------ helpers
def _of_journal(journal: Any, run_id: str) -> tuple[tuple[Holder, ...], list[str], dict[tuple[str, Any], Balance]]:
    """The living holders of a run, the rows that they have claimed, and the balances of budgets."""
    if journal is None:
        return (), [], {}
    try:
        held = (Holder(*each) for each in journal.execute(HOLDERS).fetchall())
        at = time.time()
        alive = {each.id: each for each in held if each.run_id == run_id and each.is_alive(at)}
        claims = journal.execute(watching.CLAIMS).fetchall()
        sums = journal.execute(watching.BALANCES).fetchall()
    except sqlite3.OperationalError:  # it is older than holders
        return (), [], {}
    claimed = [row for run, row, by in claims if run == run_id and by in alive and row.split("/")[0] != END]
    return tuple(alive.values()), claimed, {(scope, unit): Balance(*rest) for scope, unit, *rest in sums}


def _window(run: Record, holders: tuple[Holder, ...], *, as_of: datetime) -> datetime:
    """Since when rows are counted for the pace: not from before those began who work on the run now."""
    began = min((made_at(each.id.rpartition("/")[2]) for each in holders), default=run["started_at"])
    return max(began, as_of - timedelta(seconds=WINDOW_SECONDS)).astimezone(UTC)


def _records(connection: duckdb.DuckDBPyConnection, statement: str, **params: Any) -> list[dict[str, Any]]:
    done = connection.execute(statement, params or None)
    names = [column[0] for column in done.description or ()]
    return [dict(zip(names, row, strict=True)) for row in done.fetchall()]


def _number(connection: duckdb.DuckDBPyConnection, statement: str, **params: Any) -> int:
    found = connection.execute(statement, params or None).fetchone()
    return int(found[0]) if found else 0
