"""After a person is erased no file of the home tells of them, and all numbers are what they were."""

from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.ledger_samples import START, entries_of_row, other_process, place, run_record
from tests.ledger.removal_samples import (
    ADA,
    BEN,
    REPLY,
    SUMMARY,
    TRIAGE,
    asked,
    asking,
    ended,
    files_with,
    person,
    summary,
    talk,
    texts_with,
    written,
)
from tests.ledger.test_merging import HOLD
from toolkit.errors import LedgerError
from toolkit.ledger import Entry, History, Journal, answer_entry, row_entry, run_entry
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.retention.erasing import Subject, erase, planned
from toolkit.records import Answer, Place, RowRecord, content_hash

WHOSE = Subject("email", ADA)
WORDS = (ADA, "Quokka")
ENGINE = duckdb.connect()
NUMBERS = (
    "select * exclude (as_of, seconds) from run_summary order by run_id",
    "select step, model, calls, errors, round(cost_usd, 9), input_tokens, output_tokens from model_costs order by all",
    'select run_id, row_id, status, "index", seconds from rows order by all',
    "select run_id, row_id, step, status, model, attempts from answers order by all",
    "select id, number, model, cost_usd, error_type from attempts order by id",
    "select id, choice, probability from decisions order by id",
    "select id, grader, value from grades order by id",
    'select session_id, "index", role from messages order by all',
)
KILLED = """
import os
from pathlib import Path
from tests.ledger.test_erasing import WHOSE
from toolkit.ledger.retention.erasing import erase
erase(Path(sys.argv[1]), WHOSE, reached=lambda point: os._exit(9) if point == sys.argv[2] else None)
"""


