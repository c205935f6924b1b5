"""Opening `history.duckdb`: for reading or for writing, never long, and never so that a lock is lost.

DuckDB lets one process in for writing or several for reading. Its lock is the operating system's, which forgets *all*
locks of a process on a file as soon as the process closes *any* handle to it. Hence two rules. Nothing here opens the
file but DuckDB, and for reading it is opened by `duckdb.connect(path, read_only=True)`: a process that has the file
open that way already (a notebook's own connection) then shares one handle, while attaching it to another database would
open a second, and closing that would let other processes write under the notebook's feet. And opening and closing take
turns within the process, so that one thread's closing cannot free what another has just locked.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from toolkit.errors import LedgerError
from toolkit.ledger.faults import remedy
from toolkit.ledger.history import migrations
from toolkit.ledger.merging.lineage import watermarks
from toolkit.records import new_id

CATALOG = "history"
PATIENCE_SECONDS = 1.0

_HELD = re.compile(
    r"could not set lock|conflicting lock|different configuration|unique file handle conflict|already attached|"
    r"being used by another process",
    re.IGNORECASE,
)
_PID = re.compile(r"PID (\d+)")
_turns: dict[Path, threading.Lock] = {}
_turns_lock = threading.Lock()


class Held(Exception):
    """Somebody else has the history open in a way that keeps us out for now; `pid` is their process where known."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


def turn(path: Path) -> threading.Lock:
    """The lock by which this process's threads take turns at opening and closing that file."""
    with _turns_lock:
        return _turns.setdefault(path.resolve(), threading.Lock())


def memory_database(folder: Path, *, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory that spills into `folder` and fetches nothing from anywhere."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "temp_directory": str(folder / ".duckdb-spill"),
    }
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set enable_progress_bar = false")  # it would stand among the rows that a command prints
    return connection


def open_to_read(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection. Raises Held while somebody writes, LedgerError where the file is no history of ours."""
    with turn(path), _translated(path):
        connection = duckdb.connect(str(path), read_only=True)
    try:
        with _translated(path):
            catalog = connection.execute("select current_database()").fetchall()[0][0]
            migrations.check(migrations.version_of(connection, catalog), str(path))
    except BaseException:
        close(connection, path)
        raise
    return connection


def close(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Close a connection of `open_to_read`."""
    with turn(path):
        connection.close()


def reached_by(path: Path) -> dict[str, int] | None:
    """Journal id → the number of its last entry that the history has; None where somebody else keeps it closed to us.

    Raises LedgerError where the file is no history of ours.
    """
    if not path.exists():
        return {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection = open_to_read(path)
        except Held:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
            continue
        try:
            with _translated(path):
                return watermarks(connection, CATALOG)
        finally:
            close(connection, path)


@contextmanager
def open_to_write(
    connection: duckdb.DuckDBPyConnection, path: Path, *, reached: Callable[[str], None] = lambda point: None
) -> Iterator[None]:
    """The history attached to a database in memory as `history`, made or migrated first. Raises as `open_to_read`."""
    with turn(path):
        if not path.exists():
            _make(path)
        with _translated(path):
            connection.execute(f"attach {quoted(path)} as {CATALOG} (type duckdb)")
        try:
            migrations.prepare(connection, CATALOG, where=str(path), reached=reached)
            yield
        except BaseException:
            _roll_back(connection)
            raise
        finally:
            connection.execute("use memory")
            connection.execute(f"detach {CATALOG}")


def probe(path: Path) -> None:
    """Raise Held if the history cannot be opened for writing now."""
    if path.exists():
        connection = duckdb.connect(":memory:")
        try:
            with turn(path), _translated(path):
                connection.execute(f"attach {quoted(path)} as {CATALOG} (type duckdb)")
                connection.execute(f"detach {CATALOG}")
        finally:
            connection.close()


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, would outlast a power cut. Not for a file that DuckDB locks."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def quoted(path: Path | str) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


# ----------------------------------------------------------------------------------------------------------- helpers
def _make(path: Path) -> None:
    """A new history, complete before it has its name: a process killed here leaves no half-made file behind."""
    draft, log = path.with_name(f".{path.name}.draft-{os.getpid()}"), path.with_name(f"{path.name}.wal")
    for left in (draft, draft.with_name(f"{draft.name}.wal")):
        left.unlink(missing_ok=True)
    if log.exists():  # of a history that was moved away without it, and of no use to another
        log.rename(log.with_name(f"{log.name}.{new_id()}"))
    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"attach {quoted(draft)} as {CATALOG}")
        migrations.prepare(connection, CATALOG, where=str(path))
        connection.execute(f"detach {CATALOG}")
    finally:
        connection.close()
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # somebody else was first
    except OSError:  # a file system without links
        if not path.exists():
            draft.rename(path)
    draft.unlink(missing_ok=True)
    to_disk(path.parent)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """DuckDB's refusals as Held or LedgerError."""
    try:
        yield
    except duckdb.Error as error:
        message = str(error)
        if _HELD.search(message):
            pid = _PID.search(message)
            raise Held(message, int(pid[1]) if pid else os.getpid()) from error
        if "sqlite_scanner" in message:
            message = "it is an SQLite database"
        advice = remedy(error) or (
            "nothing was changed; put a backup in its place, or move the file away or choose another home: a new one "
            "begins then with what the journal still has"
        )
        raise LedgerError(f"the history {path} cannot be opened: {message.splitlines()[0]}; {advice}") from error


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.Error:
        return  # no transaction was open
