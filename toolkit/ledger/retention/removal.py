"""What taking content off the record comes to: how much went, what was spared, and the line that it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.ledger.homes import HISTORY, JOURNAL
from toolkit.ledger.merging import segments

Kind = Literal["contents", "runs", "subject"]
Told = Callable[[str, int, int], None]
"""Is told what is being done, how many parts of it are done, and of how many."""


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Removal:
    """What went, or would go: counts of what lost content, and the bytes of text that it had.

    `runs` lost content, or their rows where the kind is "runs". `shared` counts contents that were kept since attempts
    of others refer to them, `mentions` rows of tables in which the subject was named and is not any more. `spared` are
    runs that the rule meant but that are under way; `notes` are sentences on what is left to do, where anything is.
    Sizes are those of the home's files, 0 before anything was done.
    """

    kind: Kind
    rule: str
    runs: int = 0
    rows: int = 0
    attempts: int = 0
    contents: int = 0
    bytes: int = 0
    shared: int = 0
    mentions: int = 0
    spared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_done: bool = False
    bytes_before: int = 0
    bytes_after: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take off the record."""
        return not (self.runs or self.rows or self.contents or self.mentions)


def home_bytes(home: Path) -> int:
    """The size of journal, history and what is set aside between them."""
    names = (JOURNAL, f"{JOURNAL}-wal", HISTORY, f"{HISTORY}.wal")
    files = [home / name for name in names]
    files += [file for file in (home / segments.FOLDER).rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files if file.exists())
