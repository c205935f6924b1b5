"""What the commands ask of the history (by `toolkit.ledger.views.questions`), and the records that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.ledger.reading.history import History
from toolkit.ledger.reading.table import Table
from toolkit.ledger.views.questions import CALLS, FAILED, ROWS_BY_STATUS, STATUS
from toolkit.ledger.views.questions import RUNS as RUNS

SHOWN_FAILURES = 3


@dataclass(frozen=True)
class Outcome:
    """How a run went by its record. `cost_usd` is the sum of what is known, `unpriced` counts calls of unknown cost."""

    status: str
    rows: Mapping[str, int]
    calls: int
    errors: int
    cost_usd: float | None
    unpriced: int
    failures: tuple[str, ...]


def outcome_of(history: History, run_id: str) -> Outcome:
    """The outcome of a run; `failures` are sentences, the first few of them."""
    status = history.sql(STATUS, run_id=run_id).rows
    counted: dict[str, int] = dict(history.sql(ROWS_BY_STATUS, run_id=run_id).rows)
    calls, errors, cost_usd, unpriced = history.sql(CALLS, run_id=run_id).rows[0]
    failed = history.sql(FAILED, run_id=run_id).rows
    failures = [f"{_who(row_id)}{step} failed: {_short(reason)}" for row_id, step, reason in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        failures.append(f"and {len(failed) - SHOWN_FAILURES:,} more")
    return Outcome(
        status=status[0][0] if status else "unknown",
        rows={name: counted.get(name, 0) for name in ("answered", "parked", "failed", "set_aside")},
        calls=calls,
        errors=errors,
        cost_usd=cost_usd if calls else 0.0,
        unpriced=unpriced,
        failures=tuple(failures),
    )


def records(table: Table) -> list[dict[str, Any]]:
    """A table's rows by the names of their columns."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _who(row_id: str) -> str:
    return "" if row_id == "*" else f"row {row_id}, "


def _short(reason: str, characters: int = 200) -> str:
    reason = " ".join(reason.split())
    return reason if len(reason) <= characters else reason[: characters - 1] + "…"
