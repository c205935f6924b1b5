"""Writes docs/schema.md from the tables and views in the code: python docs/make_schema.py"""

from __future__ import annotations

from pathlib import Path

import duckdb

from toolkit.ledger.history.schema import BY_NAME, HistoryTable
from toolkit.ledger.views.catalogue import VIEWS

PAGE = Path(__file__).with_name("schema.md")
INTRO = """# The schema of the history

Made from the code by `python docs/make_schema.py`; a test holds the two together.

`toolkit sql`, `run.sql()` and `History(home).sql()` show these tables and views, with what is not merged yet. Any
DuckDB client can read `history.duckdb` itself, which lags behind by seconds; hold it open read-only as long
as you like. Stamps are UTC, durations seconds, money US dollars; what is unknown is NULL and never 0.
"""
VIEWS_INTRO = """## Views

Each answers a question and is named after it. `is_finished` tells whether all runs that a row sums over have ended,
`as_of` when the last of what it sums happened. A price tier in `prices` is a row whose version ends in `over N`: it
holds for calls of more than N input tokens, and `repriced` takes the one that a call falls into.
"""


def schema() -> str:
    """The page as Markdown."""
    parts = [INTRO, "## Tables\n", *map(_table, BY_NAME.values()), VIEWS_INTRO]
    columns = _columns_of_views()
    parts += [f"### {view.name}\n\n{view.question}\n\n{columns[view.name]}\n" for view in VIEWS]
    return "\n".join(parts).rstrip() + "\n"


def _columns_of_views() -> dict[str, str]:
    """View → its columns, as DuckDB names them."""
    with duckdb.connect(":memory:") as connection:
        for table in BY_NAME.values():
            connection.execute(table.ddl)
        for view in VIEWS:
            connection.execute(f"create view {view.name} as {view.sql}")
        return {
            view.name: ", ".join(f"`{row[0]}`" for row in connection.execute(f"describe {view.name}").fetchall())
            for view in VIEWS
        }


def _table(table: HistoryTable) -> str:
    names = ", ".join(f"`{name}`" for name in table.key)
    key = f" Of rows with the same {names} the last one wins." if names else ""
    lines = [f"### {table.name}\n", f"{table.comment}.{key}\n", "| column | type | what |", "|---|---|---|"]
    lines += [f"| `{column.name}` | {column.type} | {column.comment} |" for column in table.columns]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(schema(), encoding="utf-8")
