"""Writing the history anew without what is to go, and taking the same out of the journal.

    merge role ─▶ merge all ─▶ draft: the history copied, with changes ─▶ the history closed to all ─▶ journal cleared
        ─▶ the draft takes the history's name ─▶ the history open again ─▶ journal compacted

Wherever a process is killed, the home opens, and the same command again finishes the job: until the draft takes its
name the history still has everything by which it is found. The draft is a new file, so that nothing of what went is
left in free blocks. Others go on writing the journal and reading; they only cannot merge meanwhile, and for the last
moments readers see the tail alone.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from toolkit.errors import LedgerError
from toolkit.ledger.history import file as history_file
from toolkit.ledger.history.file import CATALOG, quoted
from toolkit.ledger.history.schema import BOOKKEEPING, BY_NAME
from toolkit.ledger.homes import HISTORY, JOURNAL, has_record
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.merging import role, segments
from toolkit.ledger.retention.clearing import Clearing, Doomed, compact, compact_postgresql
from toolkit.ledger.retention.removal import Removal, Told, home_bytes, silent
from toolkit.ledger.views.catalogue import VIEWS
from toolkit.ledger.writing.journal import Journal
from toolkit.records import new_id

PATIENCE_SECONDS = 10.0
_DRAFT = "draft"
_TAKEN = {".duckdb", ".parquet", ".jsonl", ".csv", ".part"}
_BOOKS = tuple(re.findall(r"create table (\w+)", " ".join(BOOKKEEPING)))


@dataclass(frozen=True)
class Change:
    """How a table is copied: columns given by an expression, a condition on rows left out, a query of rows added."""

    cells: Mapping[str, str] = field(default_factory=dict)
    without: str = ""
    added: str = ""


@dataclass(frozen=True)
class Plan:
    """What goes, by table of the history and of the journal; `mend` sees the journal last, and tells how many
    rows it found there alone."""

    removal: Removal
    changes: Mapping[str, Change]
    doomed: Sequence[Doomed]
    mend: Callable[[Clearing], int] | None = None


Marked = Callable[[DuckDBPyConnection, frozenset[str]], Plan]
"""Marks what is to go in temporary tables of a connection that shows the history, and tells the plan over them.

The hashes are those of contents that came in just now: what refers to them may still be on its way.
"""


def rewrite(
    home: Path,
    mark: Marked,
    *,
    url: str | None = None,
    thoroughly: bool = False,
    told: Told = silent,
    reached: Callable[[str], None] = lambda point: None,
) -> Removal:
    """Carry out what `mark` plans. `thoroughly` leaves no byte behind of what went, and looks for such in any case.

    `reached` is told the names of the points between which a process may be killed (for tests). Raises LedgerError,
    with nothing changed, where somebody holds the history open, where it has tables that are none of ours, or where
    there is no record.
    """
    path = home / HISTORY
    if not has_record(home) and url is None:
        raise LedgerError(f"there is neither journal nor history in {home}: there is nothing to take off the record")
    notes: list[str] = []
    journal = Journal.open(home, url=url, merges=False)
    try:
        with _role(home):
            recent = _merged(journal, path)
            before = home_bytes(home)
            removal = _carried_out(journal, path, mark, recent=recent, told=told, reached=reached)
            if thoroughly:
                notes += [_unmerged(home), _taken(home)]
                _remove_leftovers(home)
        database, connection = journal._engine.url.database, journal._connect()
    finally:
        journal.close()  # which prunes what was merged
    told("compacting the journal", 0, 1)
    try:
        if journal._dialect.name == "sqlite":
            notes.append(compact(Path(database or home / JOURNAL), thoroughly=thoroughly))
        elif thoroughly or not removal.is_empty:
            compact_postgresql(connection, thoroughly=thoroughly)
    finally:
        connection.close()
    told("", 1, 1)
    reached("compacted")
    unfinished = (*removal.notes, *filter(None, notes))
    return replace(removal, notes=unfinished, is_done=True, bytes_before=before, bytes_after=home_bytes(home))


# ------------------------------------------------------------------------------------------------------- preparations
@contextmanager
def _role(home: Path) -> Iterator[None]:
    with role.role(home, patience=PATIENCE_SECONDS) as mine:
        if not mine:
            raise LedgerError(
                f"another process has been merging in {home} for {PATIENCE_SECONDS:.0f} s; nothing was changed; "
                "try again in a moment"
            )
        yield


def _merged(journal: Journal, path: Path) -> frozenset[str]:
    """Merge all there is; the hashes of the contents among it. The merge role is ours."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            history_file.probe(path)
            break
        except history_file.Held as held:
            if time.monotonic() > deadline:
                raise _held(path, held) from held
            time.sleep(0.05)
    connection = journal._connect()
    try:
        recent = frozenset(hash for (hash,) in connection.execute("select hash from contents").fetchall())
    finally:
        connection.close()
    merger = journal._merger
    with merger._turn:
        if merger._anything():
            merger._merge_all()
        if merger._blocked:
            raise _held(path, history_file.Held("it was opened just now", None))
    return recent


