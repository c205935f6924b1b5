"""What is not merged yet, laid over the history: views with the history's own names, on the reader's connection.

Nothing is seen twice or missed: the journal's snapshot is pinned first, the history's watermark read after it, and of
the journal only entries beyond the watermark are taken. Whatever was merged in between is still in the snapshot, but at
or below the watermark.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from toolkit.ledger.history.schema import BY_NAME, CONTENTS, VERSION, HistoryTable
from toolkit.ledger.merging import segments
from toolkit.ledger.merging.lineage import Lineage, watermarks
from toolkit.ledger.merging.segments import Segment
from toolkit.ledger.merging.staging import stage, staged
from toolkit.ledger.views.catalogue import VIEWS
from toolkit.ledger.writing.statements import Dialect

_ENTRIES = 200_000
_BYTES = 256_000_000
_LISTING = {"show", "pragma", "information_schema", "sqlite_master", "pg_catalog"}

EVERYTHING = frozenset(BY_NAME).union(view.name for view in VIEWS)
"""The names of all tables and views."""


def tables_in(query: str) -> frozenset[str]:
    """The tables that a query may read: those it names, and those below the views it names."""
    words = set(re.findall(r"\w+", query.lower()))
    named = {name for name in BY_NAME if name in words}
    return frozenset(named.union(*(view.reads for view in VIEWS if view.name in words)))


def views_in(query: str) -> frozenset[str]:
    """The tables and views that must be there for a query: those it names and what they read, all to list them."""
    words = set(re.findall(r"\w+", query.lower()))
    if words & _LISTING or any(word.startswith(("duckdb_", "pragma_")) for word in words):
        return EVERYTHING
    needed = words & EVERYTHING
    for view in reversed(VIEWS):  # a view may read those before it
        if view.name in needed:
            needed.update(view.reads, EVERYTHING.intersection(re.findall(r"\w+", view.sql)))
    return frozenset(needed)


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
    lineage = Lineage.of(journal)
    known = watermarks(connection, catalog) if catalog else {}
    sources: dict[str, list[str]] = {}
    for journal_id in segments.journals(home):
        merged = after = Lineage(journal_id).reached(known)
        apart: list[Segment] = []
        for segment in segments.listed(home, journal_id):
            if segment.fault():  # `segments.not_shown` tells of it
                continue
            if segment.first > after:
                apart.append(segment)
            elif segment.last > merged:  # the one before it has some of its entries
                _add(sources, _beyond(segment.sources(), after), wanted)
            after = max(after, segment.last)
        _add(sources, segments.together(apart), wanted)
        known[journal_id] = after
    after = lineage.reached(known)
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
                sources.setdefault(kind, []).append(f"(select *, '' as filename from {part})")
        after, after_contents, more, parts = batch.last, batch.last_content, batch.more, parts + 1
    return sources


def _add(sources: dict[str, list[str]], more: dict[str, str], wanted: frozenset[str]) -> None:
    for kind in wanted & more.keys():
        sources.setdefault(kind, []).append(more[kind])


def _beyond(sources: dict[str, str], after: int) -> dict[str, str]:
    """The same without the log entries up to that number."""
    return {
        kind: source if kind == CONTENTS.name else f"(select * from {source} where seq > {after})"
        for kind, source in sources.items()
    }


def lay_over(
    connection: DuckDBPyConnection,
    catalog: str | None,
    sources: dict[str, list[str]],
    *,
    run_id: str | None = None,
    needed: frozenset[str] = EVERYTHING,
    interrupted: Collection[str] = (),
) -> None:
    """Make the temporary views: every table of the history with its tail, and every question over them.

    Those not `needed` are left out: DuckDB opens all files below a view when it is made.

    With `run_id` they show what belongs to that run alone (contents, prices and conversations belong to none). Runs
    that are `interrupted`, and could not say so themselves, are shown as such.
    """
    columns = _columns(connection, catalog) if catalog else {}
    for table in BY_NAME.values():
        if table.name not in needed:
            continue
        merged = _merged(table, catalog, columns.get(table.name, frozenset()))
        view = _view(table, merged, sources.get(table.name, []))
        if table.name == "runs" and interrupted:
            view = f"select * replace ({_status(interrupted)} as status) from ({view})"
        if run_id is not None and table.of_run:
            view = f"""select * from ({view}) where "{table.of_run}" = '{run_id.replace("'", "''")}'"""
        connection.execute(f"create temp view {table.name} as {view}")
    for question in VIEWS:
        if question.name not in needed:
            continue
        connection.execute(f"create temp view {question.name} as {question.sql}")


def _status(interrupted: Collection[str]) -> str:
    """A run's status, where these runs are interrupted though they are said to be running."""
    names = ", ".join(f"""'{name.replace("'", "''")}'""" for name in interrupted)
    return f"case when status = 'running' and id in ({names}) then 'interrupted' else status end"


def _columns(connection: DuckDBPyConnection, catalog: str) -> dict[str, frozenset[str]]:
    """Table → its columns in the history."""
    version = connection.execute(f"select max(version) from {catalog}.main.schema_version").fetchall()[0][0]
    if version == VERSION:  # then they are as declared, and the catalog need not be searched
        return {table.name: frozenset(column.name for column in table.columns) for table in BY_NAME.values()}
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
    names = f"{table.names}, filename" if table is CONTENTS else f"seq, {table.names}"
    tail = " union all ".join(f"select {names} from {source}" for source in sources)
    if table is CONTENTS:  # of a content in several files one is taken; grouping bodies would copy each of them
        return (
            f"select hash, body from {history} union all select hash, body from ({tail}) as tail "
            f"where not exists (select 1 from {history} h where h.hash = tail.hash) and exists (select 1 from "
            f"(select hash, min(filename) as filename from ({tail}) as each group by hash) as one "
            "where one.hash = tail.hash and one.filename = tail.filename)"
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
