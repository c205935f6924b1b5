"""Faults of the disk: each one clear error, nothing overwritten, and all goes on when it is mended."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from tests.ledger import faulty_disk
from tests.ledger.ledger_samples import run_and_rows
from toolkit.errors import LedgerError
from toolkit.ledger import Entry, History, Journal, content_entry, facts
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.merging import segments

ATTEMPTS = "select count(*), count(distinct id) from attempts"
CONTENTS = "select count(*) from attempts_text where request is null or output is null"


@pytest.fixture(params=faulty_disk.kinds())
def disk(request: pytest.FixtureRequest) -> Iterator[faulty_disk.Disk]:
    with faulty_disk.disk(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose history has 200 rows, and whose journal has 10 more."""
    home = tmp_path_factory.mktemp("whole")
    with Journal.open(home) as journal:
        journal.write(*run_and_rows(200))
    with Journal.open(home, merges=False) as journal:
        journal.write(*run_and_rows(210, first=200))
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


def attempts(home: Path) -> int:
    """How many there are; each once, and with its texts."""
    ((total, distinct),) = History(home).sql(ATTEMPTS).rows
    assert total == distinct
    assert History(home).sql(CONTENTS).rows == ((0,),)
    return int(total)


# --------------------------------------------------------------------------------------------------- the disk is full
def write(journal: Journal, rows: range) -> Iterator[int]:
    """Rows in steps of `rows`, each step acknowledged when it is given."""
    for row in rows:
        journal.write(*run_and_rows(row + rows.step, first=row))
        journal.flush()
        yield row + rows.step


def test_on_a_full_disk_the_batch_stops_and_what_was_acknowledged_stays(disk: faulty_disk.Disk) -> None:
    home = disk.folder / "home"
    journal = Journal.open(home, merges=False)
    acknowledged = list(write(journal, range(0, 20, 20)))
    disk.fill()
    with pytest.raises(LedgerError, match=r"could not be written: .*(disk|file).*finished steps are not repeated"):
        acknowledged.extend(write(journal, range(20, 20_000, 50)))
    with pytest.raises(LedgerError):
        journal.close()
    assert attempts(home) >= acknowledged[-1]
    disk.mend()
    with Journal.open(home) as journal:
        journal.write(*run_and_rows(20_000, first=19_990))
        journal.flush()
    assert attempts(home) >= acknowledged[-1] + 10
    assert facts(home).problems == ()


def large_contents() -> list[Entry]:
    """9 MB that cannot be compressed, so that the history is the largest file."""
    return [content_entry(os.urandom(30_000).hex().encode()) for _ in range(150)]


@pytest.mark.slow
def test_where_only_the_history_has_no_room_the_batch_goes_on(disk: faulty_disk.Disk, tmp_path: Path) -> None:
    home, url = disk.folder / "home", f"sqlite:///{tmp_path / 'journal.db'}"
    with Journal.open(home, url=url) as journal:
        journal.write(*run_and_rows(100), *large_contents())
    with Journal.open(home, url=url, merges=False) as journal:
        disk.fill()
        for row in (100, 300):
            journal.write(*run_and_rows(row + 200, first=row))
            journal.flush()
            with pytest.raises(LedgerError, match=r"the journal keeps what the history lacks; (make room|look after)"):
                journal.merge()
        disk.mend()
        journal.merge()
    assert attempts(home) == 500
    assert not (home / "history.duckdb.wal").exists()


