"""The answer to a query: columns, rows, and the moment that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any
from uuid import UUID

from toolkit.errors import LedgerError

if TYPE_CHECKING:
    import pandas

SHOWN_ROWS = 50
SHOWN_CHARACTERS = 120
_ARROW = {
    "BOOLEAN": "bool_",
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "VARCHAR": "string",
    "JSON": "string",
    "UUID": "string",
    "BLOB": "binary",
    "DATE": "date32",
}
_UNITS = {"TIMESTAMP": "us", "TIMESTAMP_S": "s", "TIMESTAMP_MS": "ms", "TIMESTAMP_NS": "ns"}
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of a query. `types` are DuckDB's, `as_of` is the moment shown (UTC), `note` what the reader should know."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    as_of: datetime
    note: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def column(self, name: str) -> list[Any]:
        """The values of one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def df(self) -> pandas.DataFrame:
        """The rows as a DataFrame: whole numbers with gaps as Int64, stamps as datetimes."""
        import pandas

        frame = pandas.DataFrame.from_records(list(self.rows), columns=list(self.columns))
        for place, type_ in enumerate(self.types):
            if self.columns.count(self.columns[place]) > 1:
                continue
            column = frame[self.columns[place]]
            if type_ in _WHOLE and type_ != "HUGEINT" and column.isna().any():
                frame[self.columns[place]] = column.astype("Int64")
            elif type_ in ("DOUBLE", "FLOAT"):
                frame[self.columns[place]] = column.astype("float64")
            elif type_.startswith("TIMESTAMP"):
                frame[self.columns[place]] = pandas.to_datetime(column, utc="TIME ZONE" in type_)
        return frame

    def arrow(self) -> Any:
        """The rows as a `pyarrow.Table`, of the types that DuckDB gave; stamps with a time zone are in UTC.

        Raises LedgerError where pyarrow is not installed.
        """
        try:
            import pyarrow
        except ImportError:
            message = "arrow() needs the package pyarrow, which is not installed; pip install pyarrow, or use df()"
            raise LedgerError(message) from None
        columns = [
            pyarrow.array([_plain(row[place]) for row in self.rows], type=_arrow_type(type_, pyarrow))
            for place, type_ in enumerate(self.types)
        ]
        return pyarrow.Table.from_arrays(columns, names=list(self.columns))

    def text(self, rows: int = SHOWN_ROWS) -> str:
        """The first rows as aligned plain text, with the moment and the note below."""
        cells = [[_shown(value) for value in row] for row in self.rows[:rows]]
        widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(self.columns)]
        lines = ["  ".join(name.ljust(width) for name, width in zip(self.columns, widths, strict=True)).rstrip()]
        lines.append("  ".join("─" * width for width in widths))
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        return "\n".join([*lines, *self._below(rows)])

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_shown(value))}</td>" for value in row) + "</tr>"
            for row in self.rows[:SHOWN_ROWS]
        )
        below = "<br>".join(escape(line) for line in self._below(SHOWN_ROWS))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><small>{below}</small>"

    def _below(self, shown: int) -> list[str]:
        more = f", the first {shown} shown" if len(self.rows) > shown else ""
        count = "1 row" if len(self.rows) == 1 else f"{len(self.rows)} rows"
        lines = [f"{count}{more}, as of {self.as_of:%Y-%m-%d %H:%M:%S} UTC"]
        return [*lines, self.note] if self.note else lines


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


# ------------------------------------------------------------------------------------------------------------- arrow
def _arrow_type(type_: str, pyarrow: Any) -> Any:
    """DuckDB's type as Arrow's; None, which leaves it to the values, for structs, maps and other rare ones."""
    if type_.endswith("]"):
        of = _arrow_type(type_.rpartition("[")[0], pyarrow)
        return None if of is None else pyarrow.list_(of)
    if type_ in _ARROW:
        return getattr(pyarrow, _ARROW[type_])()
    if type_ in _UNITS:
        return pyarrow.timestamp(_UNITS[type_])
    if type_ == "TIMESTAMP WITH TIME ZONE":
        return pyarrow.timestamp("us", tz="UTC")
    if type_ == "TIME":
        return pyarrow.time64("us")
    if type_ == "INTERVAL":
        return pyarrow.duration("us")
    if type_ in ("HUGEINT", "UHUGEINT"):
        return pyarrow.decimal256(39, 0)
    if found := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", type_):
        return pyarrow.decimal128(int(found[1]), int(found[2]))
    return pyarrow.string() if type_.startswith("ENUM") else None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
