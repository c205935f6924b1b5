"""Writes docs/schema.md from the tables and views in the code: python docs/make_schema.py"""

from __future__ import annotations

from pathlib import Path

from toolkit.ledger.schema import BY_NAME, HistoryTable
from toolkit.ledger.views import VIEWS

PAGE = Path(__file__).with_name("schema.md")
INTRO = """# The schema of the history

Made from the code by `python docs/make_schema.py`; a test holds the two together.

`toolkit sql`, `run.sql()` and `History(home).sql()` show these tables and views, with what is not merged yet. Any
DuckDB client can read `history.duckdb` itself, which lags behind by seconds; hold it open read-only as long
as you like. Stamps are UTC, durations seconds, money US dollars; what is unknown is NULL and never 0.
"""


def schema() -> str:
    """The page as Markdown."""
    parts = [INTRO, "## Tables\n", *map(_table, BY_NAME.values()), "## Views\n", "| view | question |\n|---|---|"]
    parts += [f"| `{view.name}` | {view.question} |" for view in VIEWS]
    return "\n".join(parts) + "\n"


def _table(table: HistoryTable) -> str:
    names = ", ".join(f"`{name}`" for name in table.key)
    key = f" Of rows with the same {names} the last one wins." if names else ""
    lines = [f"### {table.name}\n", f"{table.comment}.{key}\n", "| column | type | what |", "|---|---|---|"]
    lines += [f"| `{column.name}` | {column.type} | {column.comment} |" for column in table.columns]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(schema(), encoding="utf-8")
