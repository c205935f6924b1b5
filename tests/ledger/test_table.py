"""A table's rows in the forms that others take: Arrow of DuckDB's own types."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.ledger_samples import run_and_rows
from toolkit.errors import LedgerError
from toolkit.ledger import History, Journal, Table

TYPED = [
    ("true", "bool", True),
    ("1::TINYINT", "int8", 1),
    ("1::UBIGINT", "uint64", 1),
    ("1::INTEGER", "int32", 1),
    ("null::BIGINT", "int64", None),
    ("1.5::DOUBLE", "double", 1.5),
    ("1.5::FLOAT", "float", 1.5),
    ("'a'", "string", "a"),
    ("'{\"a\":1}'::JSON", "string", '{"a":1}'),
    ("date '2026-03-01'", "date32[day]", None),
    ("timestamp '2026-03-01 09:00:00'", "timestamp[us]", None),
    ("timestamptz '2026-03-01 09:00:00+00'", "timestamp[us, tz=UTC]", None),
    ("time '09:00:00'", "time64[us]", None),
    ("interval 3 seconds", "duration[us]", None),
    ("1.25::DECIMAL(5, 2)", "decimal128(5, 2)", None),
    ("170141183460469231731687303715884105727::HUGEINT", "decimal256(39, 0)", None),
    ("['a', 'b']", "list<item: string>", ["a", "b"]),
    ("[[1]]", "list<item: list<item: int32>>", [[1]]),
    ("{'a': 1, 'b': 'x'}", "struct<a: int64, b: string>", {"a": 1, "b": "x"}),
    ("'6f3c2b52-0b8e-4f6a-9a5e-0d6f6c1f2e11'::UUID", "string", "6f3c2b52-0b8e-4f6a-9a5e-0d6f6c1f2e11"),
    ("'a'::ENUM ('a', 'b')", "string", "a"),
    ("'\\x41'::BLOB", "binary", b"A"),
]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    home: Path = tmp_path_factory.mktemp("home")
    with Journal.open(home) as journal:
        journal.write(*run_and_rows(3))
    return History(home)


def table_of(history: History, expression: str) -> Table:
    return history.sql(f"select {expression} as x union all select null")


@pytest.mark.parametrize(("expression", "type_", "value"), TYPED)
def test_arrow_keeps_duckdbs_types_and_gaps(history: History, expression: str, type_: str, value: Any) -> None:
    pytest.importorskip("pyarrow", reason="the package pyarrow is an extra")
    column = table_of(history, expression).arrow().column("x")
    assert str(column.type).replace("element:", "item:") == type_
    assert column.null_count == (2 if "null" in expression else 1)
    if value is not None:
        assert value in column.to_pylist()


def test_every_table_of_the_history_goes_to_arrow_even_without_rows(history: History) -> None:
    pytest.importorskip("pyarrow", reason="the package pyarrow is an extra")
    for name in ("runs", "rows", "decisions", "attempts", "answers", "grades", "pruned", "runs_side_by_side"):
        found = history.sql(f"from {name}")
        assert found.arrow().num_rows == len(found)
        assert found.arrow().column_names == list(found.columns)


@pytest.mark.parametrize("query", ["", ";", "-- nothing yet"])
def test_what_is_no_query_is_refused_in_a_sentence(history: History, query: str) -> None:
    with pytest.raises(LedgerError, match="there is no query"):
        history.sql(query)


def test_without_pyarrow_the_error_says_what_to_install(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LedgerError, match="pip install pyarrow"):
        history.sql("select 1").arrow()
