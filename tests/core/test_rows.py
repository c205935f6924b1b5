"""Rows: every source gives the same plain dicts, and what cannot be read says so in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy
import pandas
import pytest
from pydantic import BaseModel

from toolkit.errors import RowsError
from toolkit.records import canonical
from toolkit.rows import Rows, clean, open_rows

FRAME = pandas.DataFrame({"id": ["a", "b"], "n": [1, 2], "note": ["größer", None]})
EXPECTED = [{"id": "a", "n": 1, "note": "größer"}, {"id": "b", "n": 2, "note": None}]


def read(rows: Rows) -> list[dict[str, Any]]:
    return [dict(row) for row in rows.stream()]


def write(path: Path) -> Path:
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: FRAME.to_csv(path, index=False),
        ".tsv": lambda: FRAME.to_csv(path, index=False, sep="\t"),
        ".json": lambda: FRAME.to_json(path, orient="records"),
        ".jsonl": lambda: FRAME.to_json(path, orient="records", lines=True),
        ".ndjson": lambda: FRAME.to_json(path, orient="records", lines=True),
        ".xlsx": lambda: FRAME.to_excel(path, index=False),
        ".parquet": lambda: duckdb.from_df(FRAME).write_parquet(str(path)),
    }
    writers[path.suffix.lower()]()
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".xlsx", ".CSV"])
def test_every_format_gives_the_same_rows_each_time_it_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"it's a table{ending}"
    rows = open_rows(write(path))
    assert (rows.columns, rows.total, rows.source) == (("id", "n", "note"), 2, str(path))
    assert read(rows) == EXPECTED
    assert read(rows) == EXPECTED


def test_a_path_may_be_text(tmp_path: Path) -> None:
    assert read(open_rows(str(write(tmp_path / "t.csv")))) == EXPECTED


@pytest.mark.parametrize(
    "query", ["select * from '{}' order by id", "FROM '{}'\nORDER BY id;", "with t as (from '{}') select * from t"]
)
def test_a_query_is_a_table(tmp_path: Path, query: str) -> None:
    text = query.format(write(tmp_path / "t.parquet"))
    rows = open_rows(text)
    assert (read(rows), rows.total, rows.source) == (EXPECTED, 2, text)


def test_a_frame_is_a_table() -> None:
    rows = open_rows(FRAME)
    assert (rows.columns, rows.total, rows.source) == (("id", "n", "note"), 2, None)
    assert read(rows) == EXPECTED


class Ticket(BaseModel):
    id: str
    on: date


@dataclass
class Order:
    id: str
    on: date


@pytest.mark.parametrize(
    "items",
    [
        [{"id": "a", "on": date(2026, 3, 1)}, {"id": "b"}],
        ({"id": name, "on": on} for name, on in (("a", date(2026, 3, 1)), ("b", None))),
    ],
)
def test_dicts_are_a_table_and_what_one_lacks_is_none(items: Any) -> None:
    assert read(open_rows(items)) == [{"id": "a", "on": "2026-03-01"}, {"id": "b", "on": None}]


@pytest.mark.parametrize("kind", [Ticket, Order])
def test_typed_objects_are_rows_too(kind: Any) -> None:
    assert read(open_rows([kind(id="a", on=date(2026, 3, 1))])) == [{"id": "a", "on": "2026-03-01"}]


def test_names_of_columns_are_text() -> None:
    assert read(open_rows([{1: "x"}])) == [{"1": "x"}]


NOTHING = [float("nan"), float("inf"), numpy.float64("nan"), pandas.NaT, pandas.NA, numpy.datetime64("NaT"), None]
CLEAN = [
    *[(value, None) for value in NOTHING],
    (numpy.float64(1.5), 1.5),
    (numpy.int64(3), 3),
    (numpy.bool_(True), True),
    (numpy.array([1.0, numpy.nan]), [1.0, None]),
    (numpy.datetime64("2026-03-01T10:00"), "2026-03-01T10:00"),
    (pandas.Timestamp("2026-03-01 10:00"), "2026-03-01T10:00:00"),
    (pandas.Timestamp("2026-03-01 10:00", tz="UTC"), "2026-03-01T10:00:00+00:00"),
    (datetime(2026, 3, 1, 10, 0), "2026-03-01T10:00:00"),  # noqa: DTZ001
    (date(2026, 3, 1), "2026-03-01"),
    (time(10, 30), "10:30:00"),
    (Decimal("1.50"), 1.5),
    (2**63 - 1, 2**63 - 1),
    (2**70, "1180591620717411303424"),
    ("broken \ud83d", "broken ?"),
    ({"a": (1, numpy.int8(2))}, {"a": [1, 2]}),
    (b"raw", "b'raw'"),
]


@pytest.mark.parametrize(("value", "plain"), CLEAN)
def test_a_value_becomes_plain_json(value: Any, plain: Any) -> None:
    cleaned = clean(value)
    assert cleaned == plain
    assert type(cleaned) is type(plain)
    canonical(cleaned)


def test_a_frame_with_gaps_and_dates_gives_plain_json() -> None:
    frame = pandas.DataFrame(
        {"when": [pandas.Timestamp("2026-03-01"), pandas.NaT], "amount": [1.5, numpy.nan], "n": pandas.array([1, None])}
    )
    assert read(open_rows(frame)) == [
        {"when": "2026-03-01T00:00:00", "amount": 1.5, "n": 1},
        {"when": None, "amount": None, "n": None},
    ]


def test_a_sheets_dates_and_gaps_are_read_as_a_files_are(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    pandas.DataFrame({"on": [pandas.Timestamp("2026-03-01"), None], "n": [None, 1.5]}).to_excel(path, index=False)
    assert read(open_rows(path)) == [{"on": "2026-03-01T00:00:00", "n": None}, {"on": None, "n": 1.5}]


def test_nested_json_stays_nested(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 1, "tags": ["a"], "about": {"k": 1.5}}\n')
    assert read(open_rows(path)) == [{"id": 1, "tags": ["a"], "about": {"k": 1.5}}]


# ------------------------------------------------------------------------------------------------------------- faults
@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.csv", b"", "is empty: there is not even a header"),
        ("t.csv", b"id,n\n", "has no rows"),
        ("t.csv", "id\nMüller\n".encode("latin-1"), "is not UTF-8"),
        ("t.jsonl", b'{"id": 1}\n{"id": \n', "cannot read"),
        ("t.parquet", b"nonsense", "cannot read"),
        ("t.xlsx", b"nonsense", "as Excel"),
        ("t.docx", b"x", "do not know how to read .docx"),
        ("t", b"x", "without an ending"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_with_its_name(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RowsError) as refused:
        open_rows(path)
    assert why in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("nowhere.csv", "there is no file nowhere.csv"),
        ("select * from nowhere", "cannot read the query: Catalog Error"),
        ("select 1 as a where false", "the query has no rows"),
        ("select 1 as a, 2 as a", "two columns called 'a'"),
        ([], "the list has no rows"),
        ([{"id": 1}, "x"], "row 1 is a str"),
        ([object()], "row 0 is a object"),
        (3, "not int"),
        ({"id": 1}, "not dict"),
        (pandas.DataFrame({"id": []}), "the DataFrame has no rows"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "two columns called 'a'"),
    ],
)
def test_what_is_no_table_says_what_to_give(source: Any, why: str) -> None:
    with pytest.raises(RowsError) as refused:
        open_rows(source)
    assert why in str(refused.value)


def test_a_query_that_fails_on_the_way_says_so_as_rows_do() -> None:
    rows = open_rows("select if(i < 2000, i, error('torn')) as n from range(3000) t(i)")
    with pytest.raises(RowsError, match="cannot read on in the query"):
        read(rows)


# -------------------------------------------------------------------------------------------------------------- parts
@pytest.mark.parametrize(
    ("limit", "skip", "total", "ids"),
    [(None, 0, 5, "abcde"), (2, 0, 2, "ab"), (2, 2, 2, "cd"), (None, 3, 2, "de"), (9, 4, 1, "e"), (3, 9, 0, "")],
)
def test_a_part_of_the_rows(limit: int | None, skip: int, total: int, ids: str) -> None:
    part = open_rows([{"id": name} for name in "abcde"]).head(limit, skip)
    assert part.total == total
    assert "".join(row["id"] for row in part.stream()) == ids


def test_rows_are_streamed_and_not_held() -> None:
    def stream() -> Any:
        for number in range(10**9):
            yield {"n": number}

    rows = Rows(("n",), None, stream)
    assert open_rows(rows) is rows
    assert [row["n"] for row in islice(rows.head(3, 2).stream(), 9)] == [2, 3, 4]
    assert rows.head(3).total == 3