def first_run() -> list[Entry]:
    return [
        *ended("run-1"),
        *person("run-1", 0, ADA, word="Quokka"),
        *person("run-1", 1, BEN, word="Wombat"),
        *summary("run-1", "Quokka and Wombat"),
        *talk("talk-1", "Quokka says", "more", attempt_id="attempt-run-1-row-00000-triage", run="run-1"),
        *talk("talk-2", "Wombat says", attempt_id="attempt-run-1-row-00001-triage", run="run-1"),
        *asking("run-1", 0, "Refund Quokka?"),
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two runs in which the person was, one of them not merged yet."""
    written(tmp_path, first_run())
    written(tmp_path, [*ended("run-2"), *person("run-2", 0, ADA, word="Quokka")], merged=False)
    return tmp_path


def numbers(home: Path) -> list[object]:
    return [History(home).sql(query).rows for query in NUMBERS]


# ------------------------------------------------------------------------------------------------------ what is erased
@pytest.mark.slow
def test_no_file_and_no_table_tells_of_the_person_and_all_numbers_stay(home: Path) -> None:
    assert {"history.duckdb: Quokka", "journal.db: Quokka"} <= set(files_with(home, *WORDS))
    before = numbers(home)
    removal = erase(home, WHOSE)
    assert (removal.kind, removal.runs, removal.rows, removal.attempts) == ("subject", 2, 2, 7)
    assert (removal.contents, removal.shared, removal.notes) == (5, 1, ())
    assert files_with(home, *WORDS) == []
    assert texts_with(home, *WORDS) == []
    assert numbers(home) == before


@pytest.mark.slow
def test_nobody_else_loses_anything(home: Path) -> None:
    query = "select * from {} where run_id = 'run-1' and row_id = 'row-00001' order by all"
    tables = ("rows", "decisions", "attempts", "answers", "grades")
    before = {table: History(home).sql(query.format(table)).rows for table in tables}
    texts = "select request, output from attempts_text where row_id = 'row-00001' order by id"
    said = History(home).sql(texts).rows
    erase(home, WHOSE)
    assert {table: History(home).sql(query.format(table)).rows for table in tables} == before
    assert History(home).sql(texts).rows == said
    with Journal.open(home, merges=False) as journal:
        assert [talked.message.text for talked in journal.messages("talk-2")] == ["Wombat says"]
        assert journal.step_values("run-1", REPLY) == [("row-00001", {"said": "Dear Wombat"})]
        assert dict(journal.row_fields("run-1")) == {
            "row-00000": {},
            "row-00001": {"email": BEN, "ticket": "Wombat writes"},
        }


@pytest.mark.slow
def test_a_dry_run_tells_the_same_and_changes_nothing(home: Path) -> None:
    before = texts_with(home, *WORDS)
    told, done = planned(History(home), WHOSE), erase(home, WHOSE)
    assert before != [] and not told.is_done and done.is_done
    for name in ("rule", "runs", "rows", "attempts", "contents", "bytes", "shared", "mentions"):
        assert getattr(told, name) == getattr(done, name), name


def test_the_line_that_is_left_tells_nothing_of_the_person(home: Path) -> None:
    erase(home, WHOSE)
    lines = History(home).sql("select kind, rule, runs, rows, attempts, contents from retention").rows
    assert lines == (("subject", "rows with one value of a column", 2, 2, 7, 5),)


@pytest.mark.slow
def test_erasing_again_finds_nobody(home: Path) -> None:
    erase(home, WHOSE)
    assert erase(home, WHOSE).is_empty
    assert History(home).sql("select count(*) from retention").rows == ((1,),)


@pytest.mark.slow
def test_answers_that_others_reused_are_erased_with_what_was_made_of_them(tmp_path: Path) -> None:
    key, later = content_hash(b"same"), content_hash(b"later")
    reused = Answer(
        place(1, run="run-2", step=TRIAGE), key, "answered", {"said": "Quokka"}, model="small", reused_from="run-1"
    )
    made = asked(place(1, run="run-2", step=REPLY), "of Quokka", "to Quokka", key=later, inputs={"triage": key})
    tool = Answer(place(1, run="run-2", step="support/lookup"), "tool", "answered", {"found": "Quokka"})
    record = RowRecord("run-1", "row-00000", 0, "answered", {"email": ADA})
    other = RowRecord("run-2", "row-00001", 1, "answered", {"email": BEN, "ticket": "his own"})
    own = asked(place(0, run="run-1", step=TRIAGE), "asks Quokka", "Quokka", key=key)
    written(
        tmp_path,
        [
            *ended("run-1"),
            *ended("run-2"),
            *own,
            *made,
            *map(row_entry, (record, other)),
            *map(answer_entry, (reused, tool)),
        ],
    )
    erase(tmp_path, WHOSE)
    assert (files_with(tmp_path, *WORDS), texts_with(tmp_path, *WORDS)) == ([], [])
    assert History(tmp_path).sql("select fields ->> 'ticket' from rows where run_id = 'run-2'").rows == (("his own",),)
    with Journal.open(tmp_path, merges=False) as journal:
        assert journal.find_answer(key) is None


@pytest.mark.slow
def test_child_rows_are_the_persons_too(tmp_path: Path) -> None:
    child = RowRecord("run-1", "row-00000/each/0", 0, "answered", {"item": "Quokka"}, parent_row_id="row-00000")
    inner = RowRecord("run-1", "row-00000/each/0/in/0", 0, "answered", {"item": "Quokka"}, parent_row_id=child.row_id)
    at = Place("run-1", inner.row_id, TRIAGE)
    asks = asked(at, "item Quokka", "Quokka item", key=content_hash(b"item"))
    written(tmp_path, [*first_run(), row_entry(child), row_entry(inner), *asks])
    assert erase(tmp_path, WHOSE).rows == 3
    assert texts_with(tmp_path, *WORDS) == []


def test_what_a_run_was_made_of_before_the_person_came_stays(tmp_path: Path) -> None:
    at = Place("run-1", "*", "support/handbook")
    once = answer_entry(Answer(at, "once", "answered", ["page"], answered_at=START - timedelta(hours=1)))
    written(tmp_path, [once, *first_run()])
    erase(tmp_path, WHOSE)
    found = History(tmp_path).sql("select step, value from answers where row_id = '*' order by step").rows
    assert found == (("support/handbook", '["page"]'), (SUMMARY, None))


def test_other_texts_that_name_the_value_keep_all_but_the_value(tmp_path: Path) -> None:
    told = person("run-1", 1, BEN, word=f"see {ADA}, not x{ADA}, or {{'{ADA}'}}")
    run = run_entry(run_record("run-1", "finished", settings={"rows": f"select * from t where email = '{ADA}'"}))
    written(tmp_path, [run, *person("run-1", 0, ADA, word="Quokka"), *told])
    whose = Subject("email", ADA)
    removal = erase(tmp_path, whose)
    assert removal.mentions > 5
    named = f"see {whose.marker}, not x{ADA}, or {{'{whose.marker}'}} writes"
    found = History(tmp_path).sql("select fields ->> 'ticket' from rows where row_id = 'row-00001'").rows
    assert found == ((named,),)
    assert History(tmp_path).sql("select settings ->> 'rows' from runs").rows == (
        (f"select * from t where email = '{whose.marker}'",),
    )
    with Journal.open(tmp_path, merges=False) as journal:
        assert journal.run("run-1").settings["rows"].endswith(f"'{whose.marker}'")  # type: ignore[union-attr]
        assert dict(journal.row_fields("run-1"))["row-00001"]["ticket"] == named


def test_a_person_who_is_named_but_has_no_row_is_taken_out_of_the_texts(tmp_path: Path) -> None:
    written(tmp_path, [*ended("run-1"), *person("run-1", 1, BEN, word=f"about {ADA}")])
    removal = erase(tmp_path, WHOSE)
    assert removal.rows == 0 and removal.mentions > 0
    assert (files_with(tmp_path, ADA), texts_with(tmp_path, ADA)) == ([], [])


@pytest.mark.slow
def test_a_row_whose_name_is_the_value_loses_its_name_in_all_tables(tmp_path: Path) -> None:
    at = Place("run-1", ADA, TRIAGE)
    record = RowRecord("run-1", ADA, 0, "answered", {"email": ADA})
    written(tmp_path, [*ended("run-1"), *asked(at, f"asks {ADA}", "Quokka", key="k" * 32), row_entry(record)])
    whose = Subject("email", ADA)
    erase(tmp_path, whose)
    names = "select row_id from rows union select row_id from answers union select row_id from attempts"
    assert History(tmp_path).sql(names).rows == ((whose.marker,),)
    assert (files_with(tmp_path, *WORDS), texts_with(tmp_path, *WORDS)) == ([], [])
    assert History(tmp_path).sql("select count(*) from lineage where gave_the_answer").rows == ((1,),)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["17", 'O\'Brien "Ada" \\ Lovelace', "Zoë Müller", "+49 170 1234567", "10234567"])
def test_values_of_any_spelling_are_found_and_erased(tmp_path: Path, value: str) -> None:
    number = int(value) if value.isdigit() else value
    record = RowRecord("run-1", "row-1", 0, "answered", {"who is it?": number, "ticket": "Quokka"})
    other = RowRecord("run-1", "row-2", 1, "answered", {"who is it?": "x17x", "ticket": f"tells {value} so"})
    written(tmp_path, [*ended("run-1"), row_entry(record), row_entry(other)])
    assert erase(tmp_path, Subject("who is it?", value)).rows == 1
    found = History(tmp_path).sql("select fields ->> 'ticket' from rows order by row_id").rows
    assert found[0] == (None,)
    assert (value in found[1][0]) == (len(value) < 4)


@pytest.mark.slow
def test_equivalent_spellings_are_the_same_person(tmp_path: Path) -> None:
    token = "[email:chfbkaibmp]"
    rows = [*person("run-1", 0, ADA, word="Quokka"), *person("run-1", 1, token, word="Quokka")]
    written(tmp_path, [*ended("run-1"), *rows])
    assert erase(tmp_path, Subject("email", ADA, (token,))).rows == 2
    assert (files_with(tmp_path, token, *WORDS), texts_with(tmp_path, token, *WORDS)) == ([], [])


@given(st.text(alphabet="ab'\"\\ äß$%[](){}|.*+?^-_0", min_size=4, max_size=12), st.text(max_size=8))
def test_the_pattern_matches_the_value_itself_in_both_engines(value: str, around: str) -> None:
    pattern = Subject("c", value).pattern
    assert re.search(pattern, f"{around} {value} {around}", re.ASCII)
    assert ENGINE.execute("select regexp_matches($1, $2)", [f"- {value} -", pattern]).fetchall() == [(True,)]


@pytest.mark.parametrize(("column", "value"), [("", "x"), ("email", ""), ("email", "  ")])
def test_a_subject_without_column_or_value_is_refused(home: Path, column: str, value: str) -> None:
    with pytest.raises(LedgerError, match="say whose data"):
        erase(home, Subject(column, value))


@pytest.mark.slow
def test_rows_that_only_the_journal_knows_are_erased_too(home: Path) -> None:
    written(home, [])
    (home / "history.duckdb").unlink()
    assert erase(home, WHOSE).rows == 2
    assert [told for told in texts_with(home, *WORDS) if "rows" in told or "answers: Quokka" not in told] == [
        "journal messages: Quokka",
        "journal sessions: Quokka",
    ]


# ------------------------------------------------------------------------------------------------------ others at work
@pytest.mark.slow
def test_while_somebody_holds_the_history_nothing_is_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.ledger.retention.rewriting.PATIENCE_SECONDS", 0.1)
    before = texts_with(home, *WORDS)
    process = other_process(HOLD, home / "history.duckdb", True, wait=False)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(LedgerError, match=f"process {process.pid} keeps .* nothing was changed"):
        erase(home, WHOSE)
    process.communicate("\n")
    assert texts_with(home, *WORDS) == before


@pytest.mark.slow
def test_what_was_set_aside_is_merged_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 5)
    with Journal.open(home, merges=False) as journal:
        journal.write(*ended("run-3"), *person("run-3", 0, ADA, word="Quokka"))
        journal.flush()
        with duckdb.connect(str(home / "history.duckdb"), read_only=True):
            assert journal.merge() == 0
    assert (home / "segments").exists()
    assert erase(home, WHOSE).runs == 3
    assert (files_with(home, *WORDS), texts_with(home, *WORDS)) == ([], [])


@pytest.mark.slow
def test_a_run_under_way_is_told_as_what_may_write_more(home: Path) -> None:
    now = datetime.now(UTC)
    live = replace(run_record("live"), started_at=now)
    written(home, [run_entry(live), row_entry(RowRecord("live", "row-9", 0, "answered", {"email": ADA}))])
    removal = erase(home, WHOSE)
    assert removal.notes == ("run live is under way and may write more of the same; run this again when it has ended",)


@pytest.mark.slow
def test_what_others_write_meanwhile_is_all_there_and_brings_nothing_back(home: Path) -> None:
    with Journal.open(home) as journal:  # which merges every second, too
        stop, count = threading.Event(), 0

        def write() -> None:
            nonlocal count
            while not stop.is_set():
                journal.write(*entries_of_row(count, run="busy"))
                journal.flush()
                count += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert erase(home, WHOSE).rows == 2
        finally:
            stop.set()
            writer.join()
    for table in ("rows", "attempts", "answers", "decisions"):
        query = f"select count(*), count(distinct row_id) from {table}"
        assert History(home).sql(query, run_id="busy").rows == ((count, count),), table
    assert count > 0
    assert (files_with(home, *WORDS), texts_with(home, *WORDS)) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("point", ["drafted", "journal_cleared", "swapped", "compacted"])
def test_killed_anywhere_the_home_opens_and_erasing_again_finishes(home: Path, point: str) -> None:
    before = numbers(home)
    assert other_process(KILLED, home, point).returncode == 9
    assert numbers(home) == before
    erase(home, WHOSE)
    assert numbers(home) == before
    assert (files_with(home, *WORDS), texts_with(home, *WORDS)) == ([], [])
    assert History(home).sql("select count(*) from retention").rows == ((1,),)


@pytest.mark.slow
def test_a_reader_of_an_old_state_of_the_journal_is_told_and_erasing_again_finishes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.ledger.retention.clearing.PATIENCE_SECONDS", 0.2)
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from rows").fetchone() == (3,)
        (note,) = erase(home, WHOSE).notes
        reader.execute("commit")
    assert "somebody reads an old state of the journal" in note
    again = erase(home, WHOSE)
    assert again.is_empty and again.notes == ()
    assert (files_with(home, *WORDS), texts_with(home, *WORDS)) == ([], [])


@pytest.mark.slow
def test_what_killed_processes_left_in_the_home_goes(home: Path) -> None:
    for folder in ("staging-killed", ".duckdb-spill", "history.duckdb.tmp"):
        (home / folder).mkdir()
        (home / folder / "left").write_text(f"Quokka {ADA}")
    erase(home, WHOSE)
    assert files_with(home, *WORDS) == []


@pytest.mark.slow
def test_what_was_set_aside_and_cannot_be_merged_is_told(home: Path) -> None:
    segment = home / "segments" / "another.1" / "1-9.damaged"
    segment.mkdir(parents=True)
    (segment / "rows.parquet").write_text(ADA)
    (note,) = erase(home, WHOSE).notes
    assert "could not be merged, so it is not known whose data are in it" in note
    assert (segment / "rows.parquet").exists()


@pytest.mark.slow
def test_snapshots_in_the_home_are_told_and_left_alone(home: Path) -> None:
    taken = History(home).snapshot(home / "all.duckdb")
    (note,) = erase(home, WHOSE).notes
    assert str(taken) in note and taken.exists()


@pytest.mark.slow
def test_a_number_that_others_have_too_becomes_nothing_and_no_broken_json(tmp_path: Path) -> None:
    own = RowRecord("run-1", "row-1", 0, "answered", {"customer": 10234567})
    other = RowRecord("run-1", "row-2", 1, "answered", {"referrer": 10234567, "text": "from 10234567"})
    written(tmp_path, [*ended("run-1"), row_entry(own), row_entry(other)])
    whose = Subject("customer", "10234567")
    assert erase(tmp_path, whose).rows == 1
    with Journal.open(tmp_path, merges=False) as journal:
        assert dict(journal.row_fields("run-1"))["row-2"] == {"referrer": None, "text": f"from {whose.marker}"}
    assert (files_with(tmp_path, "10234567"), texts_with(tmp_path, "10234567")) == ([], [])
