"""The journal's tables, and opening the database that holds them: created where missing, migrated where older."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import BigInteger

from toolkit.errors import LedgerError
from toolkit.ledger.statements import POSTGRESQL, SQLITE, Dialect
from toolkit.records import new_id

VERSION = 2
MIGRATIONS: dict[int, tuple[str, ...]] = {2: ("alter table answers add column value_hash varchar",)}
"""Statements that lead to each version after the first."""

metadata = MetaData()
_sequence = BigInteger().with_variant(sqlite.INTEGER(), "sqlite").with_variant(postgresql.BIGINT(), "postgresql")


def _kept(name: str, *columns: Column[Any]) -> Table:
    """A table of the latest body of each thing, stored in the order of its key."""
    return Table(name, metadata, *columns, Column("body", Text, nullable=False), sqlite_with_rowid=False)


def _key(name: str, *, integer: bool = False) -> Column[Any]:
    return Column(name, Integer if integer else String, primary_key=True, autoincrement=False)


def _found(name: str, *, integer: bool = False) -> Column[Any]:
    return Column(name, Integer if integer else String)


meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))
# Numbers are never given twice (autoincrement), also after the log was emptied: the history's watermark rests on that.
log = Table(
    "log",
    metadata,
    Column("seq", _sequence, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)
contents = Table(
    "contents",
    metadata,
    Column("seq", _sequence, primary_key=True, autoincrement=True),
    Column("hash", String, nullable=False, unique=True),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)
answers = _kept(
    "answers",
    *(_key("run_id"), _key("step"), _key("row_id"), _key("turn", integer=True), _key("repeat", integer=True)),
    *(_found("key"), _found("status"), _found("answered_at"), _found("value_hash")),
)
Index("answers_by_key", answers.c.key)
Index("answers_by_step", answers.c.step, answers.c.status, answers.c.key)
rows = _kept("rows", _key("run_id"), _key("row_id"), _found("index", integer=True), _found("status"))
runs = _kept("runs", _key("id"), _found("started_at"), _found("status"))
reviews = _kept(
    "reviews",
    *(_key("run_id"), _key("row_id"), _key("step"), _key("turn", integer=True), _key("repeat", integer=True)),
    *(_key("key"), _found("status"), _found("asked_at")),
)
Index("reviews_by_status", reviews.c.status, reviews.c.run_id)
sessions = _kept("sessions", _key("id"), _found("name"))
messages = _kept("messages", _key("session_id"), _key("index", integer=True))


def open_engine(path: Path, *, url: str | None = None, synchronous: str = "FULL") -> tuple[Engine, Dialect]:
    """The journal's database, ready for use: the SQLite file at `path`, or whatever `url` says.

    Connections are in autocommit mode; transactions are begun by statements. Raises LedgerError where the database
    cannot be opened, is no journal, or was written by a newer version.
    """
    dialect = POSTGRESQL if url is not None and url.startswith("postgres") else SQLITE
    where = url or str(path)
    if dialect is SQLITE:
        engine = create_engine(
            url or f"sqlite:///{path}",
            poolclass=NullPool,
            connect_args={"timeout": 60, "isolation_level": None, "check_same_thread": False, "cached_statements": 256},
        )
        event.listen(engine, "connect", _settings(synchronous))
    else:
        engine = create_engine(_with_driver(url or ""), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in dialect.begin:
                connection.exec_driver_sql(statement)
            _prepare(connection, where)
            connection.exec_driver_sql("commit")
    except SQLAlchemyError as error:
        message = f"the journal at {where} cannot be opened: {error.__cause__ or error}; is it another kind of file?"
        raise LedgerError(message) from error
    return engine, dialect


def _prepare(connection: Connection, where: str) -> None:
    if not inspect(connection).has_table("meta"):
        metadata.create_all(connection)
        connection.execute(
            meta.insert(),
            [{"name": "journal_id", "value": new_id()}, {"name": "schema_version", "value": str(VERSION)}],
        )
        return
    found = int(connection.execute(text("select value from meta where name = 'schema_version'")).scalar_one())
    if found > VERSION:
        connection.exec_driver_sql("rollback")
        message = (
            f"the journal at {where} has schema version {found}, this toolkit knows {VERSION}; upgrade the toolkit"
        )
        raise LedgerError(message)
    for version in range(found + 1, VERSION + 1):
        for statement in MIGRATIONS[version]:
            connection.exec_driver_sql(statement)
        connection.execute(text("update meta set value = :v where name = 'schema_version'"), {"v": str(version)})


def _settings(synchronous: str) -> Callable[[Any, Any], None]:
    """What each new connection to SQLite is told."""

    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("pragma busy_timeout = 60000")
        connection.execute("pragma page_size = 8192")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma wal_autocheckpoint = 4000")
        connection.execute(f"pragma synchronous = {synchronous}")
        connection.execute("pragma journal_size_limit = 67108864")

    return on_connect


def _with_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url
