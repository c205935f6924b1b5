"""Opening `journal.db` only to read, wherever it lies."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path


def open_to_read(path: Path, *, patience: float = 10.0) -> sqlite3.Connection:
    """A connection that writes nothing, in autocommit mode. Raises sqlite3.Error where the file is none of SQLite's.

    SQLite reads a write-ahead log with the help of a file beside it, which it cannot make on a read-only disk. There
    the journal is read as it lies where it has no such log, and from a copy where it has one.
    """
    try:
        return _connected(path, "mode=ro", patience)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size == 0:
        return _connected(path, "mode=ro&immutable=1", patience)
    with tempfile.TemporaryDirectory(prefix="toolkit-journal-", ignore_cleanup_errors=True) as folder:
        for file in (path, log):
            shutil.copyfile(file, Path(folder, file.name))
        return _connected(Path(folder, path.name), "mode=rw", patience)


def _connected(path: Path, options: str, patience: float) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
    try:
        connection.execute("select 1 from sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
