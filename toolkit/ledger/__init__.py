"""Where everything is kept: the journal (operational truth) and the history (the analyst's DuckDB file).

    Journal.write(*entries) ─▶ journal.db ─▶ merge ─▶ history.duckdb ─▶ History.sql(query)

Names are loaded where they are first used, so that reading the history needs neither SQLAlchemy nor the journal's code.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.ledger.conversations import Said as Said
    from toolkit.ledger.conversations import Session as Session
    from toolkit.ledger.doctor import Facts as Facts
    from toolkit.ledger.doctor import facts as facts
    from toolkit.ledger.entries import Entry as Entry
    from toolkit.ledger.entries import answer_entry as answer_entry
    from toolkit.ledger.entries import attempt_entries as attempt_entries
    from toolkit.ledger.entries import content_entry as content_entry
    from toolkit.ledger.entries import decision_entry as decision_entry
    from toolkit.ledger.entries import event_entry as event_entry
    from toolkit.ledger.entries import grade_entry as grade_entry
    from toolkit.ledger.entries import message_entry as message_entry
    from toolkit.ledger.entries import price_entry as price_entry
    from toolkit.ledger.entries import review_entry as review_entry
    from toolkit.ledger.entries import row_entry as row_entry
    from toolkit.ledger.entries import run_entry as run_entry
    from toolkit.ledger.entries import session_entry as session_entry
    from toolkit.ledger.reading.history import History as History
    from toolkit.ledger.reading.table import Table as Table
    from toolkit.ledger.reviews import Review as Review
    from toolkit.ledger.writing.journal import Journal as Journal

_HOMES = {
    "Entry": "entries",
    "Facts": "doctor",
    "History": "reading.history",
    "Journal": "writing.journal",
    "Review": "reviews",
    "Said": "conversations",
    "Session": "conversations",
    "Table": "reading.table",
    "answer_entry": "entries",
    "attempt_entries": "entries",
    "content_entry": "entries",
    "decision_entry": "entries",
    "event_entry": "entries",
    "facts": "doctor",
    "grade_entry": "entries",
    "message_entry": "entries",
    "price_entry": "entries",
    "review_entry": "entries",
    "row_entry": "entries",
    "run_entry": "entries",
    "session_entry": "entries",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
