"""A snapshot is the whole record at one moment, in a file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.ledger.ledger_samples import other_process, run_and_rows
from tests.ledger.test_merging import COUNTS, HOLD, counts
from toolkit.errors import LedgerError
from toolkit.ledger import History, Journal
from toolkit.ledger.history.schema import BY_NAME
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.views.catalogue import VIEWS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows in the history, in segments and in the journal's log."""
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 20)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(5))
        journal.flush()
        journal.merge()
        with duckdb.connect(str(tmp_path / "history.duckdb"), read_only=True):
            journal.write(*run_and_rows(12, first=5))
            journal.flush()
            assert journal.merge() == 0
        journal.write(*run_and_rows(14, first=12))
        journal.flush()
    assert (tmp_path / "segments").exists()
    return tmp_path


@pytest.mark.slow
def test_a_snapshot_has_all_tables_and_views_with_what_is_not_merged_yet(home: Path) -> None:
    history = History(home)
    path = history.snapshot(home / "taken" / "all.duckdb")
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute(COUNTS).fetchall() == [counts(14)]
        for name in BY_NAME:
            query = f"select * from {name} order by all"
            assert tuple(connection.execute(query).fetchall()) == history.sql(query).rows, name
        for view in VIEWS:
            query = f"select count(*), count(*) filter (columns(*) is null) from {view.name}"
            assert tuple(connection.execute(query).fetchall()) == history.sql(query).rows, view.name
        told = connection.execute("select comment from duckdb_columns() where table_name = 'attempts'").fetchall()
        assert all(comment for (comment,) in told)
    assert [file.name for file in path.parent.iterdir()] == ["all.duckdb"]


@pytest.mark.slow
def test_taking_a_snapshot_changes_nothing_and_needs_no_write_lock(home: Path) -> None:
    before = (home / "history.duckdb").read_bytes()
    process = other_process(HOLD, home / "history.duckdb", True, wait=False)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    path = History(home).snapshot(home / "all.duckdb")
    process.communicate("\n")
    assert (home / "history.duckdb").read_bytes() == before
    assert History(home).sql(COUNTS).rows == (counts(14),)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute(COUNTS).fetchall() == [counts(14)]


def test_a_snapshot_put_in_the_place_of_the_history_takes_up_where_it_ends(home: Path) -> None:
    path = History(home).snapshot(home / "all.duckdb")
    path.replace(home / "history.duckdb")
    with Journal.open(home, merges=False) as journal:
        journal.write(*run_and_rows(16, first=14))
        journal.flush()
        journal.merge()
    assert History(home).sql(COUNTS).rows == (counts(16),)


def test_an_existing_file_is_overwritten_only_by_force(home: Path) -> None:
    path = home / "all.duckdb"
    path.write_text("precious")
    with pytest.raises(LedgerError, match="exists"):
        History(home).snapshot(path)
    assert path.read_text() == "precious"
    History(home).snapshot(path, force=True)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from rows").fetchall() == [(14,)]


@pytest.mark.parametrize("name", ["history.duckdb", "journal.db"])
def test_the_record_itself_is_never_overwritten(home: Path, name: str) -> None:
    with pytest.raises(LedgerError, match="part of the record"):
        History(home).snapshot(home / name, force=True)


@pytest.mark.slow
def test_what_cannot_be_read_whole_is_not_taken_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.ledger.reading.history.PATIENCE_SECONDS", 0.1)
    process = other_process(HOLD, home / "history.duckdb", False, wait=False)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(LedgerError, match=f"nothing was written.*process {process.pid}"):
        History(home).snapshot(home / "all.duckdb")
    process.communicate("\n")
    assert not (home / "all.duckdb").exists()
    assert list(home.glob(".all*")) == []
