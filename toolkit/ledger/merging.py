"""Moving what the journal has committed into the history.

Idempotent by construction. The journal numbers its entries in the order of their commits and never gives a number
twice. The history keeps, per journal, the number of the last entry it has (`merged.seq`), written in the *same*
transaction as the entries themselves; a merge takes only entries with greater numbers. So a process killed before that
commit has moved nothing, and one killed after it, but before the log was pruned, leaves entries that the next merge
skips and prunes. Contents carry their own name (their hash), and are added where the history has none of that name.

Whoever gets `merge.lock` is the one who merges. The history is opened for writing only when everything is parsed
(`toolkit.ledger.staging`), and is closed after each batch. While others keep it closed to us, large batches are set
aside as Parquet (`toolkit.ledger.segments`) so that the log stays short.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import LedgerError
from toolkit.ledger.statements import ANYTHING, JOURNAL_ID, Dialect

if TYPE_CHECKING:
    import duckdb

    from toolkit.ledger.segments import Segment
    from toolkit.ledger.staging import Batch

EVERY_SECONDS = 1.0
SPILL_ENTRIES = 5_000
_SHARE_OF_TIME = 0.1

_logger = logging.getLogger(__name__)


class Merger:
    """Merges the journal of one home, on a thread of its own and on demand.

    `connect` gives a raw connection to the journal; `prune` deletes what was moved; `reached` is told the names of
    the points between which a process may be killed (for tests).
    """

    def __init__(
        self,
        home: Path,
        *,
        connect: Callable[[], Any],
        dialect: Dialect,
        prune: Callable[..., None],
        reached: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.home = home
        self.reached = reached
        self._connect, self._dialect, self._prune = connect, dialect, prune
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._after = 0
        self._after_contents = 0
        self._blocked = False
        self._journal: Any = None
        self._journal_id = ""
        self._thread = threading.Thread(target=self._work, name="journal-merger", daemon=True)

    def start(self) -> None:
        """Merge from now on, about every second while there is anything to merge."""
        self._thread.start()

    def merge(self, *, patience: float = 1.0) -> int:
        """Move everything that is committed; the entries moved, 0 where somebody else holds the file or merges."""
        with self._turn, _role(self.home, patience) as mine:
            if not mine or not self._anything():
                return 0
            return self._merge_all()

    def stop(self, *, last: bool) -> None:
        """End the thread, after a last merge if wanted. Raises LedgerError where the history is unusable."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            if last:
                self.merge()
        finally:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    # ------------------------------------------------------------------------------------------------ on the thread
    def _work(self) -> None:
        pause = EVERY_SECONDS
        while not self._stop.wait(pause):
            started = time.monotonic()
            try:
                self.merge(patience=0.0)
            except LedgerError as error:
                _logger.error("the journal is kept, but no longer merged into the history: %s", error)
                return
            except Exception as error:
                _logger.warning("merging into the history failed and is tried again: %s", error)
            pause = max(EVERY_SECONDS, (time.monotonic() - started) / _SHARE_OF_TIME)

    # ------------------------------------------------------------------------------------------------------- merging
    def _merge_all(self) -> int:
        from toolkit.ledger import history_file, segments

        path = self.home / history_file.NAME
        if self._blocked and self._pending() < SPILL_ENTRIES:
            try:
                history_file.probe(path)
            except history_file.Held:
                return 0
        for leftover in self.home.glob("staging-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="staging-", dir=self.home))
        connection = history_file.memory_database(folder, threads=1)
        moved = 0
        try:
            self._blocked = False
            for segment in segments.listed(self.home, self._journal_id):
                if not self._blocked:
                    moved += self._merge_segment(connection, path, segment)
                self._after = max(self._after, segment.last)
            while True:
                batch = self._stage(connection, folder)
                if not batch.entries and not batch.contents:
                    return moved
                try:
                    if self._blocked:
                        raise history_file.Held("the history was held a moment ago", None)
                    moved += self._merge_batch(connection, path, batch)
                except history_file.Held:
                    self._blocked = True
                    if batch.entries < SPILL_ENTRIES:
                        return moved
                    segments.write(self.home, self._journal_id, connection, batch, folder)
                    self.reached("spilled")
                self._done(batch)
                if not batch.more:
                    return moved
        finally:
            connection.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _stage(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> Batch:
        from toolkit.ledger import staging

        for statement in self._dialect.snapshot:
            self._journal.execute(statement)
        try:
            return staging.stage(
                self._journal,
                connection,
                folder,
                dialect=self._dialect,
                after=self._after,
                after_contents=self._after_contents,
            )
        finally:
            self._journal.execute("commit")

    def _merge_batch(self, connection: duckdb.DuckDBPyConnection, path: Path, batch: Batch) -> int:
        from toolkit.ledger import staging

        sources = {kind: staging.staged(kind) for kind in batch.kinds}
        if batch.contents:
            sources["contents"] = staging.staged("contents")
        return self._move(connection, path, sources, batch.last)

    def _merge_segment(self, connection: duckdb.DuckDBPyConnection, path: Path, segment: Segment) -> int:
        from toolkit.ledger import history_file

        try:
            moved = self._move(connection, path, segment.sources(), segment.last)
        except history_file.Held:
            self._blocked = True
            return 0
        segment.remove()
        return moved

    def _move(self, connection: duckdb.DuckDBPyConnection, path: Path, sources: dict[str, str], last: int) -> int:
        """Move kind → where it is staged, in one transaction with the watermark."""
        from toolkit.ledger import history_file
        from toolkit.ledger.moving import move

        with history_file.open_to_write(connection, path):
            connection.execute("begin")
            moved = move(connection, sources, journal_id=self._journal_id, last=last)
            self.reached("before_history_commit")
            connection.execute("commit")
            self.reached("after_history_commit")
        return moved

    def _done(self, batch: Batch) -> None:
        self._after = max(self._after, batch.last)
        self._after_contents = max(self._after_contents, batch.last_content)
        self._prune(log=batch.last, contents=batch.last_content)

    # --------------------------------------------------------------------------------------------------- the journal
    def _anything(self) -> bool:
        if self._journal is None:
            self._journal = self._connect()
            self._journal_id = self._journal.execute(JOURNAL_ID).fetchone()[0]
        return bool(self._journal.execute(ANYTHING).fetchone()[0]) or (self.home / "segments").exists()

    def _pending(self) -> int:
        found = self._journal.execute("select coalesce(max(seq) - min(seq) + 1, 0) from log").fetchone()
        return int(found[0])


@contextmanager
def _role(home: Path, patience: float) -> Iterator[bool]:
    """Whether we are the one who merges now; the operating system takes the role from a process that dies."""
    connection = sqlite3.connect(home / "merge.lock", timeout=patience, isolation_level=None)
    try:
        try:
            connection.execute("begin exclusive")
        except sqlite3.OperationalError:
            yield False
            return
        yield True
    finally:
        connection.close()
