"""Taking the record elsewhere: all of it as one DuckDB file, or as a file per table.

In: a `History`. Out: files that need neither the home nor the toolkit. Both read as `History.sql` does, at one moment
and with what is not merged yet, and never ask for the history's write lock; DuckDB writes, so no row passes through
Python. A file gets its name when it is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb

from toolkit.errors import LedgerError
from toolkit.ledger.documents import PIECES
from toolkit.ledger.history import file as history_file
from toolkit.ledger.history.file import quoted
from toolkit.ledger.history.schema import BY_NAME, HistoryTable
from toolkit.ledger.homes import HISTORY, JOURNAL
from toolkit.ledger.merging import segments
from toolkit.ledger.merging.lineage import Lineage
from toolkit.ledger.reading import tail
from toolkit.ledger.reading.history import History, Shown
from toolkit.ledger.retention.removal import Told, silent
from toolkit.ledger.views.catalogue import VIEWS
from toolkit.records import new_id

Format = Literal["parquet", "jsonl"]

_OPTIONS = {"parquet": "format parquet, compression zstd", "jsonl": "format json"}
_CASTS = {
    ("parquet", "HUGEINT"): "cast({0} as DECIMAL(38, 0))",  # Parquet has no such integers; they would become doubles
    ("jsonl", "TIMESTAMP WITH TIME ZONE"): "strftime({0} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')",
    ("jsonl", "TIMESTAMP"): "strftime({0}, '%Y-%m-%dT%H:%M:%S.%f')",
}
_OF_ONE_RUN = {
    "contents": f"""hash in (with named as (select request_hash as hash from decisions
        union select request_hash from attempts union select output_hash from attempts)
        from named union select piece from {PIECES} p where p.hash in (from named))""",
    "sessions": "id in (select session_id from messages)",
}
"""What of the tables without a run belongs to the run that all others show alone."""


@dataclass(frozen=True)
class Written:
    """A file that was written: of what, where, its rows and bytes, and the moment it shows."""

    name: str
    path: Path
    rows: int
    bytes: int
    as_of: datetime


def snapshot(history: History, path: Path, *, force: bool = False, told: Told = silent) -> Written:
    """All that is on record now as one history of its own: tables with their comments, and the views over them.

    Raises LedgerError where the file exists (unless `force`), or where somebody keeps the history closed to readers.
    """
    _check_target(history, path, force=force)
    with _complete(history, frozenset(BY_NAME)) as shown, _draft(path) as draft:
        with history_file.memory_database(draft.parent) as maker, history_file.open_to_write(maker, draft):
            pass  # an empty history
        catalog = f"taken_{new_id()}"
        shown.connection.execute(f"attach {quoted(draft)} as {catalog} (read_write)")
        rows = 0
        try:
            for done, table in enumerate(BY_NAME.values()):
                told(table.name, done, len(BY_NAME))
                rows += _insert(shown.connection, catalog, table)
            _note_merged(shown, catalog, history.home)
        finally:
            shown.connection.execute(f"detach {catalog}")
        told("", len(BY_NAME), len(BY_NAME))
        _check_target(history, path, force=force)
        draft.replace(path)
    return Written("snapshot", path, rows, path.stat().st_size, shown.as_of)


def export(
    history: History,
    folder: Path,
    *,
    format: Format = "parquet",
    run_id: str | None = None,
    tables: Sequence[str] = (),
    query: str | None = None,
    force: bool = False,
    told: Told = silent,
) -> list[Written]:
    """One file per table in `folder`, or one file `query` with what a query gives.

    `tables` names tables and views (default: all tables); with `run_id` they show that run alone, with the contents and
    conversations that belong to it. Raises LedgerError where a name is unknown, a file exists (unless `force`), the
    query is wrong, or somebody keeps the history closed to readers.
    """
    if query is not None:
        selects = {"query": query.strip().rstrip(";")}
    else:
        selects = _selects(tables, of_one_run=run_id is not None)
    targets = {name: folder / f"{name}.{format}" for name in selects}
    for target in targets.values():
        _check_target(history, target, force=force)
    written = []
    with _complete(history, tail.tables_in(" ".join(selects.values())), run_id=run_id) as shown:
        for done, (name, select) in enumerate(selects.items()):
            told(name, done, len(selects))
            with _draft(targets[name]) as draft:
                rows = _copy(shown.connection, select, draft, format=format)
                draft.replace(targets[name])
            written.append(Written(name, targets[name], rows, targets[name].stat().st_size, shown.as_of))
    told("", len(selects), len(selects))
    return written


# ----------------------------------------------------------------------------------------------------------- helpers
@contextmanager
def _complete(history: History, wanted: frozenset[str], *, run_id: str | None = None) -> Iterator[Shown]:
    """The record as readers see it, but never a part of it."""
    with history.laid_over(wanted, run_id=run_id) as shown:
        if shown.note:
            raise LedgerError(f"nothing was written, as the record cannot be read whole now: {shown.note}")
        yield shown


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A name beside `path` to write under; what is left there is removed."""
    draft = path.with_name(f".{path.name}.{new_id()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
    except (OSError, duckdb.Error) as error:
        raise LedgerError(f"{path} could not be written: {error}; nothing is left of it") from error
    finally:
        for leftover in (draft, draft.with_name(f"{draft.name}.wal")):
            leftover.unlink(missing_ok=True)


def _check_target(history: History, path: Path, *, force: bool) -> None:
    own = [history.home / name for name in (HISTORY, JOURNAL)]
    if any(path.resolve() == each.resolve() for each in own):
        raise LedgerError(f"{path} is part of the record itself; choose another name")
    if path.is_dir():
        raise LedgerError(f"{path} is a folder; give the name of a file")
    if path.exists() and not force:
        raise LedgerError(f"{path} exists; choose another name, or overwrite it with --force (force=True)")
    if path.parent.exists() and not os.access(path.parent, os.W_OK):
        raise LedgerError(f"the folder {path.parent} is not writable; choose another")


def _insert(connection: duckdb.DuckDBPyConnection, catalog: str, table: HistoryTable) -> int:
    target = f"{catalog}.main.{table.name}"
    statement = f"insert into {target} ({table.names}) select {table.names} from temp.main.{table.name}"
    return int(connection.execute(statement).fetchall()[0][0])


def _note_merged(shown: Shown, catalog: str, home: Path) -> None:
    """How far the copy has each journal: put in the history's place, it would take up where it ends."""
    merged = f"{catalog}.main.merged"
    if shown.catalog is not None:
        shown.connection.execute(
            f"insert into {merged} (journal_id, seq, merged_at) "
            f"select journal_id, seq, merged_at from {shown.catalog}.main.merged"
        )
    aside = {id: segments.listed(home, id) for id in segments.journals(home)}
    reached = {id: found[-1].last for id, found in aside.items() if found}
    if shown.journal is not None:
        last = shown.journal.execute("select coalesce(max(seq), 0) from log").fetchone()[0]
        id = Lineage.of(shown.journal).id
        reached[id] = max(last, reached.get(id, 0))
    for id, last in reached.items():
        beyond = f"select 1 from {merged} where journal_id = $1 and seq >= $2"
        found = shown.connection.execute(f"select exists ({beyond})", [id, last]).fetchall()
        if last and not found[0][0]:
            shown.connection.execute(f"delete from {merged} where journal_id = $1", [id])
            shown.connection.execute(
                f"insert into {merged} (journal_id, seq, merged_at) values ($1, $2, $3)", [id, last, datetime.now(UTC)]
            )


def _selects(tables: Sequence[str], *, of_one_run: bool) -> dict[str, str]:
    """Table or view → the query that reads it."""
    known = [*BY_NAME, *(view.name for view in VIEWS)]
    for name in tables:
        if name not in known:
            raise LedgerError(f"there is no table {name!r}; there are {', '.join(known)}")
    selects = {}
    for name in tables or BY_NAME:
        columns = BY_NAME[name].names if name in BY_NAME else "*"
        belongs = f" where {_OF_ONE_RUN[name]}" if of_one_run and name in _OF_ONE_RUN else ""
        selects[name] = f"select {columns} from {name}{belongs}"
    return selects


def _copy(connection: duckdb.DuckDBPyConnection, select: str, draft: Path, *, format: Format) -> int:
    """Let DuckDB write what the query gives; the rows written."""
    try:
        described = connection.execute(f"select * from ({select}\n) limit 0").description or []
    except duckdb.Error as error:
        raise LedgerError(f"the query failed: {error}") from error
    cells = []
    for name, type_, *_ in described:
        column = '"' + str(name).replace('"', '""') + '"'
        cast = _CASTS.get((format, str(type_)))
        cells.append(f"{cast.format(column)} as {column}" if cast else column)
    statement = f"copy (select {', '.join(cells)} from ({select}\n)) to {quoted(draft)} ({_OPTIONS[format]})"
    return int(connection.execute(statement).fetchall()[0][0])
