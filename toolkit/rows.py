"""Rows: from whatever a person has to a stream of plain dicts. In: a file, a query, a DataFrame, an iterable.

Files: CSV, TSV, Parquet, JSON, JSONL (read by DuckDB, streamed) and Excel (by pandas). A query is DuckDB SQL and may
name files. Values become plain JSON: dates ISO text, NaN None; what a step sees is what is recorded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from toolkit.errors import RowsError
from toolkit.prompts.prompting import plain
from toolkit.records import Json

Fields = Mapping[str, Json]
BATCH = 500
DUCKDB_READERS = {
    ".csv": "read_csv('{path}', sample_size=-1, max_line_size=67108864)",
    ".tsv": "read_csv('{path}', sample_size=-1, max_line_size=67108864, delim='\t')",
    ".parquet": "read_parquet('{path}')",
    ".json": "read_json('{path}')",
    ".jsonl": "read_json('{path}', format='newline_delimited')",
    ".ndjson": "read_json('{path}', format='newline_delimited')",
}


@dataclass(frozen=True)
class Rows:
    """A table to be streamed, more than once: `stream()` starts from its beginning.

    `total` is None where only reading tells; `source` is what `toolkit resume` opens again, None for what lived in
    memory alone.
    """

    columns: tuple[str, ...]
    total: int | None
    stream: Callable[[], Iterator[Fields]]
    source: str | None = None

    def head(self, limit: int | None, skip: int = 0) -> Rows:
        """At most `limit` rows, after `skip`."""
        if limit is None and not skip:
            return self
        stop = None if limit is None else skip + limit
        left = None if self.total is None else max(0, self.total - skip)
        total = limit if left is None else left if limit is None else min(left, limit)
        return Rows(self.columns, total, lambda: islice(self.stream(), skip, stop), self.source)


def open_rows(source: Any) -> Rows:
    """The rows of a path, a SELECT, a DataFrame, or an iterable of mappings. Raises RowsError with what to do."""
    if isinstance(source, Rows):
        return source
    if isinstance(source, str) and is_query(source):
        return _query(source, source)
    if isinstance(source, str | Path):
        return _file(Path(source))
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return _frame(source, None)
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise RowsError(f"rows must be a file, a query, a DataFrame or a list of dicts, not {type(source).__name__}")
    return _listed(list(source))


def is_query(source: str) -> bool:
    """Whether a text is a SELECT, and no path."""
    return re.match(r"\s*(select|from|with)\s", source, re.IGNORECASE) is not None


def relative_files(query: str) -> list[str]:
    """The files that a query names by where they are from the folder that one stands in."""
    endings = "csv|tsv|parquet|json|jsonl|ndjson|xls|xlsx"
    named = re.findall(rf"'((?!/)(?!\w+://)[^']+\.(?:{endings})(?:\.gz|\.zst)?)'", query, re.IGNORECASE)
    return list(dict.fromkeys(named))


def clean(value: Any) -> Json:
    """One value as plain JSON: NaN, NaT and NA become None, a whole number beyond 64 bits its digits."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else str(value)
    if type(value).__name__ in ("NaTType", "NAType", "datetime64"):
        return None if str(value) in ("NaT", "<NA>") else str(value)
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if type(value).__name__ == "Decimal":
        return float(value)
    try:
        return clean(plain(value)) if hasattr(value, "tolist") or hasattr(value, "model_dump") else plain(value)
    except TypeError:
        return str(value)


# ------------------------------------------------------------------------------------------------------------ sources
def _file(path: Path) -> Rows:
    if not path.exists():
        raise RowsError(f"there is no file {path}; give a CSV, Parquet, JSONL or Excel file, or a SELECT over one")
    if path.is_dir():
        raise RowsError(f"{path} is a folder; give a file in it, or \"select * from '{path}/*.csv'\"")
    if path.suffix.lower() in (".xlsx", ".xls"):
        return _excel(path)
    reader = DUCKDB_READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join([*DUCKDB_READERS, ".xlsx"])
        raise RowsError(
            f"{path}: do not know how to read {path.suffix or 'a file without an ending'}; known are {known}"
        )
    if path.stat().st_size == 0:
        raise RowsError(f"{path} is empty: there is not even a header")
    if path.suffix.lower() in (".csv", ".tsv"):
        _check_utf8(path)
    resolved = str(path.resolve()).replace("'", "''")
    return _query(f"select * from {reader.format(path=resolved)}", str(path.resolve()), named=str(path))


def _check_utf8(path: Path) -> None:
    """DuckDB's own message on other encodings names no remedy."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(1 << 20)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                wrong = error.object[error.start : error.start + 1]
                raise RowsError(
                    f"{path} is not UTF-8 (byte {read + error.start:,} is {wrong!r}); save it as UTF-8, "
                    f"e.g. iconv -f latin1 -t utf-8 {path.name} > utf8-{path.name}"
                ) from None
            if not chunk:
                return
            read += len(chunk)


def _query(query: str, source: str, named: str | None = None) -> Rows:
    import duckdb

    query = query.rstrip().rstrip(";")
    try:
        with duckdb.connect() as connection:
            columns = tuple(row[0] for row in connection.execute(f"describe {query}").fetchall())
            counted = connection.execute(f"select count(*) from ({query})").fetchone()
    except duckdb.Error as error:
        raise RowsError(f"cannot read {named or 'the query'}: {_first_line(error)}") from error
    total = counted[0] if counted else None

    def stream() -> Iterator[Fields]:
        try:
            with duckdb.connect() as connection:
                result = connection.execute(query)
                while batch := result.fetchmany(BATCH):
                    for row in batch:
                        yield dict(zip(columns, map(clean, row), strict=True))
        except duckdb.Error as error:
            raise RowsError(f"cannot read on in {named or 'the query'}: {_first_line(error)}") from error

    return _checked(Rows(columns, total, stream, source), named or "the query")


def _excel(path: Path) -> Rows:
    import pandas

    try:
        frame = pandas.read_excel(path)
    except Exception as error:
        raise RowsError(f"cannot read {path} as Excel: {_first_line(error)}") from error
    return _frame(frame, str(path.resolve()))


def _frame(frame: Any, source: str | None) -> Rows:
    columns = tuple(map(str, frame.columns))

    def stream() -> Iterator[Fields]:
        for start in range(0, len(frame), BATCH):
            for row in frame.iloc[start : start + BATCH].itertuples(index=False, name=None):
                yield dict(zip(columns, map(clean, row), strict=True))

    return _checked(Rows(columns, len(frame), stream, source), source or "the DataFrame")


def _listed(items: list[Any]) -> Rows:
    rows = [_mapping(index, item) for index, item in enumerate(items)]
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return _checked(
        Rows(columns, len(rows), lambda: ({name: clean(row.get(name)) for name in columns} for row in rows)), "the list"
    )


def _mapping(index: int, item: Any) -> dict[str, Any]:
    try:
        row = item if isinstance(item, Mapping) else plain(item)
    except TypeError:
        row = None
    if not isinstance(row, Mapping):
        raise RowsError(f"row {index} is a {type(item).__name__}; every row must be a dict of column to value")
    return {str(name): value for name, value in row.items()}


def _checked(rows: Rows, named: str) -> Rows:
    if rows.total == 0:
        raise RowsError(f"{named} has no rows: there is nothing to run")
    if twice := next((name for name in rows.columns if rows.columns.count(name) > 1), None):
        raise RowsError(f"{named} has two columns called {twice!r}; rename one")
    return rows


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:400]
