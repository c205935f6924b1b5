"""Batches set aside as Parquet while the history is closed to us.

A segment is a folder `segments/<journal id>/<first>-<last>` with one Parquet file per kind, holding the log entries
with those numbers (and the contents that lay in the journal then). It gets its name when it is complete, and its
entries are pruned from the journal after that; so whoever looks finds each entry in the journal, in a segment, or in
both, and tells by the number. What lies there is on the disk before the journal gives it up, and a list of the files
with their sizes tells whether all of it still is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from toolkit.ledger.faults import remedy
from toolkit.ledger.history.file import quoted, to_disk
from toolkit.ledger.history.schema import BY_NAME
from toolkit.ledger.merging.staging import Batch, staged

FOLDER = "segments"
LISTING = "files.json"
DAMAGED, MERGED = ".damaged", ".merged"


@dataclass(frozen=True)
class Segment:
    """One batch on disk, and the numbers of its first and last log entry."""

    path: Path
    first: int
    last: int

    def sources(self) -> dict[str, str]:
        """Kind → what stands after `from` to read it."""
        return together([self])

    @property
    def journal_id(self) -> str:
        """The journal whose entries these are."""
        return self.path.parent.name

    def fault(self, connection: DuckDBPyConnection | None = None) -> str:
        """What is wrong with its files, "" where nothing is; with a connection they are read from end to end."""
        listing = self.path / LISTING
        try:
            sizes = json.loads(listing.read_text()) if listing.exists() else {}
            for name, size in sizes.items():
                file = self.path / name
                if not file.exists():
                    return f"{name} is missing"
                if file.stat().st_size != size:
                    return f"{name} has {file.stat().st_size} bytes and not {size}"
            if connection is not None:
                for source in self.sources().values():
                    connection.execute(f"create or replace temp table read_again as select * from {source}")
        except (OSError, ValueError, duckdb.Error) as error:
            if remedy(error) or isinstance(error, duckdb.OutOfMemoryException):
                raise  # of the machine, not of the segment
            return " ".join(str(error).split())
        return ""

    def set_aside(self) -> Path:
        """Take it out of the way, deleting nothing; where it is now.

        It lies in a folder of its own there, so that it is merged when it is mended and has its old name again.
        """
        folder = self.path.parent.with_name(f"{self.journal_id}.{self.first}")
        folder.mkdir(exist_ok=True)
        return self.path.rename(folder / f"{self.path.name}{DAMAGED}")

    def remove(self) -> None:
        """Delete it: the history has it. Renamed first, so that one who is killed meanwhile leaves no half segment."""
        gone = self.path.rename(self.path.with_name(f"{self.path.name}{MERGED}"))
        shutil.rmtree(gone, ignore_errors=True)
        for folder in (self.path.parent, self.path.parent.parent):
            try:
                folder.rmdir()
            except OSError:
                return  # not empty


def journals(home: Path) -> list[str]:
    """The ids of the journals that have segments in that home, oldest first."""
    folder = home / FOLDER
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


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


def together(segments: Iterable[Segment]) -> dict[str, str]:
    """Kind → what stands after `from` to read it in all these segments as one list of files.

    Columns that an older toolkit did not write are NULL. One more, `filename`, tells the file.
    """
    files: dict[str, list[Path]] = {}
    for segment in segments:
        for file in sorted(segment.path.glob("*.parquet")):
            if file.stem in BY_NAME:
                files.setdefault(file.stem, []).append(file)
    return {
        kind: f"({BY_NAME[kind].empty} union all by name "
        f"select * from read_parquet([{', '.join(map(quoted, found))}], union_by_name = true, filename = true))"
        for kind, found in files.items()
    }


def not_shown(home: Path) -> str:
    """A sentence on what damaged segments keep from the reader, "" where there are none."""
    faults = [f"{each.path}: {fault}" for id in journals(home) for each in listed(home, id) if (fault := each.fault())]
    found = [*faults, *map(str, damaged(home))]
    return f"not shown is what {len(found)} damaged segments hold ({'; '.join(found)})" if found else ""


def damaged(home: Path) -> list[Path]:
    """The segments that were taken out of the way."""
    return sorted((home / FOLDER).glob(f"*/*{DAMAGED}"))


def write(home: Path, journal_id: str, connection: DuckDBPyConnection, batch: Batch, folder: Path) -> Segment:
    """Set a staged batch aside; drafted in `folder`, which is on the same disk."""
    draft = folder / "segment"
    draft.mkdir()
    kinds = [*batch.kinds, *(["contents"] if batch.contents else [])]
    for kind in kinds:
        target = draft / f"{kind}.parquet"
        connection.execute(f"copy {staged(kind)} to {quoted(target)} (format parquet)")
    sizes = {file.name: file.stat().st_size for file in draft.glob("*.parquet")}
    (draft / LISTING).write_text(json.dumps(sizes))
    path = home / FOLDER / journal_id / f"{batch.first:018d}-{batch.last:018d}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.rmtree(path)
    for written in (*draft.iterdir(), draft):
        to_disk(written)
    draft.rename(path)
    for folder in (path.parent, path.parent.parent, home):
        to_disk(folder)
    return Segment(path, batch.first, batch.last)