def test_a_batch_that_ends_while_the_history_has_no_room_ends_well_and_says_so(
    disk: faulty_disk.Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, url = disk.folder / "home", f"sqlite:///{tmp_path / 'journal.db'}"
    with Journal.open(home, url=url) as journal:
        journal.write(*run_and_rows(100), *large_contents())
    with Journal.open(home, url=url) as journal:
        disk.fill()
        journal.write(*run_and_rows(300, first=100))
    assert "the journal keeps what the history lacks" in caplog.text
    disk.mend()
    Journal.open(home, url=url).close()
    assert attempts(home) == 300


# ------------------------------------------------------------------------------------------------ the disk is read-only
def test_a_record_that_may_not_be_written_can_be_read(disk: faulty_disk.Disk, whole: Path) -> None:
    home = Path(shutil.copytree(whole, disk.folder / "home"))
    disk.protect()
    with pytest.raises(LedgerError, match="writable for this user"):
        Journal.open(home)
    assert facts(home).history_version is not None
    found = History(home).sql(ATTEMPTS).rows
    assert facts(home).pending_entries == 50
    disk.mend()
    assert found == ((210, 210),)


def test_a_home_that_becomes_read_only_stops_the_batch_and_loses_nothing(disk: faulty_disk.Disk) -> None:
    with Journal.open(disk.folder, merges=False) as journal:
        journal.write(*run_and_rows(10))
    disk.protect()
    with pytest.raises(LedgerError, match="writable for this user"):
        Journal.open(disk.folder)
    with pytest.raises(LedgerError, match="home"):
        Journal.open(disk.folder / "new")
    disk.mend()
    Journal.open(disk.folder).close()
    assert attempts(disk.folder) == 10


# ------------------------------------------------------------------------------------------------- the history is bad
def truncated(share: float) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def garbage(share: float, length: int = 4096) -> Callable[[Path], object]:
    def put(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * share))
            file.write(b"\xa5" * length)

    return put


def sqlite_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("create table precious (a)")
    connection.close()


def duckdb_database(path: Path) -> None:
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table precious as select 1 as a")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(truncated(0.0), id="emptied"),
        pytest.param(lambda path: os.truncate(path, 100), id="cut in the header"),
        pytest.param(lambda path: os.truncate(path, 12_288), id="only the headers"),
        pytest.param(truncated(0.1), id="cut at a tenth"),
        pytest.param(garbage(0.0), id="garbage at the start"),
        pytest.param(lambda path: path.write_text("notes of somebody" * 1000), id="text"),
        pytest.param(sqlite_database, id="SQLite", marks=pytest.mark.slow),  # DuckDB asks the network for help
        pytest.param(duckdb_database, id="a foreign DuckDB file"),
        pytest.param(folder, id="a folder"),
    ],
)
def test_a_history_that_is_none_is_refused_before_anything_is_spent(home: Path, damage: Callable[[Path], None]) -> None:
    path = home / "history.duckdb"
    damage(path)
    before = content(path)
    for opened in (lambda: Journal.open(home), lambda: History(home).sql(ATTEMPTS)):
        with pytest.raises(LedgerError, match=r"move .* away"):
            opened()
    assert facts(home).problems
    assert content(path) == before
    path.rename(home / "aside")
    Journal.open(home).close()
    assert attempts(home) == 10


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("damage", [truncated, garbage], ids=["cut", "garbage"])
def test_damage_inside_the_history_costs_the_journal_nothing(
    home: Path, damage: Callable[[float], Callable[[Path], None]], share: float
) -> None:
    """DuckDB notices some damage only where it reads that block: then merging fails, or it stays unseen."""
    path = home / "history.duckdb"
    damage(share)(path)
    try:
        with Journal.open(home, merges=False) as journal:
            journal.write(*run_and_rows(215, first=210))
            journal.flush()
            journal.merge()
    except LedgerError:  # and no other error
        path.rename(home / "aside")
        (home / "history.duckdb.wal").unlink(missing_ok=True)
        Journal.open(home).close()
        assert attempts(home) in (10, 15)
    else:
        assert History(home).sql("select count(*) from attempts where row_id >= 'row-00200'").rows == ((15,),)


