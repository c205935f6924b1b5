"""Reading the history with SQL, while any number of processes write it.

In: a home folder and a query. Out: a `Table` of what is merged and what is not yet, at one moment. The history is open
only while a query runs. Nothing here can change it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from toolkit.errors import LedgerError
from toolkit.ledger import history_file, tail
from toolkit.ledger.statements import SQLITE, Dialect
from toolkit.ledger.table import Table

PATIENCE_SECONDS = 2.0


class History:
    """What happened, for SQL: the tables and views of `toolkit.ledger.schema` and `toolkit.ledger.views`.

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
        journal, dialect = self._snapshot()
        as_of = datetime.now(UTC)
        note = ""
        path = self.home / history_file.NAME
        try:
            if journal is None and not path.exists():
                raise LedgerError(
                    f"there is neither journal nor history in {self.home}; run a workflow with this home, or give the "
                    "folder of one that ran"
                )
            connection, catalog, note = self._open(path)
            try:
                with tempfile.TemporaryDirectory(prefix="toolkit-tail-") as folder:
                    sources: dict[str, list[str]] = {}
                    if journal is not None:
                        sources = tail.load(
                            connection,
                            journal,
                            Path(folder),
                            home=self.home,
                            dialect=dialect,
                            catalog=catalog,
                            wanted=tail.tables_in(query),
                        )
                tail.lay_over(connection, catalog, sources, run_id=run_id)
                return _run(connection, query, params, as_of=as_of, note=note)
            finally:
                history_file.close(connection, path)
        finally:
            if journal is not None:
                journal.close()

    def _snapshot(self) -> tuple[Any, Dialect]:
        """A connection to the journal that sees one moment, None where there is no journal."""
        if self._url is not None and self._url.startswith("postgres"):
            from toolkit.ledger.tables import open_engine

            engine, dialect = open_engine(self.home, url=self._url)
            pooled = engine.raw_connection()
            connection: Any = pooled.driver_connection
            pooled.detach()
        else:
            path, dialect = self.home / "journal.db", SQLITE
            if not path.exists():
                return None, dialect
            uri = f"{path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)
        try:
            for statement in dialect.snapshot:
                connection.execute(statement)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise LedgerError(f"the journal in {self.home} cannot be read: {error}") from error
        return connection, dialect

    def _open(self, path: Path) -> tuple[duckdb.DuckDBPyConnection, str | None, str]:
        """The history, its catalog's name and no note; or a database in memory, None, and why it has no history."""
        if not path.exists():
            return history_file.memory_database(self.home), None, ""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return history_file.open_to_read(path), history_file.CATALOG, ""
            except history_file.Held as held:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                who = f"process {held.pid}" if held.pid else "another process"
                note = (
                    f"{who} holds {path.name} open for writing: only what is not merged yet is shown; "
                    "close it there (or open it read-only) to see everything"
                )
                return history_file.memory_database(self.home), None, note


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
        described = done.description or []
        rows = tuple(done.fetchall()) if described else ()
    except duckdb.Error as error:
        raise LedgerError(f"the query failed: {error}") from error
    return Table(tuple(c[0] for c in described), tuple(str(c[1]) for c in described), rows, as_of=as_of, note=note)
