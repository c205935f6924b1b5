"""What is not merged yet, laid over the history: views with the history's own names, on the reader's connection.

Nothing is seen twice or missed: the journal's snapshot is pinned first, the history's watermark read after it, and of
the journal only entries beyond the watermark are taken. Whatever was merged in between is still in the snapshot, but at
or below the watermark.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from toolkit.ledger import segments
from toolkit.ledger.schema import BY_NAME, CONTENTS, HistoryTable
from toolkit.ledger.staging import stage, staged
from toolkit.ledger.statements import JOURNAL_ID, Dialect
from toolkit.ledger.views import VIEWS

_ENTRIES = 200_000
_BYTES = 256_000_000


def tables_in(query: str) -> frozenset[str]:
    """The tables that a query may read: those it names, and those below the views it names."""
    words = set(re.findall(r"\w+", query.lower()))
    named = {name for name in BY_NAME if name in words}
    return frozenset(named.union(*(view.reads for view in VIEWS if view.name in words)))


def load(
    connection: DuckDBPyConnection,
    journal: Any,
    folder: Path,
    *,
    home: Path,
    dialect: Dialect,
    catalog: str | None,
    wanted: frozenset[str],
) -> dict[str, list[str]]:
    """Kind → what stands after `from` to read its part of the tail, with a column `seq`.

    `journal` is a raw connection in the transaction that is the snapshot; `catalog` the open history, if there is one.
    """
    from toolkit.ledger.moving import watermark

    journal_id = journal.execute(JOURNAL_ID).fetchone()[0]
    merged = watermark(connection, catalog, journal_id) if catalog else 0
    sources: dict[str, list[str]] = {}
    after = merged
    for segment in segments.listed(home, journal_id):
        for kind, source in segment.sources().items() if segment.last > merged else ():
            newer = source if kind == CONTENTS.name else f"(select * from {source} where seq > {after})"
            if kind in wanted:
                sources.setdefault(kind, []).append(newer)
        after = max(after, segment.last)
    after_contents, parts, more = 0, 0, True
    while more:
        batch = stage(
            journal,
            connection,
            folder,
            dialect=dialect,
            after=after,
            after_contents=after_contents,
            entries=_ENTRIES,
            size=_BYTES,
            with_contents=CONTENTS.name in wanted,
            kinds=wanted,
        )
        for kind in [*batch.kinds, *([CONTENTS.name] if batch.contents else [])]:
            if kind in wanted:
                part = f"tail_{kind}_{parts}"
                connection.execute(f"alter table {staged(kind)} rename to {part}")
                sources.setdefault(kind, []).append(part)
        after, after_contents, more, parts = batch.last, batch.last_content, batch.more, parts + 1
    return sources


def lay_over(
    connection: DuckDBPyConnection, catalog: str | None, sources: dict[str, list[str]], *, run_id: str | None = None
) -> None:
    """Make the temporary views: every table of the history with its tail, and every question over them.

    With `run_id` they show what belongs to that run alone (contents, prices and conversations belong to none).
    """
    columns = _columns(connection, catalog) if catalog else {}
    for table in BY_NAME.values():
        merged = _merged(table, catalog, columns.get(table.name, frozenset()))
        view = _view(table, merged, sources.get(table.name, []))
        if run_id is not None and table.of_run:
            view = f"""select * from ({view}) where "{table.of_run}" = '{run_id.replace("'", "''")}'"""
        connection.execute(f"create temp view {table.name} as {view}")
    for question in VIEWS:
        connection.execute(f"create temp view {question.name} as {question.sql}")


def _columns(connection: DuckDBPyConnection, catalog: str) -> dict[str, frozenset[str]]:
    """Table → its columns in the history."""
    found = connection.execute(
        "select table_name, list(column_name) from duckdb_columns() where database_name = $1 group by all", [catalog]
    ).fetchall()
    return {table: frozenset(columns) for table, columns in found}


def _merged(table: HistoryTable, catalog: str | None, columns: frozenset[str]) -> str:
    """What stands after `from` to read a table of the history; what a file of an older version has not is NULL."""
    if not columns:
        return f"({table.empty})"
    name = f"{catalog}.main.{table.name}"
    if all(column.name in columns for column in table.columns):
        return name
    read = (f'"{c.name}"' if c.name in columns else f'null::{c.type} as "{c.name}"' for c in table.columns)
    return f"(select {', '.join(read)} from {name})"


def _view(table: HistoryTable, history: str, sources: list[str]) -> str:
    if not sources:
        return f"select {table.names} from {history}"
    names = table.names if table is CONTENTS else f"seq, {table.names}"
    tail = " union all ".join(f"select {names} from {source}" for source in sources)
    if table is CONTENTS:
        return (
            f"select hash, body from {history} union all select hash, any_value(body) from ({tail}) as tail "
            f"where not exists (select 1 from {history} h where h.hash = tail.hash) group by hash"
        )
    if not table.key:
        return f"select {table.names} from {history} union all select {table.names} from ({tail})"
    key = ", ".join(f'"{column}"' for column in table.key)
    same = " and ".join(f'h."{column}" is not distinct from tail."{column}"' for column in table.key)
    return (
        f"with tail as ({tail}), latest as "
        f"(select * from tail qualify row_number() over (partition by {key} order by seq desc) = 1) "
        f"select {table.names} from {history} h where not exists (select 1 from latest as tail where {same}) "
        f"union all select {table.names} from latest"
    )