def test_a_batch_goes_on_while_the_history_is_bad_and_the_history_catches_up_when_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(merging, "EVERY_SECONDS", 0.05)
    path = tmp_path / "history.duckdb"
    with Journal.open(tmp_path) as journal:
        path.write_text("notes of somebody" * 1000)
        journal.write(*run_and_rows(10))
        journal.flush()
        wait_until(lambda: "merging is tried again while the batch goes on" in caplog.text)
        journal.write(*run_and_rows(20, first=10))
        journal.flush()
        path.unlink()
        wait_until(lambda: facts(tmp_path).pending_entries == 0)
    assert attempts(tmp_path) == 20
    assert caplog.text.count("is tried again") == 1
    assert "works again" in caplog.text


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -------------------------------------------------------------------------------------------------- the journal is bad
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: os.truncate(path, 100), id="cut in the header"),
        pytest.param(truncated(0.3), id="cut at a third"),
        pytest.param(garbage(0.0), id="garbage at the start"),
        pytest.param(lambda path: path.write_text("notes of somebody" * 1000), id="text"),
        pytest.param(sqlite_database, id="a foreign SQLite file"),
        pytest.param(duckdb_database, id="DuckDB"),
        pytest.param(folder, id="a folder"),
    ],
)
def test_a_journal_that_is_none_is_refused_and_left_as_it_is(home: Path, damage: Callable[[Path], None]) -> None:
    path = home / "journal.db"
    damage(path)
    before = content(path)
    with pytest.raises(LedgerError, match=r"journal.*(choose another home|move it away)"):
        Journal.open(home)
    assert content(path) == before
    assert any(str(path) in problem for problem in facts(home).problems)
    path.rename(home / "aside")
    with Journal.open(home) as journal:
        journal.write(*run_and_rows(301, first=300))
    assert attempts(home) == 201


def write_and_merge(home: Path) -> None:
    """All that a batch does to a journal, whatever of it meets the damage first."""
    journal = Journal.open(home, merges=False)
    journal.write(*run_and_rows(2_000, first=1_000))
    journal.flush()
    journal.merge()


def test_garbage_inside_the_journal_is_told_where_it_is_met(home: Path) -> None:
    garbage(0.05, length=200_000)(home / "journal.db")
    with pytest.raises(LedgerError, match="malformed"):
        write_and_merge(home)
    with pytest.raises(LedgerError, match="malformed"):
        History(home).sql("select * from attempts")


def test_an_emptied_journal_beside_its_write_ahead_log_is_refused(home: Path) -> None:
    """SQLite would delete that log, which may hold all that was acknowledged last."""
    os.truncate(home / "journal.db", 0)
    log = home / "journal.db-wal"
    log.write_bytes(b"\x37\x7f\x06\x82" + b"frames" * 1000)
    with pytest.raises(LedgerError, match=r"is empty, but journal\.db-wal beside it is not"):
        Journal.open(home)
    assert log.stat().st_size == 6004


def test_garbage_for_a_write_ahead_log_costs_what_was_in_it_and_nothing_else(home: Path) -> None:
    (home / "journal.db-wal").write_bytes(os.urandom(40_000))
    with Journal.open(home) as journal:
        journal.write(*run_and_rows(301, first=300))
    assert attempts(home) == 211


def test_a_lock_file_with_something_in_it_stops_no_batch(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "merge.lock").write_text("notes of somebody" * 100)
    with Journal.open(home) as journal:
        with pytest.raises(LedgerError, match="delete it"):
            journal.merge()
        journal.write(*run_and_rows(301, first=300))
    assert attempts(home) == 211
    (home / "merge.lock").unlink()
    Journal.open(home).close()
    assert (facts(home).pending_entries, attempts(home)) == (0, 211)