def _held(path: Path, held: history_file.Held) -> LedgerError:
    who = f"process {held.pid}" if held.pid else "another process"
    return LedgerError(
        f"{who} keeps {path} open, so it cannot be written anew; nothing was changed; "
        "close it there, then run this again"
    )


def _unmerged(home: Path) -> str:
    """What is told of segments that could not be merged, "" where there are none."""
    left = [path for path in (home / segments.FOLDER).rglob("*") if path.is_file()]
    if not left:
        return ""
    return (
        f"{left[0].parent} was set aside and could not be merged, so it is not known whose data are in it; mend it or "
        "delete it, then run this again"
    )


def _taken(home: Path) -> str:
    """What is told of files in the home that may hold the same data but are none of its own, "" for none."""
    own = {home / HISTORY}
    found = [path for path in home.rglob("*") if path.suffix in _TAKEN and path not in own and path.is_file()]
    found = [path for path in found if segments.FOLDER not in path.relative_to(home).parts]
    if not found:
        return ""
    named = ", ".join(map(str, sorted(found)[:3])) + (", …" if len(found) > 3 else "")
    return f"{named} may be a snapshot or an export of the same data: delete it, or move it out of the home"


def _remove_leftovers(home: Path) -> None:
    """What killed processes left: they may hold anything. The role is ours, so nobody is at work on them."""
    merging.sweep(home)
    for leftover in (home / ".duckdb-spill", home / f"{HISTORY}.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


# -------------------------------------------------------------------------------------------------------- the work
def _carried_out(
    journal: Journal,
    path: Path,
    mark: Marked,
    *,
    recent: frozenset[str],
    told: Told,
    reached: Callable[[str], None],
) -> Removal:
    folder = Path(tempfile.mkdtemp(prefix="staging-", dir=path.parent))
    try:
        draft = folder / path.name
        plan = _drafted(path, draft, mark, recent=recent, told=told)
        if plan.removal.is_empty:
            return _with_journal_alone(plan, _clear(journal, replace(plan, doomed=()), folder, None))
        reached("drafted")
        told("clearing the journal", 0, 1)
        with ExitStack() as stack:
            reader = stack.enter_context(history_file.memory_database(folder))
            _close_to_others(stack, reader, path)
            alone = _clear(journal, plan, folder, reader)
            reached("journal_cleared")
            draft.replace(path)
            reached("swapped")
        _to_disk(path.parent)
        return _with_journal_alone(plan, alone)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _drafted(path: Path, draft: Path, mark: Marked, *, recent: frozenset[str], told: Told) -> Plan:
    """The plan, and the new history where the plan is not empty, with the keys of what goes out of the journal."""
    with history_file.memory_database(draft.parent) as maker:
        for file in (draft, path):  # a history that was moved away begins anew
            with history_file.open_to_write(maker, file):
                pass
    connection = history_file.open_to_read(path)
    try:
        connection.execute("set timezone = 'UTC'")
        _check_tables(connection)
        told("looking for what is to go", 0, 1)
        plan = mark(connection, recent)
        if plan.removal.is_empty:
            return plan
        connection.execute(f"attach {quoted(draft)} as {_DRAFT} (read_write)")
        try:
            for done, name in enumerate(BY_NAME):
                told(f"writing {name} anew", done, len(BY_NAME))
                _copy(connection, name, plan.changes.get(name, Change()))
            for name in _BOOKS:
                connection.execute(f"delete from {_DRAFT}.main.{name}")
                connection.execute(f"insert into {_DRAFT}.main.{name} by name select * from {CATALOG}.main.{name}")
            _note(connection, plan.removal)
        finally:
            connection.execute(f"detach {_DRAFT}")
        for number, doomed in enumerate(plan.doomed):
            target = quoted(_keys(draft.parent, number))
            connection.execute(f"copy ({doomed.statement}) to {target} (format parquet)")
        return plan
    finally:
        history_file.close(connection, path)


def _check_tables(connection: DuckDBPyConnection) -> None:
    ours = {*BY_NAME, *_BOOKS, *(view.name for view in VIEWS)}
    found = connection.execute(
        """select table_name from duckdb_tables() where database_name = $1 and not internal and not temporary
        union all select view_name from duckdb_views() where database_name = $1 and not internal and not temporary""",
        [CATALOG],
    ).fetchall()
    if foreign := sorted({name for (name,) in found} - ours):
        raise LedgerError(
            f"{HISTORY} has tables or views that are none of the toolkit's ({', '.join(foreign)}), and is to "
            "be written anew; move them into a file of your own, then run this again"
        )


def _copy(connection: DuckDBPyConnection, name: str, change: Change) -> None:
    table = BY_NAME[name]
    columns = (f'"{column.name}"' for column in table.columns)
    cells = ", ".join(change.cells.get(column.strip('"'), column) for column in columns)
    without = f" where ({change.without}) is not true" if change.without else ""
    added = f" union all {change.added}" if change.added else ""
    connection.execute(
        f"insert into {_DRAFT}.main.{name} ({table.names}) select {cells} from {CATALOG}.main.{name}{without}{added}"
    )


def _note(connection: DuckDBPyConnection, removal: Removal) -> None:
    connection.execute(
        f"insert into {_DRAFT}.main.retention (id, kind, happened_at, rule, runs, rows, attempts, contents) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            *(new_id(), removal.kind, datetime.now(UTC), removal.rule),
            *(removal.runs, removal.rows, removal.attempts, removal.contents),
        ],
    )


