"""Files of every past version are opened, read as they are, and led to today's schema without losing a row.

`past/` holds a journal of each version, and the history beside it, as they were left by a small run: the
history with one run (`past-1`) merged, the journal with another (`past-2`) that is not merged yet.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import duckdb
import pytest

from toolkit.ledger import History, Journal
from toolkit.ledger.history import schema
from toolkit.ledger.history.migrations import MIGRATIONS
from toolkit.ledger.writing import tables

PAST = Path(__file__).parent / "past"
VERSIONS = range(1, tables.VERSION)
BOTH = [(version, version) for version in VERSIONS]


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    version = request.param
    for name, stem in (("history.duckdb", f"history-{version}.duckdb.xz"), ("journal.db", f"journal-{version}.db.xz")):
        (tmp_path / name).write_bytes(lzma.decompress((PAST / stem).read_bytes()))
    return tmp_path


def test_there_is_a_file_of_each_past_version() -> None:
    assert sorted(MIGRATIONS) == list(range(2, schema.VERSION + 1))
    assert sorted(tables.MIGRATIONS) == list(range(2, tables.VERSION + 1))
    assert {path.name for path in PAST.glob("history-*")} == {f"history-{version}.duckdb.xz" for version in VERSIONS}


QUERY = "select run_id, attempts, errors, round(cost_usd, 8) from run_summary order by run_id"
WRITTEN = {
    1: (("past-1", 20, 0, 0.00149646), ("past-2", 15, 0, 0.00090169)),
    2: (("past-1", 23, 0, 0.00165716), ("past-2", 21, 0, 0.00122846)),
    3: (("past-1", 15, 0, 0.00131475), ("past-2", 12, 0, 0.00074926)),
}


@pytest.mark.parametrize(("home", "version"), BOTH, indirect=["home"])
def test_an_older_record_is_read_as_it_is(home: Path, version: int) -> None:
    before = (home / "history.duckdb").read_bytes()
    assert History(home).sql(QUERY).rows == WRITTEN[version]
    assert History(home).sql("select count(dropped), count(*) > 0 from attempts").rows == ((0, True),)
    assert (home / "history.duckdb").read_bytes() == before


@pytest.mark.parametrize(("home", "version"), BOTH, indirect=["home"])
def test_an_older_record_is_migrated_when_it_is_written(home: Path, version: int) -> None:
    with Journal.open(home) as journal:
        assert journal.merge() > 0
        assert journal.find_answer(next(iter(journal.known_keys("support/triage")))) is not None
    assert History(home).sql(QUERY).rows == WRITTEN[version]
    with duckdb.connect(str(home / "history.duckdb"), read_only=True) as connection:
        assert connection.execute("select max(version) from schema_version").fetchall() == [(schema.VERSION,)]
        made = {row[0] for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
        assert {table.name for table in (*schema.TABLES, schema.CONTENTS)} <= made
        for table in (*schema.TABLES, schema.CONTENTS):
            columns = connection.execute(
                "select column_name, data_type from duckdb_columns() where table_name = $1", [table.name]
            ).fetchall()
            wanted = {(c.name, c.type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")) for c in table.columns}
            assert set(columns) == wanted


@pytest.mark.parametrize("home", VERSIONS, indirect=True)
def test_reported_and_computed_costs_are_told_apart(home: Path) -> None:
    with Journal.open(home) as journal:
        journal.merge()
    found = History(home).sql(
        "select bool_and(cost_usd = coalesce(reported_cost_usd, computed_cost_usd)), count(*) from attempts "
        "where run_id = 'past-1' and cost_usd is not null"
    )
    assert found.rows[0][0] is True
