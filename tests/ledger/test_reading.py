"""Reading with SQL: what a Table tells, and what the reader refuses."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.ledger.ledger_samples import START, run_and_rows
from toolkit.errors import LedgerError
from toolkit.ledger import History, Journal, Table, facts
from toolkit.ledger.writing import tables


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    with Journal.open(home) as journal:
        journal.write(*run_and_rows(5))
    return home


def test_a_table_has_columns_types_rows_and_the_moment_it_shows(home: Path) -> None:
    before = datetime.now(UTC)
    table = History(home).sql("select row_id, cost_usd, input_tokens from attempts order by row_id limit 1")
    assert table.columns == ("row_id", "cost_usd", "input_tokens")
    assert table.types == ("VARCHAR", "DOUBLE", "BIGINT")
    assert table.rows == (("row-00000", 0.001, 300),)
    assert before <= table.as_of <= datetime.now(UTC)
    assert (len(table), table.column("cost_usd"), list(table)) == (1, [0.001], list(table.rows))


def test_a_table_becomes_a_data_frame_that_keeps_whole_numbers_and_stamps() -> None:
    rows = ((1, 0.5, START, "a"), (None, None, None, None))
    table = Table(("n", "x", "t", "s"), ("BIGINT", "DOUBLE", "TIMESTAMP WITH TIME ZONE", "VARCHAR"), rows, START)
    frame = table.df()
    assert [str(kind) for kind in frame.dtypes[:2]] == ["Int64", "float64"]
    assert frame["t"][0].to_pydatetime() == START
    assert frame["n"].sum() == 1
    assert len(Table(("n",), ("BIGINT",), (), START).df()) == 0


def test_a_table_shows_itself_as_text_and_as_html_without_letting_markup_in() -> None:
    table = Table(("a", "b"), ("VARCHAR", "DOUBLE"), (("<b>x</b>", 0.123456789), ("y" * 500, None)), START)
    assert table.text().splitlines()[0].split() == ["a", "b"]
    assert "2 rows, as of 2026-03-01 09:00:00 UTC" in repr(table)
    assert "0.123457" in table.text() and "yyy…" in table.text()
    assert "&lt;b&gt;x&lt;/b&gt;" in table._repr_html_()
    assert "the first 1 shown" in table.text(rows=1)


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("select count(*) from attempts where row_id = ? and turn = ?", ["row-00001", 0]),
        ("select count(*) from attempts where row_id = $row", {"row": "row-00001"}),
        ("with a as (select * from ATTEMPTS) select count(*) from a where row_id = 'row-00001'", None),
        ("select count(*) from \"attempts\" where row_id like '%1'", None),
    ],
)
def test_parameters_and_any_spelling_of_a_table_work(home: Path, query: str, params: object) -> None:
    assert History(home).sql(query, params).rows == ((1,),)  # type: ignore[arg-type]


def test_tables_and_views_can_be_listed_and_described(home: Path) -> None:
    names = {row[0] for row in History(home).sql("show tables").rows}
    assert {"attempts", "runs", "contents", "model_costs", "run_summary"} <= names
    assert len(History(home).sql("describe attempts")) > 20


def test_a_wrong_query_is_told_in_duckdbs_words(home: Path) -> None:
    with pytest.raises(LedgerError, match='Referenced column "costs" not found'):
        History(home).sql("select costs from attempts")


@pytest.mark.parametrize(
    "query",
    [
        "insert into history.main.events values ('x', 'y', now(), '{}')",
        "insert into events values ('x', 'y', now(), '{}')",
        "delete from history.main.attempts",
        "drop table history.main.attempts",
        "update history.main.attempts set cost_usd = 0",
    ],
)
def test_a_query_cannot_change_the_history(home: Path, query: str) -> None:
    with pytest.raises(LedgerError):
        History(home).sql(query)
    assert History(home).sql("select count(*), sum(cost_usd) > 0 from attempts").rows == ((5, True),)


def test_where_nothing_has_run_the_reader_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="run a workflow with this home"):
        History(tmp_path).sql("select 1")
    assert "nothing has run here yet" in facts(tmp_path).problems[0]


def test_a_history_without_a_journal_is_read_too(home: Path, tmp_path: Path) -> None:
    (tmp_path / "history.duckdb").write_bytes((home / "history.duckdb").read_bytes())
    assert History(tmp_path).sql("select count(*) from attempts").rows == ((5,),)


def test_the_plain_file_answers_the_same_questions_without_the_toolkit(home: Path) -> None:
    query = "select step, model, calls, cost_usd, is_finished from model_costs"
    with duckdb.connect(str(home / "history.duckdb"), read_only=True) as connection:
        assert tuple(connection.execute(query).fetchall()) == History(home).sql(query).rows


def test_stamps_are_moments_whatever_the_zone(home: Path) -> None:
    query = "select epoch(started_at) from attempts limit 1"
    assert History(home).sql(query).rows == ((START.timestamp(),),)
    assert History(home).sql("select max(started_at) - interval 1 hour from attempts").rows[0][0] == START - timedelta(
        hours=1
    )


def test_facts_tell_sizes_and_versions(home: Path) -> None:
    found = facts(home)
    assert found.journal_bytes > 0 and found.history_bytes > 0
    assert (found.journal_version, found.history_version) == (tables.VERSION, found.known_version)
    assert (found.pending_entries, found.segments, found.held_by, found.problems) == (0, 0, None, ())


def test_reading_needs_neither_sqlalchemy_nor_pandas(home: Path) -> None:
    code = f"""
import sys
from toolkit.ledger import History
assert History({str(home)!r}).sql("select count(*) from attempts_text").rows == ((5,),)
assert not {{"sqlalchemy", "pandas", "pyarrow"}} & set(sys.modules), "too much"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