# ---------------------------------------------------------------------------------------------------------- segments
@pytest.fixture
def set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with three segments of ten rows each, and ten rows in the journal."""
    monkeypatch.setattr(merging, "SPILL_ENTRIES", 20)
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(10))
    with (
        Journal.open(tmp_path, merges=False) as journal,
        duckdb.connect(str(tmp_path / "history.duckdb"), read_only=True),
    ):
        for row in (10, 20, 30):
            journal.write(*run_and_rows(row + 10, first=row))
            journal.flush()
            journal.merge()
        journal.write(*run_and_rows(50, first=40))
    (journal_id,) = segments.journals(tmp_path)
    assert len(segments.listed(tmp_path, journal_id)) >= 3
    return tmp_path


def files_of_second(home: Path) -> tuple[segments.Segment, Path]:
    (journal_id,) = segments.journals(home)
    segment = segments.listed(home, journal_id)[1]
    return segment, segment.path / "attempts.parquet"


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(truncated(0.5), id="cut"),
        pytest.param(truncated(0.0), id="emptied"),
        pytest.param(lambda path: path.write_text("notes of somebody" * 100), id="text"),
        pytest.param(lambda path: path.write_bytes(b"\xa5" * path.stat().st_size), id="garbage of the same length"),
    ],
)
def test_a_damaged_segment_is_kept_aside_and_holds_nothing_up(
    set_aside: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    segment, file = files_of_second(set_aside)
    whole = file.read_bytes()
    damage(file)
    if file.exists() and file.stat().st_size == len(whole):  # which only reading it can tell
        with pytest.raises(LedgerError, match=r"attempts\.parquet.*a damaged segment is taken out of the way"):
            History(set_aside).sql(ATTEMPTS)
    else:
        found = History(set_aside).sql("select count(*) from attempts")
        assert found.rows[0][0] < 50 and "not shown is what 1 damaged segments hold" in found.note
    Journal.open(set_aside).close()
    lost = History(set_aside).sql("select 50 - count(*) from attempts").rows[0][0]
    assert lost > 0
    assert f"its entries {segment.first} to {segment.last}" in caplog.text
    assert facts(set_aside).damaged_segments == 1
    (kept,) = segments.damaged(set_aside)
    assert (kept / "answers.parquet").exists()
    # Mended by hand and named as before, it is merged.
    (kept / "attempts.parquet").write_bytes(whole)
    kept.rename(kept.with_name(segment.path.name))
    Journal.open(set_aside).close()
    assert attempts(set_aside) == 50
    assert not (set_aside / "segments").exists()


@pytest.mark.slow
def test_what_the_journal_still_has_of_a_damaged_segment_is_taken_from_there(
    set_aside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(set_aside)
    with Journal.open(set_aside, merges=False) as journal:
        journal.write(*run_and_rows(10))
        journal.flush()
        journal.merge()
        journal._merger._prune = lambda **_: None  # as if killed before that
        with duckdb.connect(str(set_aside / "history.duckdb"), read_only=True):
            for row in (10, 20):
                journal.write(*run_and_rows(row + 10, first=row))
                journal.flush()
                journal.merge()
    (journal_id,) = segments.journals(set_aside)
    (segments.listed(set_aside, journal_id)[0].path / "attempts.parquet").unlink()
    Journal.open(set_aside).close()
    assert attempts(set_aside) == 30
    assert facts(set_aside).damaged_segments == 1


@pytest.mark.slow
def test_a_segment_that_is_gone_is_told_and_holds_nothing_up(set_aside: Path, caplog: pytest.LogCaptureFixture) -> None:
    segment, _ = files_of_second(set_aside)
    shutil.rmtree(segment.path)
    Journal.open(set_aside).close()
    assert f"lacks the entries {segment.first} to {segment.last} of" in caplog.text
    assert 20 < attempts(set_aside) < 50


@pytest.mark.slow
def test_segments_of_a_journal_that_is_gone_are_read_and_merged(set_aside: Path) -> None:
    (set_aside / "journal.db").rename(set_aside / "aside")
    with Journal.open(set_aside, merges=False) as journal:
        journal.write(*run_and_rows(61, first=60))
    assert attempts(set_aside) == 41
    Journal.open(set_aside).close()
    assert attempts(set_aside) == 41
    assert facts(set_aside).segments == 0


# ---------------------------------------------------------------------------------------------------------- leftovers
def test_a_write_ahead_log_without_its_history_is_kept_aside_and_not_taken_for_another(
    home: Path, tmp_path: Path
) -> None:
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute("set checkpoint_threshold = '1 GB'")
        connection.execute("create table precious as select * from range(1000)")
        log = (tmp_path / "other.duckdb.wal").read_bytes()
    (home / "history.duckdb").unlink()
    (home / "history.duckdb.wal").write_bytes(log)
    Journal.open(home).close()
    assert attempts(home) == 10
    (kept,) = home.glob("history.duckdb.wal.*")
    assert kept.read_bytes() == log


def test_what_killed_processes_left_half_made_is_removed(home: Path) -> None:
    (home / "staging-left" / ".duckdb-spill").mkdir(parents=True)
    (home / "staging-left" / "attempts.json").write_text('{"torn')
    (home / ".history.duckdb.draft-99").write_text("half")
    Journal.open(home).close()
    assert {path.name for path in home.iterdir()} == {"journal.db", "history.duckdb", "merge.lock"}
    assert attempts(home) == 210
