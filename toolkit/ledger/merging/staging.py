"""A batch of the journal as DuckDB tables in memory: all the reading and parsing that needs no lock on the history.

The journal hands over its entries as lines of JSON, one string per kind; DuckDB parses them by the columns that
`history.schema` declares. No row passes through Python, so the interpreter's lock is held for moments only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from toolkit.ledger.history.file import quoted
from toolkit.ledger.history.schema import BY_NAME, CONTENTS, HistoryTable
from toolkit.ledger.writing.statements import MORE, Dialect, contents_batch, contents_lines, log_batch, log_lines

ENTRIES = 30_000
BYTES = 64_000_000
_LARGEST_JSON = 16_777_216
_EVERY_CONTENT = 2**62

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What was staged: kind → entries, the numbers of the first and last log entry, and of the last content.

    `more` says that the journal had more than one batch holds.
    """

    kinds: dict[str, int] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    last_content: int = 0
    contents: int = 0
    more: bool = False

    @property
    def entries(self) -> int:
        return sum(self.kinds.values())


def stage(
    journal: Any,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    dialect: Dialect,
    after: int = 0,
    after_contents: int = 0,
    entries: int = ENTRIES,
    size: int = BYTES,
    with_contents: bool = True,
    kinds: frozenset[str] | None = None,
) -> Batch:
    """Make one temporary table `staged_<kind>` per kind in `connection`, of the log entries after `after`.

    `journal` is a raw connection, whose transaction (if one is open) is the snapshot that is read. `kinds` limits what
    is parsed. Files are written to `folder`.
    """
    cursor = journal.cursor()
    limits = {"after": after, "entries": entries, "bytes": size}
    found = cursor.execute(dialect.sql(log_batch(dialect)), limits).fetchall()
    last = max((row[3] for row in found), default=after)
    longest = {kind: most for kind, *_, most in found if kind in (BY_NAME if kinds is None else kinds)}
    if longest:
        taken = cursor.execute(dialect.sql(log_lines(dialect, list(longest))), {"after": after, "last": last})
        for (kind, most), lines in zip(longest.items(), taken.fetchone(), strict=True):
            _load(connection, BY_NAME[kind], folder, lines, most)
    count, last_content = 0, after_contents
    if with_contents:
        limits["after"] = after_contents
        count, highest, most = cursor.execute(dialect.sql(contents_batch(dialect)), limits).fetchone()
        if count:
            last_content = highest
            reach = {"after": after_contents, "last": highest}
            lines = cursor.execute(dialect.sql(contents_lines(dialect)), reach).fetchone()[0]
            _load(connection, CONTENTS, folder, lines, most)
    beyond = {"log": last, "contents": last_content if with_contents else _EVERY_CONTENT}
    more = cursor.execute(dialect.sql(MORE), beyond).fetchone()
    return Batch(
        kinds={kind: number for kind, number, *_ in found if kind in BY_NAME},
        first=min((row[2] for row in found), default=0),
        last=last,
        last_content=last_content,
        contents=count,
        more=bool(more[0]),
    )


def staged(name: str) -> str:
    """The temporary table in which entries of that kind are staged."""
    return f"staged_{name}"


def _load(
    connection: duckdb.DuckDBPyConnection, table: HistoryTable, folder: Path, lines: bytes | str, longest: int
) -> None:
    path = folder / f"{table.name}.json"
    path.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    size = max(_LARGEST_JSON, 4 * longest + 4096)
    options = f"format = 'newline_delimited', maximum_object_size = {size}"
    types = table.types if table is not CONTENTS else table.types.replace("'seq': 'BIGINT', ", "")
    select = f"select * from read_json({quoted(path)}, columns = {types}, {options})"
    latest = ""
    if table.key:
        key = ", ".join(f'"{column}"' for column in table.key)
        latest = f" qualify row_number() over (partition by {key} order by seq desc) = 1"
    target = f"create or replace temp table {staged(table.name)} as "
    try:
        connection.execute(target + select + latest)
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        # One value of a wrong type must not hold up all that come after it: it becomes NULL, and the log says so.
        _logger.warning("a value in %s does not fit its column and is recorded as NULL: %s", table.name, error)
        names = {column.name: f'"{column.name}"' for column in table.columns}
        loose = ", ".join(f"'{name}': 'JSON'" for name in names)
        texts = {c.name: names[c.name] if c.type == "JSON" else f"{names[c.name]} ->> '$'" for c in table.columns}
        columns = ", ".join(f"try_cast({texts[c.name]} as {c.type}) as {names[c.name]}" for c in table.columns)
        typed = f"columns = {{'seq': 'BIGINT', {loose}}}"
        select = f"select seq, {columns} from read_json({quoted(path)}, {typed}, {options})"
        connection.execute(target + select + latest)
    path.unlink()
