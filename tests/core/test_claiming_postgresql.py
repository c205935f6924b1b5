"""Claims on rows in PostgreSQL are those of SQLite. Runs where `TOOLKIT_TEST_POSTGRESQL` names a database."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.test_claiming import RUN, elsewhere, ended, put, taken
from toolkit import History, Journal
from toolkit.asking.steering import Steering
from toolkit.ledger.writing import claims, holders, wishes
from toolkit.runs.claiming import Holding

URL = os.environ.get("TOOLKIT_TEST_POSTGRESQL", "")
pytestmark = pytest.mark.skipif(not URL, reason="TOOLKIT_TEST_POSTGRESQL names no database")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    from toolkit.ledger.writing.tables import metadata, open_engine

    metadata.drop_all(open_engine(tmp_path, url=URL)[0])
    with Journal.open(tmp_path, url=URL, merges=False) as journal:
        yield journal


def test_rows_are_claimed_let_go_and_taken_over(journal: Journal) -> None:
    ended(journal, "failed", "failed")
    put(journal, elsewhere(beaten_at=time.time()), "a")
    holding, other = Holding(journal, RUN).enter(), Holding(journal, RUN).enter()
    assert taken(holding, "a", "b", "failed") == ({"b", "failed"}, {"a"}, set())
    assert taken(other, "b", "c", "failed") == ({"c"}, {"b", "failed"}, set())
    ended(journal, "b", "answered")
    holding.finished("b", "answered")
    assert taken(holding, "b") == (set(), set(), {"b"})
    journal.decided(lambda t: t.run("update holders set beaten_at = 0 where id = 'r/elsewhere'"))
    assert taken(other, "a")[0] == {"a"}
    assert asyncio.run(holding.leave("cancelled")).status == "running"
    assert asyncio.run(other.is_ours_to_end())
    assert asyncio.run(other.leave("finished")).status == "finished"


def test_a_run_that_nobody_works_on_any_more_is_shown_as_interrupted(journal: Journal, tmp_path: Path) -> None:
    Holding(journal, RUN).enter()
    long_ago = time.time() - 2 * holders.EXPIRES_SECONDS
    query = "select status from runs"
    assert History(tmp_path, url=URL).sql(query).rows == (("running",),)
    journal.decided(lambda t: t.run("update holders set beaten_at = :at", at=long_ago))
    assert History(tmp_path, url=URL).sql(query).rows == (("interrupted",),)


def test_a_wish_reaches_those_who_hold_the_run_and_is_forgotten_with_the_last_of_them(journal: Journal) -> None:
    steering = Steering()
    holding = Holding(journal, RUN, steering=steering).enter()
    living = journal.decided(lambda t: claims.bury(t, time.time()))
    assert journal.decided(
        lambda t: wishes.express(t, RUN.id, "pause", living=living, status="running", at=time.time())
    )
    by = time.monotonic() + 20
    while not steering.is_paused and time.monotonic() < by:
        time.sleep(0.05)
    assert steering.is_paused
    assert asyncio.run(holding.leave("cancelled")).status == "cancelled"
    assert journal.decided(lambda t: wishes.wished(t, RUN.id)) is None
