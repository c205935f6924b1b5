"""The journal in PostgreSQL keeps what the journal in SQLite keeps.

Runs where `TOOLKIT_TEST_POSTGRESQL` is the URL of a database whose tables may be dropped.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.ledger.ledger_samples import STEP, answer, attempt, place, row_record, run_and_rows, run_record
from tests.ledger.test_transactions import counted, fails_after_counting
from toolkit.ledger import History, Journal, Review, answer_entry, attempt_entries, review_entry, row_entry, run_entry
from toolkit.messages import Text
from toolkit.records import Reply

URL = os.environ.get("TOOLKIT_TEST_POSTGRESQL", "")
pytestmark = pytest.mark.skipif(not URL, reason="TOOLKIT_TEST_POSTGRESQL names no database")

COUNTS = """select (select count(*) from runs), (select count(*) from rows), (select count(*) from attempts),
    (select count(*) from answers), (select count(*) from contents), (select count(distinct row_id) from answers)"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    from toolkit.ledger.writing.tables import metadata, open_engine

    engine, _ = open_engine(tmp_path, url=URL)
    metadata.drop_all(engine)
    return URL


def test_answers_rows_runs_and_reviews_are_found_again(tmp_path: Path, url: str) -> None:
    review = Review("key-1", place(1), "Refund it?", run_record().started_at)
    with Journal.open(tmp_path, url=url, merges=False) as journal:
        journal.write(*run_and_rows(3), run_entry(run_record(status="finished")), review_entry(review))
        journal.write(row_entry(row_record(1, "parked")), row_entry(row_record(1, "failed")))
        journal.flush()
        assert journal.known_keys(STEP) == {answer(row).key for row in range(3)}
        found = journal.find_answer(answer(1).key, run_id="run-1")
        assert found is not None and found.value == answer(1).value
        assert [value["n"] for _, value in journal.step_values("run-1", STEP)] == [0, 1, 2]
        assert journal.row_statuses("run-1")["row-00001"] == "failed"
        assert (journal.runs(), journal.parked()) == ([run_record(status="finished")], [review])


def test_a_reader_sees_each_row_once_before_and_after_a_merge(tmp_path: Path, url: str) -> None:
    with Journal.open(tmp_path, url=url, merges=False) as journal:
        journal.write(*run_and_rows(50))
        journal.flush()
        history = History(tmp_path, url=url)
        assert history.sql(COUNTS).rows == ((1, 50, 50, 50, 51, 50),)
        assert journal.merge() == 1 + 50 * 5
        assert history.sql(COUNTS).rows == ((1, 50, 50, 50, 51, 50),)


@pytest.mark.slow
def test_journals_that_write_at_once_lose_nothing_to_the_merge(tmp_path: Path, url: str) -> None:
    def write(run: str) -> None:
        with Journal.open(tmp_path, url=url, merges=run == "run-0") as journal:
            for row in range(100):
                journal.write(*run_and_rows(row + 1, first=row, run=run))
                journal.flush()

    threads = [threading.Thread(target=write, args=(f"run-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Journal.open(tmp_path, url=url).close()
    found = History(tmp_path, url=url).sql(
        "select run_id, count(*), count(distinct row_id) from answers group by 1 order by 1"
    )
    assert found.rows == tuple((f"run-{number}", 100, 100) for number in range(3))


def test_the_character_0_is_replaced_and_nothing_else(tmp_path: Path, url: str) -> None:
    text = "a\x00\x00b \\u0000 \\\x00 % :x"
    with Journal.open(tmp_path, url=url) as journal:
        journal.write(*attempt_entries(place(), None, attempt(reply=Reply((Text(text),))), None))
        journal.write(answer_entry(answer(1, value={"said": text})))
    found = History(tmp_path, url=url).sql("select (select output from attempts_text), value->>'said' from answers")
    expected = text.replace("\x00", "\ufffd")
    assert found.rows == ((expected, expected),)


def test_a_database_put_back_beside_a_newer_history_loses_nothing_new(tmp_path: Path, url: str) -> None:
    from toolkit.ledger.writing.tables import open_engine

    for run in ("before", "after"):
        with Journal.open(tmp_path, url=url) as journal:
            journal.write(*run_and_rows(10, run=run))
        if run == "before":
            engine, _ = open_engine(tmp_path, url=url)
            with engine.connect() as connection:
                connection.exec_driver_sql("select setval('log_seq_seq', 3)")
    found = History(tmp_path, url=url).sql("select run_id, count(*) from attempts group by all order by all")
    assert found.rows == (("after", 10), ("before", 10))


def test_actions_of_several_journals_never_see_the_same(tmp_path: Path, url: str) -> None:
    seen: list[int] = []

    def count() -> None:
        with Journal.open(tmp_path, url=url, merges=False) as journal:
            seen.extend(journal.decided(counted) for _ in range(30))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 91))


def test_what_a_failing_action_wrote_is_taken_back(tmp_path: Path, url: str) -> None:
    with Journal.open(tmp_path, url=url, merges=False) as journal:
        with pytest.raises(ValueError, match="no"):
            journal.decided(fails_after_counting)
        assert journal.decided(counted) == 1
