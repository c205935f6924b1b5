"""Writing: in order, durable when it says so, by any number of processes at once."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tests.ledger.ledger_samples import answer, other_process, row_record, run_and_rows
from toolkit.errors import LedgerError
from toolkit.ledger import History, Journal, answer_entry, row_entry
from toolkit.records import RowStatus

WRITES = """
from tests.ledger.ledger_samples import run_and_rows
from toolkit.ledger import Journal
with Journal.open(sys.argv[1]) as journal:
    for start in range(0, 400, 20):
        journal.write(*run_and_rows(start + 20, first=start, run=sys.argv[2]))
        journal.flush()
"""

ACKNOWLEDGES = """
import time
from tests.ledger.ledger_samples import answer
from toolkit.ledger import Journal, answer_entry
journal = Journal.open(sys.argv[1])
for row in range(1_000_000):
    journal.write(answer_entry(answer(row)))
    journal.flush()
    print(row, flush=True)
"""


def test_a_ticket_is_durable_when_committed_returns(tmp_path: Path) -> None:
    async def scenario() -> list[bool]:
        seen = []
        for row in range(3):
            ticket = journal.write(answer_entry(answer(row, key=f"k{row}")))
            await journal.committed(ticket)
            seen.append(journal.find_answer(f"k{row}") is not None)
        await journal.committed()
        return seen

    with Journal.open(tmp_path, merges=False) as journal:
        assert asyncio.run(scenario()) == [True, True, True]


def test_what_is_written_with_more_is_committed_with_it_or_at_the_loops_next_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal.write_with_more(answer_entry(answer(0, key="first")))
        time.sleep(0.2)  # noqa: ASYNC251 (the loop takes no turn, and the writer has all the time it wants)
        assert journal.find_answer("first") is None
        await journal.committed(journal.write(answer_entry(answer(1, key="second"))))
        assert journal.find_answer("first") is not None
        await journal.committed(journal.write_with_more(answer_entry(answer(2, key="third"))))
        assert journal.find_answer("third") is not None

    with Journal.open(tmp_path, merges=False) as journal:
        asyncio.run(scenario())


def test_many_wait_at_once_in_several_event_loops(tmp_path: Path) -> None:
    async def row(number: int) -> None:
        await journal.committed(journal.write(answer_entry(answer(number))))

    async def rows(first: int) -> None:
        await asyncio.gather(*(row(first + number) for number in range(200)))

    with Journal.open(tmp_path, merges=False) as journal:
        threads = [threading.Thread(target=asyncio.run, args=(rows(1000 * loop),)) for loop in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(journal.known_keys("support/triage")) == 800


def test_room_waits_while_too_much_is_uncommitted(tmp_path: Path) -> None:
    async def scenario() -> int:
        most = 0
        for row in range(3000):
            journal.write(answer_entry(answer(row)))
            await journal.room()
            most = max(most, journal._writer.written - journal._writer.durable)
        return most

    with Journal.open(tmp_path, max_pending=50, merges=False) as journal:
        assert asyncio.run(scenario()) <= 50


def test_entries_are_committed_in_the_order_they_were_written(tmp_path: Path) -> None:
    statuses: list[RowStatus] = ["parked", "failed", "answered"]
    with Journal.open(tmp_path, merges=False) as journal:
        for row in range(50):
            journal.write(*(row_entry(row_record(row, status)) for status in statuses))
        journal.flush()
        connection = sqlite3.connect(tmp_path / "journal.db")
        found = connection.execute("select body ->> 'status' from log order by seq").fetchall()
        connection.close()
        assert [status for (status,) in found] == statuses * 50
        assert set(journal.row_statuses("run-1").values()) == {"answered"}


@pytest.mark.slow
def test_two_processes_write_and_merge_at_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    processes = [other_process(WRITES, tmp_path, f"run-{number}", wait=False) for number in range(2)]
    while any(process.poll() is None for process in processes):
        if (tmp_path / "journal.db").exists() and (tmp_path / "history.duckdb").exists():
            found = History(tmp_path).sql("select count(*), count(distinct (run_id, row_id)) from answers")
            assert found.rows[0][0] == found.rows[0][1]
    assert [process.wait() for process in processes] == [0, 0]
    found = History(tmp_path).sql(
        """select run_id, count(*), count(distinct row_id), (select count(*) from attempts b where b.run_id = a.run_id),
        (select count(*) from contents) from answers a group by run_id order by run_id"""
    )
    assert found.rows == (("run-0", 400, 400, 400, 401), ("run-1", 400, 400, 400, 401))


@pytest.mark.slow
def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    process = other_process(ACKNOWLEDGES, tmp_path, wait=False)
    assert process.stdout is not None
    acknowledged = -1
    started = time.monotonic()
    for line in process.stdout:
        acknowledged = int(line)
        if time.monotonic() - started > 2.0 and acknowledged > 10:  # the background merge has begun by then
            process.send_signal(signal.SIGKILL)
    process.wait()
    with Journal.open(tmp_path) as journal:
        found = len(journal.known_keys("support/triage"))
        assert acknowledged > 10
        assert found in (acknowledged + 1, acknowledged + 2)
        query = "select count(*), count(distinct row_id) from answers"
        assert History(tmp_path).sql(query).rows == ((found, found),)
    assert History(tmp_path).sql(query).rows == ((found, found),)


@pytest.mark.slow
def test_a_reader_beside_a_writer_sees_more_and_more_and_never_a_row_twice(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        stop = threading.Event()

        def write() -> None:
            for row in range(100_000):
                if stop.is_set():
                    return
                journal.write(answer_entry(answer(row)))
                if row % 20 == 0:
                    journal.flush()

        writer = threading.Thread(target=write)
        writer.start()
        before, started, seen = 0, time.monotonic(), 0
        while time.monotonic() - started < 3.0 or seen < 5:
            total, distinct = History(tmp_path).sql("select count(*), count(distinct row_id) from answers").rows[0]
            assert total == distinct >= before
            before, seen = total, seen + 1
        stop.set()
        writer.join()
        assert before > 0


def test_a_journal_that_cannot_be_written_says_so_to_whoever_waits_and_to_whoever_writes(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, merges=False)
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("drop table log")
    connection.close()
    journal.write(answer_entry(answer(1)))
    with pytest.raises(LedgerError, match="could not be written: no such table"):
        asyncio.run(journal.committed())
    with pytest.raises(LedgerError, match="finished steps are not repeated"):
        journal.write(answer_entry(answer(2)))
    with pytest.raises(LedgerError):
        asyncio.run(journal.room())
    with pytest.raises(LedgerError):
        journal.close()
    journal.close()


def test_closing_twice_is_once_and_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.write(*run_and_rows(1))
    journal.close()
    journal.close()
    with pytest.raises(LedgerError, match="closed"):
        journal.write(answer_entry(answer(1)))
    with pytest.raises(LedgerError, match="closed"):
        journal.runs()


@pytest.mark.slow
def test_a_script_that_ends_without_closing_loses_nothing(tmp_path: Path) -> None:
    code = """
from tests.ledger.ledger_samples import run_and_rows
from toolkit.ledger import Journal
Journal.open(sys.argv[1]).write(*run_and_rows(30))
"""
    assert other_process(code, tmp_path).returncode == 0
    assert History(tmp_path).sql("select count(*) from answers").rows == ((30,),)


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="choose another home"):
        Journal.open(tmp_path / "file" / "home")
