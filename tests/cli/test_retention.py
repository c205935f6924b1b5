"""`toolkit prune` and `toolkit erase` over a run of the command line, to the last file of the home."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.ledger.removal_samples import files_with, texts_with
from toolkit.ledger import History

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Desk

ADA = "ada@example.com"


@pytest.fixture
def ran(desk: Desk) -> Desk:
    """A desk where three rows have been answered, one of them a person's."""
    desk.write(
        "rows.csv", f"id,email,text\n1,{ADA},Quokka of {ADA} asks\n2,ben@example.com,Wombat asks\n3,,Koala asks\n"
    )
    assert desk.run("rows.csv").code == 0
    return desk


def home(desk: Desk) -> Path:
    return desk.folder / ".toolkit"


@pytest.mark.slow
def test_pruning_tells_what_went_and_the_sizes(ran: Desk) -> None:
    costs = History(home(ran)).sql("select step, calls, cost_usd from model_costs").rows
    ended = ran.toolkit("prune", "--keep-runs", "0")
    assert ended.code == 0, ended.err
    assert "pruned content of runs not among the newest 0: 1 run, 3 rows, 6 attempts, " in ended.out
    assert "the home has " in ended.out and ", before " in ended.out
    assert texts_with(home(ran), "Quokka", "Wombat") == []
    assert History(home(ran)).sql("select step, calls, cost_usd from model_costs").rows == costs
    assert "nothing to prune" in ran.toolkit("prune", "--keep-runs", "0").out


def test_a_dry_run_of_pruning_changes_nothing(ran: Desk) -> None:
    before = texts_with(home(ran), "Quokka")
    ended = ran.toolkit("prune", "--older-than", "0h", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["runs"], told["rows"], told["attempts"], told["is_done"]) == (1, 3, 6, False)
    assert "would prune" in ran.toolkit("prune", "--older-than", "0h", "--dry-run").out
    assert texts_with(home(ran), "Quokka") == before


@pytest.mark.slow
def test_what_was_pruned_is_asked_again(ran: Desk) -> None:
    asked = sum(ran.server.counts().values())
    assert ran.run("rows.csv").code == 0
    assert sum(ran.server.counts().values()) == asked
    ran.toolkit("prune", "--keep-runs", "0")
    assert ran.run("rows.csv").code == 0
    assert sum(ran.server.counts().values()) == asked + 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prune"], "say which runs"),
        (["prune", "--older-than", "soon"], "'soon' is no age; say 90d, 12h, 2w"),
        (["erase", "--subject", "email"], "--subject COLUMN=VALUE"),
        (["erase", "--subject", "email="], "say whose data"),
        (["erase", "--subject", "emial=ada"], "no row on record has a column 'emial'; they have "),
        (["prune", "--older-than", "1d", "--home", "elsewhere"], "nothing to take off the record"),
    ],
)
def test_mistakes_end_in_one_sentence_and_change_nothing(ran: Desk, arguments: list[str], told: str) -> None:
    before = texts_with(home(ran), "Quokka")
    ended = ran.toolkit(*arguments)
    assert ended.code == 2
    assert told in ended.sentence
    assert texts_with(home(ran), "Quokka") == before
    assert not (ran.folder / "elsewhere").exists()


@pytest.mark.slow
def test_an_erased_person_is_in_no_file_of_the_home(ran: Desk) -> None:
    assert "would erase 1 row of 1 run" in ran.toolkit("erase", "--subject", f"email={ADA}", "--dry-run").out
    ended = ran.toolkit("erase", "--subject", f"email={ADA}")
    assert ended.code == 0, ended.err
    assert "erased 1 row of 1 run, with what was said in 2 attempts" in ended.out
    assert (files_with(home(ran), ADA, "Quokka"), texts_with(home(ran), ADA, "Quokka")) == ([], [])
    assert len(texts_with(home(ran), "Wombat")) > 3
    again = ran.toolkit("erase", "--subject", f"email={ADA}")
    assert (again.code, "no row has that value" in again.out) == (0, True)


@pytest.mark.slow
def test_a_person_is_found_as_redaction_wrote_them(ran: Desk) -> None:
    ended = ran.run("rows.csv", "--redact", "personal", "--fresh")
    assert ended.code == 0, ended.err
    with closing(sqlite3.connect(home(ran) / "journal.db")) as journal:
        bodies = journal.execute("select body from rows where row_id = '1'").fetchall()
    tokens = {json.loads(body)["fields"]["email"] for (body,) in bodies} - {ADA}
    assert len(tokens) == 1 and "[email:" in min(tokens)
    ended = ran.toolkit("erase", "--subject", f"email={ADA}", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rows"] == 2
    assert texts_with(home(ran), ADA, "Quokka", *tokens) == []


@pytest.mark.slow
def test_a_history_that_is_open_elsewhere_is_told_by_process(ran: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    import duckdb

    monkeypatch.setattr("toolkit.ledger.retention.rewriting.PATIENCE_SECONDS", 0.1)
    with duckdb.connect(str(home(ran) / "history.duckdb"), read_only=True):
        ended = ran.toolkit("erase", "--subject", f"email={ADA}")
    assert ended.code == 2
    assert f"process {os.getpid()} keeps" in ended.sentence and "nothing was changed" in ended.sentence
