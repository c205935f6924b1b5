"""Actions of the writer: they look and write in one transaction, over all processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.ledger.ledger_samples import run_record
from toolkit.errors import LedgerError
from toolkit.ledger import Entry, Journal, run_entry
from toolkit.ledger.writing import journal as journal_module
from toolkit.ledger.writing.transaction import Transaction

COUNT = "select coalesce(max(changed_at), 0) from gates where name = 'counter'"
SET = """insert into gates (name, body, changed_at) values ('counter', '', :value)
    on conflict (name) do update set changed_at = excluded.changed_at"""


def begun(run: str) -> Entry:
    return run_entry(run_record(run))


def counted(transaction: Transaction) -> int:
    value = int(transaction.rows(COUNT)[0][0]) + 1
    transaction.run(SET, value=value)
    return value


def fails_after_counting(transaction: Transaction) -> None:
    counted(transaction)
    raise ValueError("no")


def test_an_action_sees_all_that_was_written_before_it(tmp_path: Path) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        for number in range(5_000):
            journal.write(begun(f"run-{number}"))
        found = journal.decided(lambda transaction: transaction.rows("select count(*) from runs")[0][0])
        assert found == 5_000


@pytest.mark.slow
def test_actions_of_several_processes_never_see_the_same(tmp_path: Path) -> None:
    Journal.open(tmp_path, merges=False).close()
    code = (
        "import sys; from pathlib import Path; from toolkit.ledger import Journal\n"
        "from tests.ledger.test_transactions import counted\n"
        "with Journal.open(Path(sys.argv[1]), merges=False) as journal:\n"
        "    print(*[journal.decided(counted) for _ in range(50)])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    seen = [int(word) for other in others for word in other.communicate(timeout=60)[0].split()]
    assert sorted(seen) == list(range(1, 151))


def test_what_a_failing_action_wrote_is_taken_back_and_the_others_stand(tmp_path: Path) -> None:
    def fails(transaction: Transaction) -> None:
        transaction.run(SET, value=100)
        transaction.write(begun("never"))
        raise ValueError("no")

    async def both(journal: Journal) -> tuple[object, object, object]:
        return await asyncio.gather(
            journal.decide(counted), journal.decide(fails), journal.decide(counted), return_exceptions=True
        )

    with Journal.open(tmp_path, merges=False) as journal:
        first, failed, second = asyncio.run(both(journal))
        assert (first, second) == (1, 2)
        assert isinstance(failed, ValueError)
        assert journal.run("never") is None


def test_entries_that_an_action_writes_are_durable_with_it(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.decided(lambda transaction: transaction.write(begun("run-1")))
        assert journal.run("run-1") is not None
        assert journal.merge() == 1


def test_a_repeated_action_runs_again_and_again_without_anything_to_commit(tmp_path: Path) -> None:
    often = threading.Semaphore(0)
    with Journal.open(tmp_path, merges=False) as journal:
        journal.repeat(lambda _transaction: often.release(), seconds=0.01)
        assert all(often.acquire(timeout=10) for _ in range(3))


def test_what_a_repeated_action_raises_ends_all_writing(tmp_path: Path) -> None:
    def replaced(_transaction: Transaction) -> None:
        raise LedgerError("another process has taken over")

    journal = Journal.open(tmp_path, merges=False)
    journal.repeat(replaced, seconds=60)
    with pytest.raises(LedgerError, match="taken over"):
        journal.decided(lambda transaction: transaction.write(begun("run-1")))
    journal.close()
    with Journal.open(tmp_path, merges=False) as again:
        assert again.run("run-1") is None


def test_an_action_after_the_end_is_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, merges=False)
    journal.close()
    with pytest.raises(LedgerError, match="closed"):
        journal.decided(counted)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_journal_deleted_under_its_writer_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "LOOKED_AFTER_SECONDS", 0.01)

    def write_on() -> None:
        for number in range(1_000):
            journal.write(begun(f"run-{number}"))
            journal.flush()

    journal = Journal.open(tmp_path, merges=False)
    (tmp_path / "journal.db").unlink()
    with pytest.raises(LedgerError, match=r"while this process wrote to it|disk I/O error"):
        write_on()
    with pytest.raises(LedgerError):
        journal.close()
