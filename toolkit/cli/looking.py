"""`toolkit runs`, `toolkit show` and `toolkit sql`: what happened, read from the history. Nothing here writes."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from toolkit.cli.options import DEFAULT_HOME, Home, RunName
from toolkit.errors import LedgerError


class Format(StrEnum):
    """How `toolkit sql` prints."""

    table = "table"
    csv = "csv"
    json = "json"


def runs(
    home: Home = DEFAULT_HOME,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest N.")] = 20,
) -> None:
    """List the runs, newest first."""
    from toolkit.cli import questions, tables
    from toolkit.ledger.reading.history import History

    found = History(home).sql(questions.RUNS)
    tables.show_runs(questions.records(found)[:limit], total=len(found), home=home)


def show(
    run: RunName,
    row: Annotated[str, typer.Option("--row", metavar="ID", help="The timeline of this row.")] = "",
    home: Home = DEFAULT_HOME,
) -> None:
    """Show a run: steps and models, problems with reasons, what waits for a person; or one row of it in time."""
    from toolkit.cli import summary, timeline
    from toolkit.ledger.reading.history import History
    from toolkit.runs.run_names import named

    history = History(home)
    run_id = named(history, run)
    if row:
        timeline.show_row(history, run_id, row)
    else:
        summary.show_run(history, run_id)


def sql(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="DuckDB SQL; without it: the views that answer common questions.")
    ] = "",
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="All tables show this run alone.")] = "",
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows a table shows.")] = 100,
    home: Home = DEFAULT_HOME,
) -> None:
    """Ask the history in SQL; it is readable while runs are going."""
    from toolkit.ledger.reading.history import History

    if not query:
        _list_views()
        return
    history = History(home)
    run_id = None
    if run:
        from toolkit.runs.run_names import named

        run_id = named(history, run)
    table = history.sql(query, run_id=run_id)
    if format is Format.table:
        print(table.text(rows=rows))
        return
    if table.note:
        print(f"toolkit: {table.note}", file=sys.stderr)
    if format is Format.csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table.rows)
    else:
        from toolkit.rows import clean

        if len(set(table.columns)) < len(table.columns):
            twice = next(name for name in table.columns if table.columns.count(name) > 1)
            raise LedgerError(f"two columns are called {twice!r}, and a JSON object has one: name them apart")
        listed = [dict(zip(table.columns, map(clean, values), strict=True)) for values in table.rows]
        print(json.dumps(listed, indent=2, ensure_ascii=False, default=str))


def _list_views() -> None:
    from toolkit.ledger.history.schema import TABLES
    from toolkit.ledger.views.catalogue import VIEWS

    print("Give a query, e.g. toolkit sql 'from model_costs'. Views, and the question that each answers:")
    for view in VIEWS:
        print(f"  {view.name:<16}{view.question}")
    print(f"Tables: {', '.join(table.name for table in TABLES)}, contents")
