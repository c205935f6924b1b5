"""Taking content out of the journal, beside whoever writes it.

In: keys of what is to go, as a Parquet file. Out: a journal without it. Each transaction is small, and is followed by a
pause as long as itself, so that the commits of running batches are not delayed. What SQLite deletes stays in its free
pages and in its write-ahead log until `compact` has rebuilt the one and emptied the other.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from duckdb import DuckDBPyConnection

from toolkit.ledger.history.file import quoted
from toolkit.ledger.writing.statements import UPSERTS, Dialect, Upsert

CHUNK = 500
PATIENCE_SECONDS = 20.0
WORTH_REBUILDING = 0.25
TABLES = {table.table: table for table in UPSERTS}

DELETED = "[deleted]"

Body = dict[str, Any]


@dataclass(frozen=True)
class Doomed:
    """What goes out of a table of the journal: `keys` is a query that gives its primary keys.

    `emptied` makes the body that is kept of a thing; without it the thing is deleted.
    """

    table: str
    keys: str
    emptied: Callable[[Body], Body] | None = None

    @property
    def statement(self) -> str:
        """The query with the key's columns by their names, each key once."""
        columns = ", ".join(f'"{column}"' for column in TABLES[self.table].key)
        return f"select distinct {columns} from ({self.keys})"


def emptied_row(body: Body) -> Body:
    """A row that tells how it ended and nothing of what it was."""
    return {**body, "fields": {}, "reason": ""}


