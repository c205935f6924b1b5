"""Facts about a home for whoever has to find out what is wrong: never raises, changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import LedgerError
from toolkit.ledger.history import file as history_file
from toolkit.ledger.history import migrations, schema
from toolkit.ledger.homes import HISTORY, JOURNAL, has_record
from toolkit.ledger.merging import segments
from toolkit.ledger.writing import file as journal_file
from toolkit.ledger.writing.statements import PENDING


@dataclass(frozen=True)
class Facts:
    """What there is in a home. Sizes are bytes with SQLite's write-ahead log, versions None where unknown.

    `held_by` is the process that keeps others from merging; `damaged_segments` were taken out of the way, and hold
    what the history lacks; `problems` are sentences for a person.
    """

    home: Path
    journal_path: Path
    journal_bytes: int = 0
    journal_version: int | None = None
    pending_entries: int | None = None
    pending_contents: int | None = None
    segments: int = 0
    segment_bytes: int = 0
    damaged_segments: int = 0
    history_path: Path = Path()
    history_bytes: int = 0
    history_version: int | None = None
    known_version: int = schema.VERSION
    held_by: int | None = None
    problems: tuple[str, ...] = ()


def facts(home: Path | str = ".toolkit") -> Facts:
    """The facts of that home, its journal being the home's own `journal.db`."""
    folder = Path(home)
    journal, history = folder / JOURNAL, folder / HISTORY
    problems: list[str] = []
    if not has_record(folder):
        problems.append(f"there is neither journal nor history in {folder}: nothing has run here yet")
    version, entries, contents = _journal(journal, problems)
    aside = _aside(folder, problems)
    return Facts(
        home=folder,
        journal_path=journal,
        journal_bytes=_size(journal) + _size(folder / f"{JOURNAL}-wal"),
        journal_version=version,
        pending_entries=entries,
        pending_contents=contents,
        segments=len(aside),
        segment_bytes=sum(_size(file) for segment in aside for file in segment.path.glob("*")),
        damaged_segments=len(segments.damaged(folder)),
        history_path=history,
        history_bytes=_size(history),
        history_version=_history(history, problems),
        held_by=_holder(history, problems),
        problems=tuple(problems),
    )


def _journal(path: Path, problems: list[str]) -> tuple[int | None, int | None, int | None]:
    try:
        if not path.exists():
            return None, None, None
        with closing(journal_file.open_to_read(path)) as connection:
            entries, contents = connection.execute(PENDING).fetchone()
            version = connection.execute("select value from meta where name = 'schema_version'").fetchone()
            return int(version[0]), entries, contents
    except (OSError, sqlite3.Error, TypeError, ValueError) as error:
        problems.append(f"the journal {path} cannot be read: {error}")
        return None, None, None


def _aside(home: Path, problems: list[str]) -> list[segments.Segment]:
    """The segments that wait to be merged; those that are damaged are told."""
    try:
        found = [each for journal_id in segments.journals(home) for each in segments.listed(home, journal_id)]
        problems += [f"the segment {each.path} is damaged: {fault}" for each in found if (fault := each.fault())]
        problems += [
            f"the segment {path} was found damaged: the history lacks its entries until its files are mended and it is "
            f"named without {segments.DAMAGED}"
            for path in segments.damaged(home)
        ]
    except OSError as error:
        problems.append(f"the segments in {home} cannot be read: {error}")
        return []
    return found


def _history(path: Path, problems: list[str]) -> int | None:
    try:
        if not path.exists():
            return None
        connection = history_file.open_to_read(path)
    except history_file.Held:
        return None
    except (LedgerError, OSError) as error:
        problems.append(str(error))
        return None
    try:
        return migrations.version_of(connection, history_file.CATALOG)
    finally:
        history_file.close(connection, path)


def _holder(path: Path, problems: list[str]) -> int | None:
    try:
        history_file.probe(path)
    except history_file.Held as held:
        who = f"process {held.pid}" if held.pid else "another process"
        problems.append(f"{who} keeps {path.name} open, so nothing is merged until it closes it; reading goes on")
        return held.pid
    except (LedgerError, OSError):
        return None  # told by _history, or of no matter to readers
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
