"""Reading the history with SQL, while any number of processes write it.

In: a home folder and a query. Out: a `Table` of what is merged and what is not yet, at one moment. The history is open
only while a query runs. Nothing here can change it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb

from toolkit.errors import LedgerError
from toolkit.ledger.faults import remedy
from toolkit.ledger.history import file as history_file
from toolkit.ledger.homes import HISTORY, JOURNAL
from toolkit.ledger.merging import role, segments
from toolkit.ledger.reading import tail
from toolkit.ledger.reading.table import Table
from toolkit.ledger.writing import file as journal_file
from toolkit.ledger.writing.holders import interrupted_runs
from toolkit.ledger.writing.statements import SQLITE, Dialect

PATIENCE_SECONDS, PATIENCE_WITH_STRANGERS_SECONDS = 2.0, 0.3
"""How long a query waits while the history is open for writing: to a merge, which is soon over, or to anybody else."""


@dataclass(frozen=True)
class Shown:
    """A connection that shows the record as of a moment, the open history's name in it, and the journal's snapshot.

    `note` says what is missing, and why, where somebody keeps the history closed to us.
    """

    connection: duckdb.DuckDBPyConnection
    catalog: str | None
    journal: Any
    as_of: datetime
    note: str


class History:
    """What happened, for SQL: the tables of `ledger.history.schema` and the views of `ledger.views.catalogue`.

    >>> History(".toolkit").sql("select model, calls, cost_usd from model_costs").df()  # doctest: +SKIP

    `url` names the journal's database where it is not the home's own `journal.db`.
    """

    def __init__(self, home: Path | str = ".toolkit", *, url: str | None = None) -> None:
        self.home = Path(home)
        self._url = url

    def __repr__(self) -> str:
        return f"History({str(self.home)!r})"

    def sql(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> Table:
        """The rows of a query; `params` fill `?` and `$1`, or `$name`. With `run_id` all tables show that run alone.

        Raises LedgerError where there is nothing to read, or with DuckDB's message where the query is wrong.
        """
        with self.laid_over(tail.tables_in(query), run_id=run_id, needed=tail.views_in(query)) as shown:
            return _run(shown.connection, query, params, as_of=shown.as_of, note=shown.note)

    def snapshot(self, path: Path | str, *, force: bool = False) -> Path:
        """One DuckDB file with all that is on record now, for whoever has no home; see `ledger.reading.copying`."""
        from toolkit.ledger.reading.copying import snapshot

        return snapshot(self, Path(path), force=force).path

    def export(
        self,
        folder: Path | str,
        *,
        format: Literal["parquet", "jsonl"] = "parquet",
        run_id: str | None = None,
        tables: Sequence[str] = (),
        query: str | None = None,
    ) -> list[Path]:
        """A file per table, or one of the query, in that folder; see `ledger.reading.copying`."""
        from toolkit.ledger.reading.copying import export

        written = export(self, Path(folder), format=format, run_id=run_id, tables=tables, query=query)
        return [each.path for each in written]

    @contextmanager
    def laid_over(
        self, wanted: frozenset[str], *, run_id: str | None = None, needed: frozenset[str] = tail.EVERYTHING
    ) -> Iterator[Shown]:
        """A connection on which the tables `wanted`, and the views over them, show all that is on record at one moment.

        Only the tables and views `needed` are there.
        Raises LedgerError where there is nothing to read.
        """
        journal, dialect = self._snapshot()
        as_of = datetime.now(UTC)
        path = self.home / HISTORY
        try:
            if journal is None and not path.exists():
                raise LedgerError(
                    f"there is neither journal nor history in {self.home}; run a workflow with this home, or give the "
                    "folder of one that ran"
                )
            connection, catalog, note = self._open(path)
            try:
                try:
                    with tempfile.TemporaryDirectory(prefix="toolkit-tail-") as folder:
                        sources: dict[str, list[str]] = {}
                        if journal is not None:
                            note = "; ".join(filter(None, (note, segments.not_shown(self.home))))
                            sources = tail.load(
                                connection,
                                journal,
                                Path(folder),
                                home=self.home,
                                dialect=dialect,
                                catalog=catalog,
                                wanted=wanted,
                            )
                    dead = self._interrupted(journal) if journal is not None and "runs" in wanted else ()
                    tail.lay_over(connection, catalog, sources, run_id=run_id, needed=needed, interrupted=dead)
                except duckdb.Error as error:
                    raise LedgerError(
                        f"the record in {self.home} cannot be read: {str(error).splitlines()[0]}; a damaged segment is "
                        "taken out of the way by the next merge"
                    ) from error
                yield Shown(connection, catalog, journal, as_of, note)
            finally:
                history_file.close(connection, path)
        except sqlite3.Error as error:
            raise _unreadable(self.home, error) from error
        finally:
            if journal is not None:
                journal.close()

    def _interrupted(self, journal: Any) -> frozenset[str]:
        """Runs that nobody works on. Who has left since the snapshot was taken is no longer there either, but has said
        how its run ended: so a second look, later than the one at who lives, must find them running still."""
        dead = interrupted_runs(journal)
        if not dead:
            return dead
        later, _ = self._snapshot()
        try:
            return dead & interrupted_runs(later)
        finally:
            later.close()

    def _snapshot(self) -> tuple[Any, Dialect]:
        """A connection to the journal that sees one moment, None where there is no journal."""
        if self._url is not None and self._url.startswith("postgres"):
            from toolkit.ledger.writing.tables import open_engine

            engine, dialect = open_engine(self.home, url=self._url)
            pooled = engine.raw_connection()
            connection: Any = pooled.driver_connection
            pooled.detach()
        else:
            path, dialect = _database(self._url) or self.home / JOURNAL, SQLITE
            if not path.exists():
                return None, dialect
            try:
                connection = journal_file.open_to_read(path)
            except (OSError, sqlite3.Error) as error:
                raise _unreadable(self.home, error) from error
        try:
            for statement in dialect.snapshot:
                connection.execute(statement)
        except sqlite3.Error as error:
            connection.close()
            raise _unreadable(self.home, error) from error
        return connection, dialect

    def _open(self, path: Path) -> tuple[duckdb.DuckDBPyConnection, str | None, str]:
        """The history, its catalog's name and no note; or a database in memory, None, and why it has no history."""
        if not path.exists():
            return history_file.memory_database(self.home), None, ""
        began = time.monotonic()
        while True:
            try:
                return history_file.open_to_read(path), history_file.CATALOG, ""
            except history_file.Held as held:
                patience = PATIENCE_SECONDS if role.is_taken(self.home) else PATIENCE_WITH_STRANGERS_SECONDS
                if time.monotonic() - began < patience:
                    time.sleep(0.02)
                    continue
                who = f"process {held.pid}" if held.pid else "another process"
                note = (
                    f"{who} holds {path.name} open for writing: only what is not merged yet is shown; "
                    "close it there (or open it read-only) to see everything"
                )
                return history_file.memory_database(self.home), None, note


def _database(url: str | None) -> Path | None:
    """The file that a URL of SQLite names."""
    if url is None:
        return None
    from sqlalchemy import make_url

    named = make_url(url).database
    return Path(named) if named else None


def _unreadable(home: Path, error: Exception) -> LedgerError:
    advice = remedy(error) or "if it is damaged, put a backup in its place, or move it away to read the history alone"
    return LedgerError(f"the journal in {home} cannot be read: {error}; {advice}")


def _run(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
    *,
    as_of: datetime,
    note: str,
) -> Table:
    try:
        done = connection.execute(query, params) if params is not None else connection.execute(query)
        if done is None:
            raise LedgerError("there is no query: it is empty, or but a comment")
        described = done.description or []
        rows = tuple(done.fetchall()) if described else ()
    except duckdb.Error as error:
        raise LedgerError(f"the query failed: {error}") from error
    return Table(tuple(c[0] for c in described), tuple(str(c[1]) for c in described), rows, as_of=as_of, note=note)
