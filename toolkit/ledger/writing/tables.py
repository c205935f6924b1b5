"""The journal's tables, and opening the database that holds them: created where missing, migrated where older."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import BigInteger

from toolkit.errors import LedgerError
from toolkit.ledger.faults import remedy, said
from toolkit.ledger.merging.lineage import Lineage
from toolkit.ledger.writing import file as journal_file
from toolkit.ledger.writing.statements import POSTGRESQL, SQLITE, Dialect
from toolkit.records import new_id

VERSION = 4
GIVEN = {
    "sqlite": "select seq from sqlite_sequence where name = 'log'",
    "postgresql": "select case when is_called then last_value else 0 end from log_seq_seq",
}
"""The highest number that the log has given, by dialect."""
MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: ("alter table answers add column value_hash varchar",),
    3: (
        "drop index answers_by_step",
        "create index answers_to_give on answers (step, key) where status = 'answered' and value_hash is null",
        "create table holders (id varchar primary key, host varchar not null, pid integer not null, "
        "process_started varchar not null, beaten_at double precision not null)",
        "create table claims (run_id varchar not null, row_id varchar not null, holder varchar not null, "
        "primary key (run_id, row_id))",
        "create index claims_by_holder on claims (holder)",
        "create table budgets (scope varchar not null, unit varchar not null, spent double precision not null, "
        "reserved double precision not null, primary key (scope, unit))",
        "create table reservations (id varchar primary key, run_id varchar not null, holder varchar, "
        "scopes text not null, usd double precision, tokens double precision, reserved_at double precision not null)",
        "create index reservations_by_run on reservations (run_id)",
        "create table gates (name varchar primary key, body text not null, changed_at double precision not null)",
    ),
    4: (
        "create table wishes (run_id varchar primary key, wish varchar not null, wished_at double precision not null)",
    ),
}
"""Statements that lead to each version after the first."""

_DAMAGED = (
    "nothing was changed; if it is another kind of file, choose another home; if it is damaged, put a backup in its "
    "place, or move it away with its -wal file: a new journal begins then, and the history keeps what it has"
)
_logger = logging.getLogger(__name__)

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
_to_give = (answers.c.status == "answered") & answers.c.value_hash.is_(None)
Index("answers_to_give", answers.c.step, answers.c.key, sqlite_where=_to_give, postgresql_where=_to_give)
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

# What processes share while they work. It is never merged. Times are seconds since 1970 on the writer's own clock.
holders = Table(
    "holders",
    metadata,
    _key("id"),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", String, nullable=False),
    Column("beaten_at", Double, nullable=False),
)
claims = Table("claims", metadata, _key("run_id"), _key("row_id"), Column("holder", String, nullable=False))
Index("claims_by_holder", claims.c.holder)
wishes = Table(
    "wishes",
    metadata,
    _key("run_id"),
    *(Column("wish", String, nullable=False), Column("wished_at", Double, nullable=False)),
)
budgets = Table(
    "budgets",
    metadata,
    *(_key("scope"), _key("unit")),
    *(Column("spent", Double, nullable=False), Column("reserved", Double, nullable=False)),
)
reservations = Table(
    "reservations",
    metadata,
    _key("id"),
    Column("run_id", String, nullable=False),
    Column("holder", String),
    Column("scopes", Text, nullable=False),
    *(Column("usd", Double), Column("tokens", Double), Column("reserved_at", Double, nullable=False)),
)
Index("reservations_by_run", reservations.c.run_id)
gates = Table(
    "gates", metadata, _key("name"), Column("body", Text, nullable=False), Column("changed_at", Double, nullable=False)
)


def open_engine(
    path: Path,
    *,
    url: str | None = None,
    synchronous: str = "FULL",
    known: Mapping[str, int] | None = MappingProxyType({}),
) -> tuple[Engine, Dialect]:
    """The journal's database, ready for use: the SQLite file at `path`, or whatever `url` says.

    Connections are in autocommit mode; transactions are begun by statements. `known` tells how far the home has the
    entries of each journal id, None where that cannot be told (`merging.lineage`). Raises LedgerError where the
    database cannot be opened, is no journal, or was written by a newer version.
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
        file = Path(engine.url.database or path)
        _check_file(file)
    else:
        engine, file = create_engine(_with_driver(url or ""), poolclass=NullPool, isolation_level="AUTOCOMMIT"), None
    try:
        with engine.connect() as connection:
            for statement in dialect.begin:
                connection.exec_driver_sql(statement)
            _prepare(connection, where)
            _identify(connection, dialect, file=file, known=known)
            connection.exec_driver_sql("commit")
    except SQLAlchemyError as error:
        raise _refused(where, error) from error
    return engine, dialect


def _check_file(path: Path) -> None:
    """Raise LedgerError, before SQLite may change anything, where the file is no journal or was emptied."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if not path.exists():
            return
        if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:  # SQLite would delete the log
            raise LedgerError(f"the journal at {path} is empty, but {log.name} beside it is not; {_DAMAGED}")
        if not path.is_file():
            raise LedgerError(f"the journal at {path} is no file; choose another home")
        with closing(journal_file.open_to_read(path, patience=60)) as connection:
            found = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    except (OSError, sqlite3.Error) as error:
        raise _refused(str(path), error) from error
    if found and not {"meta", "log"} <= found:
        some = ", ".join(sorted(found)[:3])
        raise LedgerError(f"{path} is no journal but has the tables {some}; nothing was changed; choose another home")


def _refused(where: str, error: Exception) -> LedgerError:
    return LedgerError(f"the journal at {where} cannot be opened: {said(error)}; {remedy(error) or _DAMAGED}")


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


def _identify(connection: Connection, dialect: Dialect, *, file: Path | None, known: Mapping[str, int] | None) -> None:
    """Note where the journal lives, and give it a new id where its next numbers may name other entries elsewhere."""
    noted = {row.name: row.value for row in connection.execute(select(meta.c.name, meta.c.value))}
    lineage = Lineage.parsed(noted)
    given = connection.exec_driver_sql(GIVEN[dialect.name]).scalar() or 0
    place = f"{file.resolve()}#{file.stat().st_ino}" if file is not None else ""
    reason, level = "", logging.INFO
    if known is not None and known.get(lineage.id, 0) > given:
        reason, level = f"it was put back: the home has its entries up to {known[lineage.id]}", logging.WARNING
    elif known is None:
        reason = "whether it was put back cannot be told while the history is held"
    elif noted.get("place", place) != place:
        reason = "it was copied or moved"
    if reason:
        oldest = connection.execute(select(func.min(log.c.seq))).scalar()
        renewed = lineage.renewed(new_id(), given=given, oldest=oldest)
        _logger.log(level, "the journal %s has a new id, %s after %s: %s", place, renewed.id, lineage.id, reason)
        lineage = renewed
    now = {"journal_id": lineage.id, "earlier_ids": lineage.earlier_ids, "place": place}
    for name, value in now.items():
        if name not in noted:
            connection.execute(meta.insert().values(name=name, value=value))
        elif noted[name] != value:
            connection.execute(meta.update().where(meta.c.name == name).values(value=value))


def _settings(synchronous: str) -> Callable[[Any, Any], None]:
    """What each new connection to SQLite is told."""

    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("pragma busy_timeout = 60000")
        connection.execute("pragma page_size = 8192")
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {synchronous}")
        connection.execute("pragma journal_size_limit = 67108864")

    return on_connect


def _with_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url
