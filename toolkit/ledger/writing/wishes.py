"""What somebody wishes of a run under way: that it pauses or stops. It stands in the journal until whoever works on the
run has let go of it, or somebody wishes that it goes on; so it reaches every process, and one that comes later.

Actions in a transaction; who lives is told by `claims.bury`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal

from toolkit.errors import RunError
from toolkit.ledger.entries import event_entry
from toolkit.ledger.writing.holders import Holder
from toolkit.ledger.writing.transaction import Transaction
from toolkit.records import Event, now

Wish = Literal["pause", "cancel"]

WISHED = "select wish from wishes where run_id = :run_id"
WISH = """insert into wishes (run_id, wish, wished_at) values (:run_id, :wish, :wished_at)
    on conflict (run_id) do update set wish = excluded.wish, wished_at = excluded.wished_at"""
FORGET = "delete from wishes where run_id = :run_id"
ALL_WISHES = "select run_id, wish from wishes"
EVENTS = {"pause": "toolkit.run.paused", "cancel": "toolkit.run.cancelled", None: "toolkit.run.resumed"}


def wished(transaction: Transaction, run_id: str) -> Wish | None:
    """What is wished of the run now."""
    found = transaction.rows(WISHED, run_id=run_id)
    return found[0][0] if found else None


def express(
    transaction: Transaction, run_id: str, wish: Wish | None, *, living: Sequence[Holder], status: str, at: float
) -> bool:
    """Put a wish on record, None for going on; whether it is a new one. `living` are those who work on the run.

    Raises RunError where nobody does, or where it is being cancelled already.
    """
    before = wished(transaction, run_id)
    if not living:
        on = "" if status == "finished" else "; it goes on by toolkit resume, with the same --home"
        raise RunError(f"nobody works on run {run_id} now: it is {status}{on}")
    if before == "cancel" and wish != "cancel":
        raise RunError(
            f"run {run_id} is being cancelled; once its calls have ended it goes on by toolkit resume, with its --home"
        )
    if wish == before:
        return False
    if wish is None:
        forget(transaction, run_id)
    else:
        transaction.run(WISH, run_id=run_id, wish=wish, wished_at=at)
    transaction.write(event_entry(Event(EVENTS[wish], run_id, now(), {"processes": len(living)})))
    return True


def forget(transaction: Transaction, run_id: str) -> None:
    """Nothing is wished of the run any more."""
    transaction.run(FORGET, run_id=run_id)


def wish_of(journal: Any, run_id: str) -> Wish | None:
    """The same for a raw connection to a journal of any version."""
    try:
        found: dict[str, Wish] = dict(journal.execute(ALL_WISHES).fetchall())
    except sqlite3.OperationalError:  # it is older than wishes
        return None
    return found.get(run_id)
