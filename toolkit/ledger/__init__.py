"""Where everything is kept: the journal (operational truth) and the history (the analyst's DuckDB file).

    Journal.write(*entries) ─▶ journal.db ─▶ merge ─▶ history.duckdb ─▶ History.sql(query)

Names are loaded where they are first used, so that reading the history needs neither SQLAlchemy nor the journal's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.lazily import lazily

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
    "Entry": "toolkit.ledger.entries",
    "Facts": "toolkit.ledger.doctor",
    "History": "toolkit.ledger.reading.history",
    "Journal": "toolkit.ledger.writing.journal",
    "Review": "toolkit.ledger.reviews",
    "Said": "toolkit.ledger.conversations",
    "Session": "toolkit.ledger.conversations",
    "Table": "toolkit.ledger.reading.table",
    "answer_entry": "toolkit.ledger.entries",
    "attempt_entries": "toolkit.ledger.entries",
    "content_entry": "toolkit.ledger.entries",
    "decision_entry": "toolkit.ledger.entries",
    "event_entry": "toolkit.ledger.entries",
    "facts": "toolkit.ledger.doctor",
    "grade_entry": "toolkit.ledger.entries",
    "message_entry": "toolkit.ledger.entries",
    "price_entry": "toolkit.ledger.entries",
    "review_entry": "toolkit.ledger.entries",
    "row_entry": "toolkit.ledger.entries",
    "run_entry": "toolkit.ledger.entries",
    "session_entry": "toolkit.ledger.entries",
}

__all__ = sorted(_HOMES)
__getattr__ = lazily(__name__, _HOMES)
