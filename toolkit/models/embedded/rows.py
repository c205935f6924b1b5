"""Rows out of a file: JSON lines, a JSON list or CSV, as plain dicts."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import orjson

from toolkit.errors import FleetError
from toolkit.records import Json

Row = dict[str, Json]


def read_rows(path: Path) -> list[Row]:
    """All rows of a .jsonl, .json or .csv file; read again only when the file has changed."""
    return _read(path, path.stat().st_mtime_ns)


def training_rows(path: Path) -> list[Row]:
    """The rows to learn from: those of the split "train" where the file has a column `split`, else all."""
    rows = read_rows(path)
    return [row for row in rows if row.get("split", "train") == "train"]


@lru_cache(maxsize=16)
def _read(path: Path, stamp: int) -> list[Row]:
    try:
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                return [dict(row) for row in csv.DictReader(file)]
        content = path.read_bytes()
        if path.suffix == ".json":
            return list(orjson.loads(content))
        return [orjson.loads(line) for line in content.splitlines() if line.strip()]
    except (ValueError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} is no readable table of rows: {error}") from error
