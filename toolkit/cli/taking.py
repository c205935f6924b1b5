"""`toolkit snapshot` and `toolkit export`: the record in files that need neither the home nor the toolkit."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import DEFAULT_HOME, AsJson, Home
from toolkit.cli.working import counted, shown, size

if TYPE_CHECKING:
    from toolkit.ledger.reading.copying import Written

JournalUrl = Annotated[
    str,
    typer.Option("--journal", metavar="URL", help="The journal's database, where it is not the home's journal.db."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


class FileFormat(StrEnum):
    """What `toolkit export` writes."""

    parquet = "parquet"
    jsonl = "jsonl"


def snapshot(
    out: Annotated[Path, typer.Argument(metavar="OUT.duckdb", help="The file to write.")],
    home: Home = DEFAULT_HOME,
    journal: JournalUrl = "",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write one DuckDB file with all that is on record now, also what is not merged yet.

    It shows one moment, is independent of the home, and any DuckDB client opens it for as long as it likes. Runs go on
    meanwhile. Exit code 0; 2 where nothing could be written.
    """
    from toolkit.ledger.reading import copying
    from toolkit.ledger.reading.history import History

    with shown() as told:
        written = copying.snapshot(History(home, url=journal or None), out, force=force, told=told)
    if as_json:
        print(json.dumps(_plain(written)))
    else:
        print(
            f"wrote {written.path}: {counted(written.rows, 'row')} in {size(written.bytes)}, "
            f"as of {written.as_of:%Y-%m-%d %H:%M:%S} UTC"
        )


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write to.")],
    format: Annotated[FileFormat, typer.Option("--format", help="The files' format.")] = FileFormat.parquet,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="Only what belongs to this run.")] = "",
    tables: Annotated[str, typer.Option("--tables", metavar="A,B", help="These tables or views alone.")] = "",
    query: Annotated[str, typer.Option("--query", metavar="SQL", help="One file with what this query gives.")] = "",
    home: Home = DEFAULT_HOME,
    journal: JournalUrl = "",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the record as a file per table, also what is not merged yet; Parquet keeps types, JSONL has ISO stamps.

    Exit code 0; 2 where nothing could be written.
    """
    from toolkit.errors import SetupError
    from toolkit.ledger.reading import copying
    from toolkit.ledger.reading.history import History
    from toolkit.runs.run_names import named

    if query and tables:
        raise SetupError("give --tables or --query, not both")
    history = History(home, url=journal or None)
    run_id = named(history, run) if run else None
    chosen = [name.strip() for name in tables.split(",") if name.strip()]
    with shown() as told:
        written = copying.export(
            history,
            folder,
            format=format.value,
            run_id=run_id,
            tables=chosen,
            query=query or None,
            force=force,
            told=told,
        )
    if as_json:
        print(json.dumps({"files": [_plain(file) for file in written]}))
        return
    total = sum(file.bytes for file in written)
    rows = sum(file.rows for file in written)
    print(
        f"wrote {counted(len(written), 'file')} to {folder}: {counted(rows, 'row')} in {size(total)}, "
        f"as of {written[0].as_of:%Y-%m-%d %H:%M:%S} UTC"
    )


def _plain(file: Written) -> dict[str, str | int]:
    """A written file for JSON."""
    return {
        "name": file.name,
        "path": str(file.path),
        "rows": file.rows,
        "bytes": file.bytes,
        "as_of": file.as_of.isoformat(),
    }
