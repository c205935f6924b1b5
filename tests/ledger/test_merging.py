"""Moving to the history: nothing twice, nothing lost, whoever else holds the file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pytest

from tests.ledger.ledger_samples import answer, other_process, row_record, run_and_rows, run_record
from toolkit.errors import LedgerError
from toolkit.ledger import History, Journal, answer_entry, facts, row_entry, run_entry
from toolkit.ledger.merging import merger as merging

COUNTS = """select (select count(*) from runs), (select count(*) from rows), (select count(*) from decisions),
    (select count(*) from attempts), (select count(*) from answers), (select count(*) from grades),
    (select count(*) from contents), (select count(distinct row_id) from answers)"""


def counts(rows: int, *, contents: int | None = None) -> tuple[int, ...]:
    """What `COUNTS` gives for that many rows of one run: every row its prompt, all of them one output."""
    return (1, rows, rows, rows, rows, rows, rows + 1 if contents is None else contents, rows)


HOLD = """
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
connection.execute("select count(*) from attempts").fetchall()
print("held", flush=True)
sys.stdin.readline()
"""

KILLED = """
import os
from tests.ledger.ledger_samples import run_and_rows
from toolkit.ledger import Journal
journal = Journal.open(sys.argv[1], merges=False)
journal.write(*run_and_rows(50))
journal.flush()
journal._merger.reached = lambda point: os._exit(9) if point == sys.argv[2] else None
journal.merge()
"""


def test_a_merge_moves_every_entry_and_empties_the_log(tmp_path: Path) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(20))
        journal.flush()
        assert journal.merge() == 1 + 20 * 5
        assert journal.merge() == 0
    assert History(tmp_path).sql(COUNTS).rows == (counts(20),)
    found = facts(tmp_path)
    assert (found.pending_entries, found.pending_contents, found.problems) == (0, 0, ())


def test_a_batch_is_merged_in_the_background_without_being_asked(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(3))
        deadline = time.monotonic() + 20
        while facts(tmp_path).pending_entries != 0 or not (tmp_path / "history.duckdb").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert History(tmp_path).sql(COUNTS).rows == (counts(3),)


def test_a_reader_sees_each_row_once_before_during_and_after_a_merge(tmp_path: Path) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(10))
        journal.flush()
        assert History(tmp_path).sql(COUNTS).rows == (counts(10),)
        journal.merge()
        assert History(tmp_path).sql(COUNTS).rows == (counts(10),)
        journal.write(*run_and_rows(15, first=10))
        journal.flush()
        assert History(tmp_path).sql(COUNTS).rows == (counts(15),)


def test_of_rows_and_runs_the_tail_shows_the_latest(tmp_path: Path) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(run_entry(run_record()), row_entry(row_record(0, "parked")), row_entry(row_record(1, "parked")))
        journal.flush()
        journal.merge()
        journal.write(
            row_entry(row_record(0, "failed")), row_entry(row_record(0)), run_entry(run_record(status="finished"))
        )
        journal.flush()
        query = "select row_id, status, (select status from runs) from rows order by row_id"
        expected = (("row-00000", "answered", "finished"), ("row-00001", "parked", "finished"))
        assert History(tmp_path).sql(query).rows == expected
        journal.merge()
        assert History(tmp_path).sql(query).rows == expected


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before_history_commit", "after_history_commit"])
def test_a_process_killed_while_merging_leaves_each_row_once(tmp_path: Path, point: str) -> None:
    assert other_process(KILLED, tmp_path, point).returncode == 9
    assert History(tmp_path).sql(COUNTS).rows == (counts(50),)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(run_entry(run_record(status="finished")))
        journal.flush()
        journal.merge()
        assert History(tmp_path).sql(COUNTS).rows == (counts(50),)
    assert facts(tmp_path).pending_entries == 0
    assert list(tmp_path.glob("staging-*")) == []


def test_a_log_emptied_by_merges_never_numbers_entries_twice(tmp_path: Path) -> None:
    for row in range(3):
        with Journal.open(tmp_path, merges=False) as journal:
            journal.write(answer_entry(answer(row)))
            journal.flush()
            journal.merge()
    assert History(tmp_path).sql("select count(*) from answers").rows == ((3,),)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in another process", "in this process"])
def test_a_connection_held_for_reading_stops_the_merge_but_no_writer_and_no_reader(tmp_path: Path, where: str) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(5))
        journal.flush()
        journal.merge()
        path = tmp_path / "history.duckdb"
        if where == "in another process":
            process = other_process(HOLD, path, True, wait=False)
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            pid = process.pid
        else:
            held = duckdb.connect(str(path), read_only=True)
            pid = os.getpid()
        journal.write(*run_and_rows(9, first=5))
        journal.flush()
        assert journal.merge() == 0
        assert History(tmp_path).sql(COUNTS).rows == (counts(9),)
        assert facts(tmp_path).held_by == pid
        if where == "in another process":
            process.communicate("\n")
        else:
            assert held.execute("select count(*) from attempts").fetchall() == [(5,)]
            held.close()
        assert journal.merge() == 4 * 5
        assert History(tmp_path).sql(COUNTS).rows == (counts(9),)


def test_reading_never_frees_the_lock_of_this_process_own_connection(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(2))
    path = tmp_path / "history.duckdb"
    held = duckdb.connect(str(path), read_only=True)
    History(tmp_path).sql("select * from attempts")
    facts(tmp_path)
    with Journal.open(tmp_path) as journal:
        journal.merge()
    assert (
        "could not set lock"
        in other_process(
            "import duckdb\ntry: duckdb.connect(sys.argv[1])\nexcept Exception as error: print(str(error).lower())",
            path,
        ).communicate()[0]
    )
    held.close()


@pytest.mark.slow
def test_while_a_foreign_process_writes_the_history_the_tail_is_shown_and_the_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.ledger.reading.history.PATIENCE_SECONDS", 0.1)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(5))
        journal.flush()
        journal.merge()
        process = other_process(HOLD, tmp_path / "history.duckdb", False, wait=False)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        journal.write(*run_and_rows(9, first=5))
        journal.flush()
        assert journal.merge() == 0
        found = History(tmp_path).sql("select count(*) from attempts")
        process.communicate("\n")
    assert found.rows == ((4,),)
    assert f"process {process.pid}" in found.note
    assert found.note in found.text() and "only what is not merged" in found._repr_html_()
    assert History(tmp_path).sql("select count(*) from attempts").note == ""


@pytest.mark.slow
def test_what_piles_up_behind_a_held_history_is_set_aside_and_read_and_merged_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 20)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(2))
        journal.flush()
        journal.merge()
        with duckdb.connect(str(tmp_path / "history.duckdb"), read_only=True):
            for start in (2, 12, 22):
                journal.write(*run_and_rows(start + 10, first=start))
                journal.flush()
                assert journal.merge() == 0
                assert History(tmp_path).sql(COUNTS).rows == (counts(start + 10),)
            journal.write(run_entry(run_record(status="finished")))
            journal.flush()
            assert facts(tmp_path).segments == 3
            assert History(tmp_path).sql("select status from runs").rows == (("finished",),)
        assert journal.merge() > 0
        assert History(tmp_path).sql(COUNTS).rows == (counts(32),)
    assert History(tmp_path).sql(COUNTS).rows == (counts(32),)
    assert (facts(tmp_path).segments, facts(tmp_path).pending_entries) == (0, 0)
    assert not (tmp_path / "segments").exists()


SPILLED = """
import os, duckdb
from tests.ledger.ledger_samples import run_and_rows
from toolkit.ledger import Journal
from toolkit.ledger.merging import merger as merging
merging.SPILL_ENTRIES = 20
journal = Journal.open(sys.argv[1], merges=False)
journal.write(*run_and_rows(2))
journal.flush()
journal.merge()
held = duckdb.connect(sys.argv[1] + "/history.duckdb", read_only=True)
journal.write(*run_and_rows(12, first=2))
journal.flush()
journal._merger.reached = lambda point: os._exit(9) if point == "spilled" else None
journal.merge()
"""


@pytest.mark.slow
def test_a_process_killed_while_setting_aside_leaves_each_row_once(tmp_path: Path) -> None:
    assert other_process(SPILLED, tmp_path).returncode == 9
    assert facts(tmp_path).segments == 1
    assert History(tmp_path).sql(COUNTS).rows == (counts(12),)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.merge()
    assert History(tmp_path).sql(COUNTS).rows == (counts(12),)


def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "history.duckdb"
    path.write_text("notes of somebody" * 1000)
    with pytest.raises(LedgerError, match="not a valid DuckDB database file"):
        Journal.open(tmp_path)
    with pytest.raises(LedgerError, match="move the file away"):
        History(tmp_path).sql("select 1")
    assert path.read_text() == "notes of somebody" * 1000


def test_somebody_elses_duckdb_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "history.duckdb")) as connection:
        connection.execute("create table precious as select 1 as a")
    with pytest.raises(LedgerError, match="no history of this toolkit"):
        Journal.open(tmp_path)
    with duckdb.connect(str(tmp_path / "history.duckdb")) as connection:
        assert connection.execute("show tables").fetchall() == [("precious",)]


def test_a_file_that_goes_bad_while_we_write_loses_nothing_of_the_journal(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, merges=False)
    journal.write(*run_and_rows(3))
    journal.flush()
    (tmp_path / "history.duckdb").write_text("broken")
    with pytest.raises(LedgerError, match="not a valid DuckDB"):
        journal.merge()
    journal.close()
    (tmp_path / "history.duckdb").unlink()
    assert History(tmp_path).sql(COUNTS).rows == (counts(3),)


def test_a_journal_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("notes of somebody" * 1000)
    with pytest.raises(LedgerError, match="another kind of file"):
        Journal.open(tmp_path)
    with pytest.raises(LedgerError, match="cannot be read"):
        History(tmp_path).sql("select 1")
    assert len(facts(tmp_path).problems) == 1
    assert (tmp_path / "journal.db").read_text() == "notes of somebody" * 1000


def test_a_history_of_a_newer_toolkit_is_refused(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(1))
    with duckdb.connect(str(tmp_path / "history.duckdb")) as connection:
        connection.execute("insert into schema_version values (99, now())")
    with pytest.raises(LedgerError, match=r"schema version 99.*upgrade the toolkit"):
        Journal.open(tmp_path)
    with pytest.raises(LedgerError, match="schema version 99"):
        History(tmp_path).sql("select 1")


def test_a_journal_of_a_newer_toolkit_is_refused(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    import sqlite3

    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("update meta set value = '99' where name = 'schema_version'")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match=r"schema version 99.*upgrade the toolkit"):
        Journal.open(tmp_path)
