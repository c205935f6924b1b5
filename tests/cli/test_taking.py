"""`toolkit snapshot` and `toolkit export`: files that anybody reads without the toolkit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Desk


@pytest.fixture
def ran(desk: Desk) -> Desk:
    assert desk.run("rows.csv").code == 0
    return desk


@pytest.mark.slow
def test_a_snapshot_is_one_file_that_answers_the_same(ran: Desk) -> None:
    ended = ran.toolkit("snapshot", "all.duckdb")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("wrote all.duckdb: ") and ended.err == ""
    with duckdb.connect(str(ran.folder / "all.duckdb"), read_only=True) as connection:
        assert connection.execute("select rows_ended, attempts from run_summary").fetchall() == [(3, 6)]
    again = ran.toolkit("snapshot", "all.duckdb")
    assert again.code == 2 and "--force" in again.sentence
    forced = ran.toolkit("snapshot", "all.duckdb", "--force", "--json")
    assert json.loads(forced.out)["path"] == "all.duckdb"


@pytest.mark.slow
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_an_export_has_a_file_per_table(ran: Desk, format: str) -> None:
    ended = ran.toolkit("export", "out", "--format", format, "--tables", "runs,attempts", "--run", "latest")
    assert ended.code == 0, ended.err
    assert "wrote 2 files to out: 7 rows in " in ended.out
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) from '{ran.folder}/out/attempts.{format}'").fetchall() == [(6,)]


@pytest.mark.slow
def test_a_query_is_exported_as_one_file(ran: Desk) -> None:
    query = "select step, count(*) as calls from attempts group by step order by step"
    ended = ran.toolkit("export", "out", "--format", "jsonl", "--query", query, "--json")
    (file,) = json.loads(ended.out)["files"]
    assert (file["name"], file["rows"]) == ("query", 2)
    assert (ran.folder / file["path"]).read_text().splitlines()[0] == '{"step":"plain/first","calls":3}'


def test_mistakes_end_in_one_sentence(ran: Desk) -> None:
    for arguments, told in (
        (["export", "out", "--tables", "run"], "no table 'run'"),
        (["export", "out", "--tables", "runs", "--query", "select 1"], "not both"),
        (["export", "out", "--run", "nope"], "no run 'nope'"),
        (["snapshot", ".toolkit/history.duckdb", "--force"], "part of the record"),
        (["snapshot", "x.duckdb", "--home", "elsewhere"], "run a workflow with this home"),
    ):
        ended = ran.toolkit(*arguments)
        assert ended.code == 2, arguments
        assert told in ended.sentence, ended.sentence
    assert not (ran.folder / "out").exists()
