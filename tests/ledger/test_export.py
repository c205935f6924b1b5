"""What is exported, read back, equals the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import duckdb
import pytest

from tests.ledger.ledger_samples import START, run_and_rows
from tests.ledger.removal_samples import ADA, BEN, asking, ended, person, summary, talk, written
from toolkit.errors import LedgerError
from toolkit.ledger import History
from toolkit.ledger.history.schema import BY_NAME


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with something in nearly every table; the second is not merged yet."""
    home = tmp_path_factory.mktemp("home")
    talked = talk("talk-1", "hello", attempt_id="attempt-run-a-row-00000-triage", run="run-a")
    first = [
        *ended("run-a", seed=2**64 - 1),
        *person("run-a", 0, ADA, word="Quokka"),
        *summary("run-a", "Quokka"),
        *talked,
    ]
    written(home, [*first, *asking("run-a", 0, "Which parcel?")])
    written(home, [*ended("run-b"), *person("run-b", 0, BEN, word="Wombat")], merged=False)
    return home


def read_back(path: Path, name: str) -> str:
    """A query that reads an exported table with its own types."""
    columns = ", ".join(f'"{c.name}"::{c.type} as "{c.name}"' for c in BY_NAME[name].columns)
    typed = ", ".join(f"'{c.name}': '{'JSON' if c.type == 'JSON' else c.type}'" for c in BY_NAME[name].columns)
    source = f"read_json('{path}', columns = {{{typed}}})" if path.suffix == ".jsonl" else f"'{path}'"
    return f"select {columns} from {source} order by all"


@pytest.mark.slow
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_all_tables_read_back_equal_what_is_on_record(
    home: Path, tmp_path: Path, format: Literal["parquet", "jsonl"]
) -> None:
    paths = History(home).export(tmp_path, format=format)
    assert [path.name for path in paths] == [f"{name}.{format}" for name in BY_NAME]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for name, path in zip(BY_NAME, paths, strict=True):
        with duckdb.connect() as connection:
            found = connection.execute(read_back(path, name)).fetchall()
        assert tuple(found) == History(home).sql(f"select {BY_NAME[name].names} from {name} order by all").rows, name


def test_parquet_keeps_the_types_of_the_tables(home: Path, tmp_path: Path) -> None:
    History(home).export(tmp_path, tables=["runs", "attempts"])
    with duckdb.connect() as connection:
        for name in ("runs", "attempts"):
            found = connection.execute(f"describe select * from '{tmp_path / name}.parquet'").fetchall()
            kept = {column: type_ for column, type_, *_ in found}
            wanted = {c.name: c.type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE") for c in BY_NAME[name].columns}
            assert kept == {column: {"HUGEINT": "DECIMAL(38,0)"}.get(type_, type_) for column, type_ in wanted.items()}


def test_stamps_in_jsonl_are_iso_and_json_is_nested(home: Path, tmp_path: Path) -> None:
    History(home).export(tmp_path, format="jsonl", tables=["rows"], run_id="run-a")
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert row["finished_at"] == START.replace(hour=10).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert row["fields"]["email"] == ADA


def test_of_one_run_nothing_of_another_is_exported(home: Path, tmp_path: Path) -> None:
    paths = History(home).export(tmp_path, format="jsonl", run_id="run-b")
    told = "".join(path.read_text() for path in paths)
    assert "Wombat" in told
    assert "Quokka" not in told
    assert "talk-1" not in told


def test_a_query_gives_one_file_with_what_it_gives(home: Path, tmp_path: Path) -> None:
    query = "select step, model, sum(input_tokens) as tokens from attempts group by all order by step; "
    (path,) = History(home).export(tmp_path, query=query)
    assert path == tmp_path / "query.parquet"
    with duckdb.connect() as connection:
        found = connection.execute(f"select step, model, tokens::BIGINT from '{path}'").fetchall()
    assert tuple(found) == History(home).sql(query).rows


def test_views_can_be_exported_too(home: Path, tmp_path: Path) -> None:
    (path,) = History(home).export(tmp_path, tables=["run_summary"])
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) from '{path}'").fetchall() == [(2,)]


def test_mistakes_are_told_before_anything_is_written(home: Path, tmp_path: Path) -> None:
    history = History(home)
    with pytest.raises(LedgerError, match="no table 'attemps'; there are runs, rows"):
        history.export(tmp_path, tables=["attemps"])
    with pytest.raises(LedgerError, match='Referenced column "costs" not found'):
        history.export(tmp_path, query="select costs from attempts")
    (tmp_path / "rows.parquet").write_text("precious")
    with pytest.raises(LedgerError, match="exists"):
        history.export(tmp_path, tables=["runs", "rows"])
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_where_nothing_has_run_nothing_is_exported(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="run a workflow with this home"):
        History(tmp_path).export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_many_rows_pass_from_database_to_file(tmp_path: Path) -> None:
    written(tmp_path, run_and_rows(2000))
    (path,) = History(tmp_path).export(tmp_path / "out", tables=["attempts_text"])
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*), count(request) from '{path}'").fetchall() == [(2000, 2000)]