def emptied_message(body: Body) -> Body:
    """A message without its words, so that the conversation still holds together."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": DELETED}]
    return {**body, "parts": parts}


def emptied_session(body: Body) -> Body:
    """A conversation of which nothing is known but when it began."""
    return {**body, "name": "", "about": {}}


def _mended(pattern: re.Pattern[str], marker: str, value: Any) -> Any:
    """Plain JSON with the marker in the place of what matches; a number that matches becomes null."""
    if isinstance(value, str):
        return pattern.sub(marker, value)
    if isinstance(value, dict):
        return {pattern.sub(marker, name): _mended(pattern, marker, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_mended(pattern, marker, item) for item in value]
    return None if isinstance(value, int | float) and pattern.search(str(value)) else value


class Clearing:
    """Clears one journal over a raw connection of its own."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection, self._dialect = connection, dialect
        if dialect.name == "sqlite":
            connection.execute("pragma secure_delete = on")

    def clear(self, doomed: Doomed, keys: Path, reader: DuckDBPyConnection) -> None:
        """Delete or empty what the Parquet file `keys` names."""
        table = TABLES[doomed.table]
        reader.execute(f"select * from read_parquet({quoted(keys)})")
        while chunk := reader.fetchmany(CHUNK):
            named = [dict(zip(table.key, values, strict=True)) for values in chunk]
            if doomed.emptied is None:
                self._in_transaction(partial(self._delete, table=table, keys=named))
            else:
                self._in_transaction(partial(self._change, table=table, keys=named, change=doomed.emptied))

    def mend(self, pattern: re.Pattern[str], spelled: Sequence[str], marker: str) -> None:
        """Put `marker` where a text in a body is matched by `pattern`; delete what has a match in its key."""
        mended = partial(_mended, pattern, marker)
        for table in UPSERTS:
            for chunk in self._naming(table, spelled):
                named = [key for key in chunk if any(pattern.search(str(value)) for value in key.values())]
                kept = [key for key in chunk if key not in named]
                self._in_transaction(partial(self._delete, table=table, keys=named))
                self._in_transaction(partial(self._change, table=table, keys=kept, change=mended))

    def empty_rows(self, column: str, values: Sequence[str]) -> int:
        """Empty the rows that have such a value in that field, and delete what was answered and asked of them.

        Their child rows go with them. How many rows had the value.
        """
        rows, count = TABLES["rows"], 0
        words = [orjson.dumps(value).decode()[1:-1] for value in values]
        for chunk in self._naming(rows, words):
            bodies = {(key["run_id"], key["row_id"]): self._body(rows, key) for key in chunk}
            own = [place for place, body in bodies.items() if str((body.get("fields") or {}).get(column)) in values]
            for run_id, row_id in own:
                keys = {name: self._of_row(TABLES[name], run_id, row_id) for name in ("rows", "answers", "reviews")}
                self._in_transaction(partial(self._change, table=rows, keys=keys["rows"], change=emptied_row))
                for name in ("answers", "reviews"):
                    self._in_transaction(partial(self._delete, table=TABLES[name], keys=keys[name]))
            count += len(own)
        return count

    # ----------------------------------------------------------------------------------------------------- statements
    def _body(self, table: Upsert, key: Mapping[str, Any]) -> Body:
        same = " and ".join(f'"{column}" = :{column}' for column in table.key)
        found = self._connection.execute(
            self._dialect.sql(f"select body from {table.table} where {same}"), key
        ).fetchone()
        return orjson.loads(found[0]) if found is not None else {}

    def _of_row(self, table: Upsert, run_id: str, row_id: str) -> list[Mapping[str, Any]]:
        """Keys of what belongs to a row or to a child row of it."""
        columns = ", ".join(f'"{column}"' for column in table.key)
        own = "row_id = :row_id or substr(row_id, 1, :length) = :below"
        statement = self._dialect.sql(f"select {columns} from {table.table} where run_id = :run_id and ({own})")
        place = {"run_id": run_id, "row_id": row_id, "below": f"{row_id}/", "length": len(row_id) + 1}
        return [dict(zip(table.key, values, strict=True)) for values in self._connection.execute(statement, place)]

    def _naming(self, table: Upsert, spelled: Sequence[str]) -> Iterator[list[Mapping[str, Any]]]:
        """Keys of what has one of these words in its body, chunk by chunk."""
        columns = ", ".join(f'"{column}"' for column in table.key)
        words = {f"word{number}": word for number, word in enumerate(spelled)}
        named = " or ".join(f"replace(body, :{name}, '') <> body" for name in words)
        statement = self._dialect.sql(f"select {columns} from {table.table} where {named}")
        found = self._connection.execute(statement, words).fetchall()
        for start in range(0, len(found), CHUNK):
            yield [dict(zip(table.key, values, strict=True)) for values in found[start : start + CHUNK]]

    def _delete(self, cursor: Any, *, table: Upsert, keys: Sequence[Mapping[str, Any]]) -> None:
        same = " and ".join(f'"{column}" = :{column}' for column in table.key)
        cursor.executemany(self._dialect.sql(f"delete from {table.table} where {same}"), keys)

    def _change(
        self, cursor: Any, *, table: Upsert, keys: Sequence[Mapping[str, Any]], change: Callable[[Body], Body]
    ) -> None:
        same = " and ".join(f'"{column}" = :{column}' for column in table.key)
        select = self._dialect.sql(f"select body from {table.table} where {same}")
        found = [cursor.execute(select, key).fetchone() for key in keys]
        if bodies := [orjson.dumps(change(orjson.loads(row[0]))) for row in found if row is not None]:
            cursor.execute(self._dialect.sql(self._dialect.upsert(table)), {"batch": self._dialect.payload(bodies)})

    def _in_transaction(self, work: Callable[[Any], None]) -> None:
        cursor = self._connection.cursor()
        for statement in self._dialect.begin:
            cursor.execute(statement)
        began = time.monotonic()
        try:
            work(cursor)
        except BaseException:
            cursor.execute("rollback")
            raise
        cursor.execute("commit")
        time.sleep(min(time.monotonic() - began, 1.0))


def compact(path: Path, *, thoroughly: bool) -> str:
    """Rebuild an SQLite journal without what was deleted, and empty its write-ahead log; what hindered that, or "".

    `thoroughly` leaves no deleted byte behind; else the file is rebuilt only where much of it is free.
    """
    with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)) as connection:
        connection.execute("pragma secure_delete = on")
        pages, free = (connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        try:
            if thoroughly or free > WORTH_REBUILDING * pages:
                connection.execute("vacuum")
        except sqlite3.OperationalError as error:
            return f"the journal could not be rebuilt ({error}), as somebody writes it; run the command again"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
            if time.monotonic() > deadline:
                return "somebody reads an old state of the journal, whose write-ahead log stays; run the command again"
            time.sleep(0.1)
    return ""


def compact_postgresql(connection: Any, *, thoroughly: bool) -> None:
    """The same for PostgreSQL, as far as it goes: its own log and backups are its administrator's."""
    names = ", ".join(["log", "contents", *TABLES])
    connection.execute(f"vacuum ({'full, ' if thoroughly else ''}analyze) {names}")
