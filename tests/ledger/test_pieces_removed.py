"""What removes or takes along requests knows the pieces they are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.ledger_samples import attempt, decision, place, row_record, run_record
from toolkit.ledger import Entry, History, Journal, attempt_entries, decision_entry, row_entry, run_entry
from toolkit.ledger.entries import request_entries
from toolkit.ledger.retention.erasing import Subject, erase
from toolkit.ledger.retention.pruning import Rule, prune
from toolkit.messages import Data, Message, Text
from toolkit.records import Request

SHARED = "Parcels take three days.\n" * 100


def asked(run: str, row: int) -> list[Entry]:
    """A request of its own with the shared handbook, its decision and its attempt."""
    own = f"Where is parcel {run} {row}? " * 50
    body = Request((Message("user", (Data("handbook", SHARED), Text(own))),)).canonical()
    entries, at, name = request_entries(body), place(row, run=run), f"{run}-{row}"
    tried = attempt_entries(at, f"d-{name}", attempt(f"a-{name}"), entries[0].id)
    return [
        *entries,
        decision_entry(f"d-{name}", at, decision(), entries[0].id),
        *tried,
        row_entry(row_record(row, run=run)),
    ]


def home(folder: Path) -> Path:
    """Two finished runs of two rows each."""
    with Journal.open(folder) as journal:
        for run in ("run-1", "run-2"):
            journal.write(run_entry(run_record(run, "finished")))
            journal.write(*asked(run, 0), *asked(run, 1))
    return folder


def kept(folder: Path, words: str) -> int:
    return int(
        History(folder).sql("select count(*) from contents where contains(body, $words)", {"words": words}).rows[0][0]
    )


@pytest.mark.slow
def test_pruning_a_run_takes_its_pieces_and_leaves_those_of_others(tmp_path: Path) -> None:
    folder = home(tmp_path)
    prune(folder, Rule(keep_runs=1))
    assert (kept(folder, "Where is parcel run-1"), kept(folder, "Where is parcel run-2")) == (0, 2)
    assert kept(folder, "three days") == 1
    found = History(folder).sql("select request from attempts_text where run_id = 'run-2'").rows
    assert all("three days" in request and "Where is parcel run-2" in request for (request,) in found)


@pytest.mark.slow
def test_pruning_the_last_run_leaves_no_piece(tmp_path: Path) -> None:
    folder = home(tmp_path)
    prune(folder, Rule(keep_runs=0))
    assert (kept(folder, "Where is"), kept(folder, "three days")) == (0, 0)


@pytest.mark.slow
def test_erasing_a_row_takes_its_own_words_and_leaves_what_others_share(tmp_path: Path) -> None:
    folder = home(tmp_path)
    erase(folder, Subject("ticket", "Where is parcel 0?"))
    assert kept(folder, "parcel run-1 0?") == kept(folder, "parcel run-2 0?") == 0
    assert (kept(folder, "parcel run-1 1?"), kept(folder, "three days")) == (1, 1)


def test_the_export_of_a_run_has_all_pieces_of_it(tmp_path: Path) -> None:
    folder = home(tmp_path / "home")
    History(folder).export(tmp_path / "out", run_id="run-1", tables=["contents"])
    import duckdb

    query = f"select body from '{tmp_path}/out/contents.parquet'"
    found = duckdb.connect().execute(query).fetchall()
    assert sum("Where is parcel run-1" in body for (body,) in found) == 2
    assert sum(body == SHARED for (body,) in found) == 1
    assert not any("run-2" in body for (body,) in found)
