"""The way of a question to its answer: little is loaded, little is opened, and nothing is seen twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.ledger.ledger_samples import run_and_rows
from toolkit.ledger import History, Journal, content_entry, facts
from toolkit.ledger.history.schema import BY_NAME
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.merging import segments
from toolkit.ledger.reading.tail import EVERYTHING, tables_in, views_in
from toolkit.ledger.views.catalogue import VIEWS

COUNTS = """select (select count(*) from rows), (select count(*) from attempts), (select count(*) from answers),
    (select count(*) from contents), (select count(distinct hash) from contents)"""


@pytest.mark.slow
def test_toolkit_sql_loads_neither_sqlalchemy_nor_pandas(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(3))
        journal.flush()
        code = f"""
import json, sys
sys.argv = ["toolkit", "sql", "select count(*) as n from attempts_text", "--home", {str(tmp_path)!r}]
from toolkit.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted(sys.modules)))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *shown, loaded = done.stdout.splitlines()
    assert shown[2].strip() == "3"
    assert not {"sqlalchemy", "pandas", "pyarrow", "numpy", "prefect", "httpx"} & set(json.loads(loaded))


@pytest.mark.parametrize("view", [view.name for view in VIEWS])
def test_what_a_view_reads_is_there_when_the_view_is_asked_for(view: str) -> None:
    needed = views_in(f"select * from {view}")
    sql = next(each.sql for each in VIEWS if each.name == view)
    assert view in needed
    assert {name for name in EVERYTHING if name in sql.split()} <= needed


@pytest.mark.parametrize(
    "query", ["show tables", "select * from information_schema.tables", "select view_name from duckdb_views()"]
)
def test_who_lists_the_tables_sees_all_of_them(query: str) -> None:
    assert views_in(query) == EVERYTHING >= set(BY_NAME)


def test_a_question_needs_no_more_than_it_names() -> None:
    assert views_in("SELECT count(*) FROM Attempts") == tables_in("select 1 from attempts") == {"attempts"}
    assert views_in("select 1") == frozenset()


@pytest.mark.slow
def test_many_segments_are_read_as_one_and_contents_of_several_are_seen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 5)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(2), content_entry(b"merged"))
        journal.flush()
        journal.merge()
        with duckdb.connect(str(tmp_path / "history.duckdb"), read_only=True):
            for start in range(2, 22, 4):
                journal.write(*run_and_rows(start + 4, first=start), content_entry(b"again and again"))
                journal.flush()
                journal.merge()
                journal.flush()  # what was set aside is pruned with a commit
            journal.write(content_entry(b"again and again"), content_entry(b"merged"))
            journal.flush()
            assert facts(tmp_path).segments == 5
            assert History(tmp_path).sql(COUNTS).rows == ((22, 22, 22, 22 + 3, 22 + 3),)
            assert History(tmp_path).sql("select body from contents where body like 'again%'").rows == (
                ("again and again",),
            )
        journal.merge()
    assert History(tmp_path).sql(COUNTS).rows == ((22, 22, 22, 22 + 3, 22 + 3),)


def test_segments_that_overlap_show_each_entry_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 5)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(2))
        journal.flush()
        journal.merge()
        with duckdb.connect(str(tmp_path / "history.duckdb"), read_only=True):
            journal.write(*run_and_rows(6, first=2))
            journal.flush()
            journal.merge()
            name = segments.journals(tmp_path)[0]
            (only,) = segments.listed(tmp_path, name)
            wider = only.path.with_name(f"{only.first:018d}-{only.last + 1:018d}")
            wider.mkdir()
            for file in only.path.iterdir():  # the same entries again, as after a kill before they were pruned
                (wider / file.name).write_bytes(file.read_bytes())
            assert len(segments.listed(tmp_path, name)) == 2
            found = History(tmp_path).sql("select count(*), count(distinct id) from attempts")
    assert found.rows == ((6, 6),)
