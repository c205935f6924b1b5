"""What lies in the folder of a record, and whether there is one."""

from __future__ import annotations

from pathlib import Path

JOURNAL, HISTORY = "journal.db", "history.duckdb"


def has_journal(home: Path | str) -> bool:
    """Whether something was ever written there, into the home's own journal."""
    return (Path(home) / JOURNAL).exists()


def has_record(home: Path | str) -> bool:
    """Whether there is anything to read."""
    return has_journal(home) or (Path(home) / HISTORY).exists()
