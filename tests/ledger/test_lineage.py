"""A journal that was copied, or put back from a backup, never numbers its entries as another one did."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.ledger_samples import other_process, run_and_rows
from toolkit.ledger import History, Journal, facts
from toolkit.ledger.history import file as history_file
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.merging.lineage import Lineage

ATTEMPTS = "select run_id, count(*), count(distinct id) from attempts group by all order by all"


def attempts(home: Path) -> dict[str, int]:
    """Run → its attempts, each of them there once."""
    found = History(home).sql(ATTEMPTS).rows
    assert all(total == distinct for _, total, distinct in found)
    return {run: total for run, total, _ in found}


def write(home: Path, run: str, rows: int, *, merges: bool = True) -> None:
    with Journal.open(home, merges=merges) as journal:
        journal.write(*run_and_rows(rows, run=run))


def backed_up(home: Path, name: str) -> Path:
    """A copy of the journal, taken while nothing writes."""
    return Path(shutil.copy(home / "journal.db", home / name))


def put_back(home: Path, backup: Path, *, in_place: bool) -> None:
    """The journal replaced by another file, or its own file overwritten."""
    for file in home.glob("journal.db-*"):
        file.unlink()
    if in_place:
        shutil.copyfile(backup, home / "journal.db")
    else:
        backup.replace(home / "journal.db")


def journal_id(home: Path) -> str:
    connection = sqlite3.connect(home / "journal.db")
    lineage = Lineage.of(connection)
    connection.close()
    return lineage.id


@pytest.mark.parametrize("in_place", [True, False], ids=["overwritten", "replaced"])
@pytest.mark.parametrize("rows", [3, 40], ids=["fewer than were lost", "more than were lost"])
def test_a_journal_put_back_beside_a_newer_history_loses_nothing_new(tmp_path: Path, rows: int, in_place: bool) -> None:
    write(tmp_path, "before", 10)
    write(tmp_path, "unmerged", 10, merges=False)
    backup = backed_up(tmp_path, "backup")
    write(tmp_path, "lost", 20)
    put_back(tmp_path, backup, in_place=in_place)
    write(tmp_path, "after", rows, merges=False)
    assert attempts(tmp_path) == {"before": 10, "unmerged": 10, "lost": 20, "after": rows}
    Journal.open(tmp_path).close()
    assert attempts(tmp_path) == {"before": 10, "unmerged": 10, "lost": 20, "after": rows}
    assert facts(tmp_path).pending_entries == 0


def test_a_journal_that_was_put_back_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "before", 2)
    backup, before = backed_up(tmp_path, "backup"), journal_id(tmp_path)
    write(tmp_path, "lost", 2)
    put_back(tmp_path, backup, in_place=True)
    Journal.open(tmp_path).close()
    assert "it was put back" in caplog.text and before in caplog.text
    assert journal_id(tmp_path) != before


@pytest.mark.parametrize("who", ["reads", "writes"])
def test_a_journal_put_back_while_the_history_is_held_loses_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setattr(history_file, "PATIENCE_SECONDS", 0.1)
    write(tmp_path, "before", 10)
    backup = backed_up(tmp_path, "backup")
    write(tmp_path, "lost", 20)
    put_back(tmp_path, backup, in_place=True)
    code = (
        "import duckdb; held = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'reads')\n"
        "print('held', flush=True); sys.stdin.readline()"
    )
    process = other_process(code, tmp_path / "history.duckdb", who, wait=False)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    write(tmp_path, "after", 40)
    process.communicate("\n")
    assert attempts(tmp_path) == {"before": 10, "lost": 20, "after": 40}
    Journal.open(tmp_path).close()
    assert attempts(tmp_path) == {"before": 10, "lost": 20, "after": 40}


def test_a_journal_put_back_beside_segments_of_its_future_loses_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 20)
    write(tmp_path, "before", 10)
    backup = backed_up(tmp_path, "backup")
    with duckdb.connect(str(tmp_path / "history.duckdb"), read_only=True):
        write(tmp_path, "aside", 20)
        assert facts(tmp_path).segments == 1
        put_back(tmp_path, backup, in_place=True)
        write(tmp_path, "after", 30)
        assert attempts(tmp_path) == {"before": 10, "aside": 20, "after": 30}
    Journal.open(tmp_path).close()
    assert attempts(tmp_path) == {"before": 10, "aside": 20, "after": 30}


def test_a_home_that_two_parties_copied_can_become_one_again(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, "common", 10)
    write(ours, "unmerged", 10, merges=False)
    shutil.copytree(ours, theirs)
    write(ours, "ours", 20)
    write(theirs, "theirs", 5, merges=False)
    assert journal_id(ours) != journal_id(theirs)
    assert attempts(theirs) == {"common": 10, "unmerged": 10, "theirs": 5}
    put_back(ours, theirs / "journal.db", in_place=False)
    write(ours, "last", 3)
    assert attempts(ours) == {"common": 10, "unmerged": 10, "ours": 20, "theirs": 5, "last": 3}


def test_each_of_two_copies_goes_on_by_itself(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, "common", 10, merges=False)
    shutil.copytree(ours, theirs)
    for home, rows in ((ours, 5), (theirs, 7), (ours, 9)):
        write(home, f"{home.name}-{rows}", rows)
    assert attempts(ours) == {"common": 10, "ours-5": 5, "ours-9": 9}
    assert attempts(theirs) == {"common": 10, "theirs-7": 7}


def test_a_home_that_is_only_moved_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a", "before", 10)
    write(tmp_path / "a", "unmerged", 5, merges=False)
    (tmp_path / "a").rename(tmp_path / "b")
    write(tmp_path / "b", "after", 5)
    assert attempts(tmp_path / "b") == {"before": 10, "unmerged": 5, "after": 5}
    assert caplog.text == ""


def test_an_open_journal_notices_that_another_process_gave_it_a_new_id(tmp_path: Path) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*run_and_rows(10, run="before"))
        journal.flush()
        journal.merge()
        connection = sqlite3.connect(tmp_path / "journal.db")
        connection.execute("update meta set value = 'elsewhere' where name = 'place'")
        connection.commit()
        connection.close()
        write(tmp_path, "other", 5)
        journal.write(*run_and_rows(10, run="after"))
        journal.flush()
        journal.merge()
    assert attempts(tmp_path) == {"before": 10, "other": 5, "after": 10}


def test_a_journal_beside_a_new_history_says_what_is_not_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "before", 10)
    (tmp_path / "history.duckdb").rename(tmp_path / "aside")
    write(tmp_path, "after", 5)
    assert attempts(tmp_path) == {"after": 5}
    assert "lacks the entries 1 to 51 of journal" in caplog.text


@given(st.lists(st.tuples(st.sampled_from("wmcb"), st.integers(1, 5)), max_size=30))
def test_whatever_is_written_merged_copied_and_put_back_each_entry_is_merged_once(steps: list[tuple[str, int]]) -> None:
    """Written, merged, copied to another place, put back: over what a history of each place would then have."""
    next_id = iter(range(10_000))
    made = iter(range(10_000))
    log: list[tuple[int, int]] = []  # (number, what)
    given_, lineage = 0, Lineage(str(next(next_id)))
    history: list[int] = []
    known: dict[str, int] = {}
    written: set[int] = set()
    backup = (list(log), given_, lineage, set(written))
    for step, count in [*steps, ("m", 1)]:
        if step == "w":
            for _ in range(count):
                given_ += 1
                log.append((given_, next(made)))
                written.add(log[-1][1])
        elif step == "m":
            since = lineage.reached(known)
            history += [what for number, what in log if number > since]
            if last := max((number for number, _ in log), default=0):
                known |= lineage.marks(last, known)
            if count > 1:  # or killed before the log was pruned
                log = []
        elif step == "b":
            backup = (list(log), given_, lineage, set(written))
        else:
            log, given_, lineage = list(backup[0]), backup[1], backup[2]
            written = set(history) | backup[3]
            lineage = lineage.renewed(str(next(next_id)), given=given_, oldest=log[0][0] if log else None)
    assert sorted(history) == sorted(set(history))
    assert written <= set(history)
