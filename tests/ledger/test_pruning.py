"""What runs said goes when it is old; what they did and cost stays; nobody else loses anything."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.ledger.ledger_samples import (
    START,
    answer,
    entries_of_row,
    other_process,
    row_record,
    run_and_rows,
    run_record,
)
from tests.ledger.removal_samples import ADA, BEN, asking, ended, files_with, person, talk, texts_with, written
from tests.ledger.test_merging import HOLD
from toolkit.errors import LedgerError
from toolkit.ledger import History, Journal, row_entry, run_entry
from toolkit.ledger.retention.clearing import DELETED
from toolkit.ledger.retention.pruning import Rule, moment, planned, prune

OLD = Rule(before=START + timedelta(days=5))
NUMBERS = (
    "select run_id, attempts, errors, round(cost_usd, 9), answered, parked, rows_ended from run_summary order by 1",
    "select step, model, calls, errors, round(cost_usd, 9), input_tokens from model_costs order by all",
    "select run_id, row_id, step, status, model, attempts from answers order by all",
    "select id, choice, probability, reason from decisions order by id",
    "select id, grader, value, label from grades order by id",
)
KILLED = """
import os
from pathlib import Path
from tests.ledger.test_pruning import OLD
from toolkit.ledger.retention.pruning import prune
prune(Path(sys.argv[1]), OLD, reached=lambda point: os._exit(9) if point == sys.argv[2] else None)
"""


def two_runs(*, old: str = "Quokka", new: str = "Wombat") -> list[object]:
    return [
        *ended("old-1", days=1),
        *person("old-1", 0, ADA, word=old),
        *talk("talk-1", f"{old} says", attempt_id="attempt-old-1-row-00000-triage", run="old-1"),
        *ended("new-1", days=30),
        *person("new-1", 0, BEN, word=new),
        *talk("talk-2", f"{new} says", attempt_id="attempt-new-1-row-00000-triage", run="new-1"),
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An old run and a new one, with one output in common; the new one is not merged yet."""
    entries = two_runs()
    written(tmp_path, entries[: len(entries) // 2])  # type: ignore[arg-type]
    written(tmp_path, entries[len(entries) // 2 :], merged=False)  # type: ignore[arg-type]
    return tmp_path


def numbers(home: Path) -> list[object]:
    return [History(home).sql(query).rows for query in NUMBERS]


# ------------------------------------------------------------------------------------------------------------- content
@pytest.mark.slow
def test_content_of_old_runs_goes_and_all_numbers_stay(home: Path) -> None:
    before = numbers(home)
    removal = prune(home, OLD)
    assert (removal.kind, removal.runs, removal.rows, removal.attempts, removal.contents) == ("contents", 1, 1, 3, 3)
    assert removal.bytes > 100
    assert texts_with(home, "Quokka") == ["history grades: Quokka"]  # the label is a result
    assert numbers(home) == before
    found = History(home).sql("select run_id, fields, (select count(*) from contents) from rows order by run_id").rows
    assert found[1] == ("old-1", None, 4)


@pytest.mark.slow
def test_what_a_kept_run_refers_to_stays(home: Path) -> None:
    prune(home, OLD)
    outputs = "select run_id, output from attempts_text where step = 'support/triage' and error_type is null order by 1"
    (new, kept), (old, shared) = History(home).sql(outputs).rows
    assert (new, old) == ("new-1", "old-1")
    assert kept == shared is not None
    assert {"history rows: Wombat", "journal rows: Wombat", "journal messages: Wombat"} <= set(
        texts_with(home, "Wombat")
    )


@pytest.mark.slow
def test_a_content_goes_when_the_last_run_that_refers_to_it_is_pruned(home: Path) -> None:
    prune(home, OLD)
    prune(home, Rule(before=START + timedelta(days=60)))
    assert History(home).sql("select count(*) from contents").rows == ((0,),)


@pytest.mark.slow
def test_answers_of_pruned_runs_are_not_reused(tmp_path: Path) -> None:
    written(tmp_path, [*run_and_rows(2, run="old"), *ended("old", days=1)])
    with Journal.open(tmp_path, merges=False) as journal:
        assert journal.find_answer(answer(1).key) is not None
        prune(tmp_path, OLD)
        assert journal.find_answer(answer(1).key) is None
        assert journal.known_keys(answer(1).place.step) == set()
        assert (journal.row_statuses("old"), journal.step_values("old", answer(1).place.step)) == ({}, [])
        assert [run.id for run in journal.runs()] == ["old"]


@pytest.mark.slow
def test_a_conversation_keeps_its_shape(home: Path) -> None:
    prune(home, OLD)
    with Journal.open(home, merges=False) as journal:
        assert [said.message.text for said in journal.messages("talk-1")] == [DELETED]
        assert [said.message.text for said in journal.messages("talk-2")] == ["Wombat says"]


@pytest.mark.slow
def test_pruning_again_finds_nothing_and_leaves_no_second_line(home: Path) -> None:
    prune(home, OLD)
    again = prune(home, OLD)
    assert again.is_empty
    lines = History(home).sql("select kind, rule, runs, rows, attempts, contents from retention").rows
    assert lines == (("contents", "content of runs ended before 2026-03-06 09:00 UTC", 1, 1, 3, 3),)


def test_a_dry_run_tells_the_same_and_changes_nothing(home: Path) -> None:
    files = {path.name: path.read_bytes() for path in home.iterdir() if path.suffix in (".duckdb", ".db")}
    told = planned(History(home), OLD)
    assert {path.name: path.read_bytes() for path in home.iterdir() if path.name in files} == files
    done = prune(home, OLD)
    assert not told.is_done and done.is_done
    for name in ("kind", "rule", "runs", "rows", "attempts", "contents", "bytes", "spared"):
        assert getattr(told, name) == getattr(done, name), name


def test_deleted_words_are_in_no_free_page_of_a_journal_that_was_rebuilt(home: Path) -> None:
    prune(home, OLD)
    assert files_with(home, "Quokka writes", "Answer Quokka") == []


# --------------------------------------------------------------------------------------------------------- which runs
@pytest.mark.parametrize(
    ("rule", "pruned"),
    [
        (Rule(before=START + timedelta(days=2)), ["a", "b"]),
        (Rule(keep_runs=1), ["a", "b", "c"]),
        (Rule(keep_runs=3), ["a"]),
        (Rule(before=START + timedelta(days=2), keep_runs=3), ["a"]),
        (Rule(keep_runs=1, workflow="support"), ["a", "b", "c"]),
        (Rule(keep_runs=0, workflow="other"), []),
        (Rule(before=START - timedelta(days=1)), []),
    ],
)
def test_age_number_and_workflow_choose_the_runs(tmp_path: Path, rule: Rule, pruned: list[str]) -> None:
    entries = []
    for number, run in enumerate("abcd"):
        entries += [run_entry(run_record(run, "finished", finished_at=START + timedelta(days=number)))]
        entries += [row_entry(row_record(0, run=run))]
    written(tmp_path, entries)
    prune(tmp_path, rule)
    found = History(tmp_path).sql("select run_id from rows where fields is null order by run_id")
    assert found.column("run_id") == pruned


@pytest.mark.slow
def test_runs_under_way_and_rows_that_wait_are_spared_unless_forced(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    written(
        tmp_path,
        [
            run_entry(run_record("live")),
            row_entry(row_record(0, run="live", finished_at=now - timedelta(hours=1))),
            *ended("waits", days=1),
            row_entry(row_record(0, "parked", run="waits")),
            *asking("waits", 0, "Quokka?"),
            run_entry(run_record("dead")),
            row_entry(row_record(0, run="dead")),
        ],
    )
    rule = Rule(before=now + timedelta(seconds=1))
    removal = prune(tmp_path, rule)
    assert (removal.runs, removal.spared) == (1, ("live", "waits"))
    with Journal.open(tmp_path, merges=False) as journal:
        assert [review.question for review in journal.parked()] == ["Quokka?"]
    forced = prune(tmp_path, Rule(before=rule.before, force=True))
    assert (forced.runs, forced.spared) == (2, ())
    assert texts_with(tmp_path, "Quokka") == []
    with Journal.open(tmp_path, merges=False) as journal:
        assert journal.parked() == []
    assert History(tmp_path).sql("select count(*) from waiting").rows == ((0,),)


@pytest.mark.parametrize(
    ("age", "then"),
    [
        ("90d", datetime(2026, 1, 1, tzinfo=UTC)),
        ("12h", datetime(2026, 3, 31, 12, tzinfo=UTC)),
        ("2w", datetime(2026, 3, 18, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_ages_are_spans_or_dates(age: str, then: datetime) -> None:
    assert moment(age, now=datetime(2026, 4, 1, tzinfo=UTC)) == then


@pytest.mark.parametrize("age", ["90", "d", "soon", "-3d", "90m", "2027-01-01"])
def test_other_ages_are_refused(age: str) -> None:
    with pytest.raises(LedgerError):
        moment(age, now=datetime(2026, 4, 1, tzinfo=UTC))


def test_a_rule_that_means_every_run_has_to_say_so(home: Path) -> None:
    with pytest.raises(LedgerError, match="say which runs"):
        prune(home, Rule())


# ---------------------------------------------------------------------------------------------------------- whole runs
@pytest.mark.slow
def test_whole_runs_leave_their_line_and_their_sums(home: Path) -> None:
    query = """select model, day, sum(calls), sum(errors), round(sum(cost_usd), 9), sum(input_tokens) from (
        select model, started_at::DATE as day, 1 as calls, (error_type is not null)::INTEGER as errors, cost_usd,
            input_tokens from attempts
        union all by name select model, day, calls, errors, cost_usd, input_tokens from pruned
    ) group by all order by all"""
    before = History(home).sql(query).rows
    removal = prune(home, Rule(before=OLD.before, whole=True))
    assert (removal.kind, removal.runs, removal.rows, removal.attempts) == ("runs", 1, 1, 3)
    assert History(home).sql(query).rows == before
    assert History(home).sql("select id from runs order by id").column("id") == ["new-1", "old-1"]
    for table in ("rows", "decisions", "attempts", "answers", "grades", "events", "messages"):
        assert History(home).sql(f"select distinct run_id from {table}").column("run_id") == ["new-1"], table
    assert History(home).sql("select id from sessions").column("id") == ["talk-2"]
    assert texts_with(home, "Quokka") == []


@pytest.mark.slow
def test_whole_runs_are_added_up_once_also_when_their_content_went_before(home: Path) -> None:
    prune(home, OLD)
    prune(home, Rule(before=OLD.before, whole=True))
    assert prune(home, Rule(before=OLD.before, whole=True)).is_empty
    assert History(home).sql("select sum(calls)::INTEGER, sum(errors)::INTEGER from pruned").rows == ((3, 1),)


# ------------------------------------------------------------------------------------------------------ others at work
@pytest.mark.slow
@pytest.mark.parametrize("where", ["in another process", "in this process"])
def test_while_somebody_holds_the_history_nothing_is_changed(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr("toolkit.ledger.retention.rewriting.PATIENCE_SECONDS", 0.1)
    texts = texts_with(home, "Quokka", "Wombat")
    path = home / "history.duckdb"
    if where == "in another process":
        process = other_process(HOLD, path, True, wait=False)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match=f"process {process.pid} keeps .* nothing was changed"):
            prune(home, OLD)
        process.communicate("\n")
    else:
        with duckdb.connect(str(path), read_only=True) as held:
            with pytest.raises(LedgerError, match=f"process {os.getpid()} keeps"):
                prune(home, OLD)
            assert held.execute("select count(*) from rows").fetchall() == [(1,)]
    assert texts_with(home, "Quokka", "Wombat") == texts
    assert prune(home, OLD).runs == 1


def test_while_somebody_merges_nothing_is_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.ledger.merging.role import role

    monkeypatch.setattr("toolkit.ledger.retention.rewriting.PATIENCE_SECONDS", 0.1)
    with role(home, patience=1.0) as mine:
        assert mine
        with pytest.raises(LedgerError, match="has been merging"):
            prune(home, OLD)


def test_tables_of_somebody_else_are_never_lost(home: Path) -> None:
    with duckdb.connect(str(home / "history.duckdb")) as connection:
        connection.execute("create table precious as select 1 as a")
    with pytest.raises(LedgerError, match=r"none of the toolkit's \(precious\)"):
        prune(home, OLD)


@pytest.mark.slow
def test_what_others_write_meanwhile_is_all_there(home: Path) -> None:
    with Journal.open(home) as journal:  # which merges every second, too
        stop, count = threading.Event(), 0
        journal.write(run_entry(replace(run_record("busy"), started_at=datetime.now(UTC))))

        def write() -> None:
            nonlocal count
            while not stop.is_set():
                journal.write(*entries_of_row(count, run="busy"))
                journal.flush()
                count += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert prune(home, OLD).runs == 1
        finally:
            stop.set()
            writer.join()
        assert count > 0
    for table in ("rows", "attempts", "answers", "decisions"):
        assert History(home).sql(f"select count(*), count(distinct row_id) from {table}", run_id="busy").rows == (
            (count, count),
        ), table
    assert History(home).sql("select count(*) from attempts_text where request is null", run_id="busy").rows == ((0,),)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["drafted", "journal_cleared", "swapped", "compacted"])
def test_killed_anywhere_the_home_opens_and_pruning_again_finishes(home: Path, point: str) -> None:
    before = numbers(home)
    assert other_process(KILLED, home, point).returncode == 9
    assert numbers(home) == before
    prune(home, OLD)
    assert numbers(home) == before
    assert texts_with(home, "Quokka") == ["history grades: Quokka"]
    assert History(home).sql("select count(*) from retention").rows == ((1,),)
    written(home, [row_entry(row_record(7, run="new-1"))])
    assert list(home.glob("staging-*")) == []


def test_the_journal_of_a_history_that_is_gone_is_left_as_it_is(home: Path) -> None:
    written(home, [])
    (home / "history.duckdb").unlink()
    assert prune(home, OLD).is_empty
    with closing(sqlite3.connect(home / "journal.db")) as journal:
        assert journal.execute("select count(*) from rows").fetchone() == (2,)


def test_where_nothing_has_run_there_is_nothing_to_prune(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="nothing to take off"):
        prune(tmp_path / "none", OLD)
    assert not (tmp_path / "none").exists()
