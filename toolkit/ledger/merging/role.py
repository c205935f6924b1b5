"""Who merges: one process at a time, by a lock that the operating system takes from a process that dies."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from toolkit.errors import LedgerError
from toolkit.ledger.faults import remedy, said


@contextmanager
def role(home: Path, *, patience: float) -> Iterator[bool]:
    """Whether we are the one who merges now, after `patience` seconds at most. Raises LedgerError where nobody can."""
    path = home / "merge.lock"
    try:
        connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            connection.execute("begin exclusive")
            mine = True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                connection.close()
                raise
            mine = False
    except sqlite3.Error as error:
        advice = remedy(error) or "nothing of value is in that file: delete it"
        raise LedgerError(
            f"{path} cannot be locked, so nothing is merged: {said(error)}; the journal keeps what the history lacks; "
            f"{advice}"
        ) from error
    with closing(connection):
        yield mine


def is_taken(home: Path) -> bool:
    """Whether somebody merges, or rewrites the history, at this moment."""
    with role(home, patience=0.0) as mine:
        return not mine