def _keys(folder: Path, number: int) -> Path:
    return folder / f"doomed-{number}.parquet"


def _close_to_others(stack: ExitStack, reader: DuckDBPyConnection, path: Path) -> None:
    """Keep the history closed to all others until the stack unwinds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            stack.enter_context(history_file.open_to_write(reader, path))
            return
        except history_file.Held as held:
            if time.monotonic() > deadline:
                raise _held(path, held) from held
            time.sleep(0.02)


def _clear(journal: Journal, plan: Plan, folder: Path, reader: DuckDBPyConnection | None) -> int:
    """Clear the journal; how many rows it had that the history does not know."""
    connection: Any = journal._connect()
    try:
        clearing = Clearing(connection, journal._dialect)
        for number, doomed in enumerate(plan.doomed):
            assert reader is not None
            clearing.clear(doomed, _keys(folder, number), reader)
        return plan.mend(clearing) if plan.mend is not None else 0
    except duckdb.Error as error:
        raise LedgerError(f"the journal could not be cleared: {error}; run this again") from error
    finally:
        connection.close()


def _with_journal_alone(plan: Plan, rows: int) -> Removal:
    return replace(plan.removal, rows=plan.removal.rows + rows)


def _to_disk(folder: Path) -> None:
    """Wait until the new name would outlast a power cut."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
