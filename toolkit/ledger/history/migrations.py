"""Bringing a history to this toolkit's schema: made new, or led there by numbered migrations, never thrown away.

A new column is a line in `toolkit.ledger.history.schema` and the migration that adds it to older files here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from duckdb import DuckDBPyConnection

from toolkit.errors import LedgerError
from toolkit.ledger.history.schema import BOOKKEEPING, BY_NAME, CONTENTS, TABLES, VERSION
from toolkit.ledger.views.catalogue import VIEWS
from toolkit.records import content_hash

MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: (
        "alter table decisions add column inputs JSON",
        "alter table attempts add column reported_cost_usd DOUBLE",
        "alter table attempts add column computed_cost_usd DOUBLE",
        "alter table answers add column value_hash VARCHAR",
        """update attempts set
            reported_cost_usd = case when price_version = 'provider' then cost_usd end,
            computed_cost_usd = case when price_version <> 'provider' then cost_usd end,
            price_version = nullif(price_version, 'provider')""",
        BY_NAME["pruned"].ddl,
        BY_NAME["retention"].ddl,
    ),
    3: (
        "alter table attempts add column reserved_usd DOUBLE",
        "alter table attempts add column dropped JSON",
        "alter table reviews add column expires_at TIMESTAMPTZ",
        "alter table reviews add column default_value JSON",
        "alter table reviews add column answered_by VARCHAR",
        "create table described (hash VARCHAR)",
    ),
}
"""Statements that lead to each version after the first. What they say stays as it is once a version is released."""


def version_of(connection: DuckDBPyConnection, catalog: str) -> int:
    """The schema version of an attached history, 0 where it has none of our tables.

    Raises LedgerError where a DuckDB file is no history.
    """
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = $1 and not internal", [catalog]
    ).fetchall()
    if not tables:
        return 0
    if ("schema_version",) not in tables:
        raise LedgerError(
            f"{catalog}.duckdb is a DuckDB file but no history of this toolkit (it has no table schema_version); "
            "move it away or choose another home"
        )
    found = connection.execute(f"select coalesce(max(version), 0) from {catalog}.main.schema_version").fetchall()
    return int(found[0][0])


def check(found: int, where: str) -> None:
    """Raise LedgerError where a history is newer than this toolkit."""
    if found > VERSION:
        message = f"the history {where} has schema version {found}, this toolkit knows {VERSION}; upgrade the toolkit"
        raise LedgerError(message)


def prepare(
    connection: DuckDBPyConnection,
    catalog: str,
    *,
    where: str,
    reached: Callable[[str], None] = lambda point: None,
) -> None:
    """Bring an attached history to the current version, in one transaction; nothing to do is cheap.

    `reached` is told the names of the points between which a process may be killed (for tests).
    """
    found = version_of(connection, catalog)
    check(found, where)
    if found == VERSION and _is_described(connection, catalog):
        return
    connection.execute(f"use {catalog}")
    connection.execute("begin")
    reached("migration_begun")
    if found == 0:
        for statement in BOOKKEEPING:
            connection.execute(statement)
        for table in (*TABLES, CONTENTS):
            connection.execute(table.ddl)
        _note(connection, VERSION)
    else:
        for version in range(found + 1, VERSION + 1):
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            _note(connection, version)
    _describe(connection)
    reached("before_migration_commit")
    connection.execute("commit")
    reached("after_migration_commit")
    connection.execute("use memory")


def _note(connection: DuckDBPyConnection, version: int) -> None:
    connection.execute("insert into schema_version (version, applied_at) values ($1, $2)", [version, datetime.now(UTC)])


@cache
def _description() -> str:
    """A hash of all comments and views: they may change without a new version of the tables."""
    said = [statement for table in (*TABLES, CONTENTS) for statement in table.comments]
    said += [f"{view.name} {view.question} {view.sql}" for view in VIEWS]
    return content_hash("\n".join(said).encode())


def _is_described(connection: DuckDBPyConnection, catalog: str) -> bool:
    found = connection.execute(f"select hash from {catalog}.main.described").fetchall()
    return found == [(_description(),)]


def _describe(connection: DuckDBPyConnection) -> None:
    """The comments and the views as this toolkit has them."""
    for table in (*TABLES, CONTENTS):
        for statement in table.comments:
            connection.execute(statement)
    for view in VIEWS:
        connection.execute(f"create or replace view {view.name} as {view.sql}")
        question = view.question.replace("'", "''")
        connection.execute(f"comment on view {view.name} is '{question}'")
    connection.execute("delete from described")
    connection.execute("insert into described (hash) values ($1)", [_description()])
