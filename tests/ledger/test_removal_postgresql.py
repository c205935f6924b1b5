"""Pruning and erasing with the journal in PostgreSQL.

Runs where `TOOLKIT_TEST_POSTGRESQL` is the URL of a database whose tables may be dropped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ledger.ledger_samples import run_and_rows
from tests.ledger.removal_samples import ADA, BEN, REPLY, ended, person, summary, talk, written
from tests.ledger.test_pruning import OLD
from toolkit.ledger import History, Journal
from toolkit.ledger.retention.clearing import DELETED
from toolkit.ledger.retention.erasing import Subject, erase
from toolkit.ledger.retention.pruning import Rule, planned, prune

URL = os.environ.get("TOOLKIT_TEST_POSTGRESQL", "")
pytestmark = pytest.mark.skipif(not URL, reason="TOOLKIT_TEST_POSTGRESQL names no database")

TABLES = ("log", "contents", "answers", "rows", "runs", "reviews", "sessions", "messages")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A journal with an old run and a new one, the new one not merged yet."""
    from toolkit.ledger.writing.tables import metadata, open_engine

    engine, _ = open_engine(tmp_path, url=URL)
    metadata.drop_all(engine)
    talked = talk("talk-1", "Quokka says", attempt_id="attempt-old-1-row-00000-triage", run="old-1")
    old = [*ended("old-1", days=1), *person("old-1", 0, ADA, word="Quokka"), *summary("old-1", "Quokka"), *talked]
    written(tmp_path, old, url=URL)
    written(tmp_path, [*ended("new-1", days=30), *person("new-1", 0, BEN, word="Wombat")], url=URL, merged=False)
    return URL


def journal_text(url: str) -> str:
    """All that the journal's tables tell."""
    from sqlalchemy import text

    from toolkit.ledger.writing.tables import open_engine

    engine, _ = open_engine(Path(), url=url)
    with engine.connect() as connection:
        return "".join(str(connection.execute(text(f"select * from {table}")).fetchall()) for table in TABLES)


@pytest.mark.slow
def test_pruning_clears_journal_and_history(tmp_path: Path, url: str) -> None:
    history = History(tmp_path, url=url)
    costs = history.sql("select step, calls, cost_usd from model_costs").rows
    told = planned(history, OLD)
    removal = prune(tmp_path, OLD, url=url)
    assert (told.runs, told.rows, told.contents, told.bytes) == (
        removal.runs,
        removal.rows,
        removal.contents,
        removal.bytes,
    )
    assert removal.runs == 1
    assert "Quokka" not in journal_text(url) and "Wombat" in journal_text(url)
    assert history.sql("select step, calls, cost_usd from model_costs").rows == costs
    with Journal.open(tmp_path, url=url, merges=False) as journal:
        assert [said.message.text for said in journal.messages("talk-1")] == [DELETED]
        journal.write(*run_and_rows(3))
        journal.flush()
        assert journal.merge() == 1 + 3 * 5
    assert prune(tmp_path, Rule(before=OLD.before, whole=True), url=url).attempts == 4 + 3  # run-1 left no trace since


@pytest.mark.slow
def test_erasing_clears_journal_and_history(tmp_path: Path, url: str) -> None:
    removal = erase(tmp_path, Subject("email", ADA), url=url)
    assert (removal.runs, removal.rows, removal.notes) == (1, 1, ())
    assert "Quokka" not in journal_text(url) and ADA not in journal_text(url)
    assert b"Quokka" not in (tmp_path / "history.duckdb").read_bytes()
    with Journal.open(tmp_path, url=url, merges=False) as journal:
        assert journal.step_values("new-1", REPLY) == [("row-00000", {"said": "Dear Wombat"})]
        assert dict(journal.row_fields("old-1")) == {"row-00000": {}}
