"""Facts about a home for whoever has to find out what is wrong: never raises, changes nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import LedgerError
from toolkit.ledger import history_file, migrations, schema, segments
from toolkit.ledger.statements import JOURNAL_ID, PENDING


@dataclass(frozen=True)
class Facts:
    """What there is in a home. Sizes are bytes with SQLite's write-ahead log, versions None where unknown.

    `held_by` is the process that keeps others from merging; `problems` are sentences for a person.
    """

    home: Path
    journal_path: Path
    journal_bytes: int = 0
    journal_version: int | None = None
    pending_entries: int | None = None
    pending_contents: int | None = None
    segments: int = 0
    segment_bytes: int = 0
    history_path: Path = Path()
    history_bytes: int = 0
    history_version: int | None = None
    known_version: int = schema.VERSION
    held_by: int | None = None
    problems: tuple[str, ...] = ()


def facts(home: Path | str = ".toolkit") -> Facts:
    """The facts of that home, its journal being the home's own `journal.db`."""
    folder = Path(home)
    journal, history = folder / "journal.db", folder / history_file.NAME
    problems: list[str] = []
    if not journal.exists() and not history.exists():
        problems.append(f"there is neither journal nor history in {folder}: nothing has run here yet")
    version, entries, contents, journal_id = _journal(journal, problems)
    aside = segments.listed(folder, journal_id) if journal_id else []
    return Facts(
        home=folder,
        journal_path=journal,
        journal_bytes=_size(journal) + _size(folder / "journal.db-wal"),
        journal_version=version,
        pending_entries=entries,
        pending_contents=contents,
        segments=len(aside),
        segment_bytes=sum(_size(file) for segment in aside for file in segment.path.glob("*")),
        history_path=history,
        history_bytes=_size(history),
        history_version=_history(history, problems),
        held_by=_holder(history, problems),
        problems=tuple(problems),
    )


def _journal(path: Path, problems: list[str]) -> tuple[int | None, int | None, int | None, str | None]:
    if not path.exists():
        return None, None, None, None
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        entries, contents = connection.execute(PENDING).fetchone()
        version = connection.execute("select value from meta where name = 'schema_version'").fetchone()
        return int(version[0]), entries, contents, connection.execute(JOURNAL_ID).fetchone()[0]
    except sqlite3.DatabaseError as error:
        problems.append(f"the journal {path} cannot be read: {error}")
        return None, None, None, None
    finally:
        connection.close()


def _history(path: Path, problems: list[str]) -> int | None:
    if not path.exists():
        return None
    try:
        connection = history_file.open_to_read(path)
    except history_file.Held:
        return None
    except LedgerError as error:
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
    except LedgerError:
        return None  # told by _history
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
