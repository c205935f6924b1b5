"""Batches set aside as Parquet while the history is closed to us.

A segment is a folder `segments/<journal id>/<first>-<last>` with one Parquet file per kind, holding the log entries
with those numbers (and the contents that lay in the journal then). It gets its name when it is complete, and its
entries are pruned from the journal after that; so whoever looks finds each entry in the journal, in a segment, or in
both, and tells by the number.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from toolkit.ledger.history_file import quoted
from toolkit.ledger.schema import BY_NAME
from toolkit.ledger.staging import Batch, staged

FOLDER = "segments"


@dataclass(frozen=True)
class Segment:
    """One batch on disk, and the numbers of its first and last log entry."""

    path: Path
    first: int
    last: int

    def sources(self) -> dict[str, str]:
        """Kind → what stands after `from` to read it; columns that an older toolkit did not write are NULL."""
        files = {file.stem: file for file in sorted(self.path.glob("*.parquet")) if file.stem in BY_NAME}
        return {
            kind: f"({BY_NAME[kind].empty} union all by name select * from read_parquet({quoted(file)}))"
            for kind, file in files.items()
        }

    def remove(self) -> None:
        """Delete it: the history has it."""
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in (self.path.parent, self.path.parent.parent):
            try:
                folder.rmdir()
            except OSError:
                return  # not empty


def listed(home: Path, journal_id: str) -> list[Segment]:
    """The segments of that journal, in the order of their entries."""
    folder = home / FOLDER / journal_id
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        first, _, last = path.name.partition("-")
        if first.isdigit() and last.isdigit():
            found.append(Segment(path, int(first), int(last)))
    return sorted(found, key=lambda segment: (segment.last, segment.first))


def write(home: Path, journal_id: str, connection: DuckDBPyConnection, batch: Batch, folder: Path) -> Segment:
    """Set a staged batch aside; drafted in `folder`, which is on the same disk."""
    draft = folder / "segment"
    draft.mkdir()
    kinds = [*batch.kinds, *(["contents"] if batch.contents else [])]
    for kind in kinds:
        target = draft / f"{kind}.parquet"
        connection.execute(f"copy {staged(kind)} to {quoted(target)} (format parquet)")
    path = home / FOLDER / journal_id / f"{batch.first:018d}-{batch.last:018d}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.rmtree(path)
    draft.rename(path)
    return Segment(path, batch.first, batch.last)
