"""Moving what the journal has committed into the history.

Idempotent by construction. The journal numbers its entries in the order of their commits and never gives a number
twice. The history keeps, per journal, the number of the last entry it has (`merged.seq`), written in the *same*
transaction as the entries themselves; a merge takes only entries with greater numbers. So a process killed before that
commit has moved nothing, and one killed after it, but before the log was pruned, leaves entries that the next merge
skips and prunes. Contents carry their own name (their hash), and are added where the history has none of that name.
Only what a closed history holds is pruned: its write-ahead log is empty by then. Where a journal is copied or put back
from a backup, numbers would be given twice after all; then it gets a new id (`lineage`), which a merge
reads in the same snapshot as the entries.

Whoever gets `merge.lock` is the one who merges. The history is opened for writing only when everything is parsed
(`staging`), and is closed after each batch. While others keep it closed to us, large batches are set
aside as Parquet (`segments`) so that the log stays short.

A merge that fails changes nothing: the journal keeps what the history lacks, and the next merge takes it up.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import LedgerError
from toolkit.ledger.faults import remedy, said
from toolkit.ledger.homes import HISTORY
from toolkit.ledger.merging.lineage import Lineage
from toolkit.ledger.merging.role import role
from toolkit.ledger.writing.statements import ANYTHING, Dialect

if TYPE_CHECKING:
    import duckdb

    from toolkit.ledger.merging.segments import Segment
    from toolkit.ledger.merging.staging import Batch

EVERY_SECONDS = 1.0
SPILL_ENTRIES = 5_000
_SHARE_OF_TIME, _SHARE_WHILE_HELD = 0.1, 0.5
_LONGEST_PAUSE = 60.0

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
        self._told = ""
        self._thread = threading.Thread(target=self._work, name="journal-merger", daemon=True)

    def start(self) -> None:
        """Merge from now on, about every second while there is anything to merge."""
        self._thread.start()

    def merge(self, *, patience: float = 1.0) -> int:
        """Move everything that is committed; the entries moved, 0 where somebody else holds the file or merges.

        Raises LedgerError where the history cannot be written; the journal keeps what is not there then.
        """
        with self._turn:
            try:
                with role(self.home, patience=patience) as mine:
                    return self._merge_all() if mine and self._anything() else 0
            except Exception as error:
                self._disconnect()
                raise error if isinstance(error, LedgerError) else _failed(self.home, error) from error

    def stop(self, *, last: bool) -> None:
        """End the thread, after a last merge if wanted; where that fails the log says so, and a later merge does it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            if last:
                self.merge()
        except LedgerError as error:
            _logger.error("%s", error)
        finally:
            self._disconnect()

    # ------------------------------------------------------------------------------------------------ on the thread
    def _work(self) -> None:
        pause = EVERY_SECONDS
        while not self._stop.wait(pause):
            started = time.monotonic()
            try:
                self.merge(patience=0.0)
                self._tell("")
                share = _SHARE_WHILE_HELD if self._blocked else _SHARE_OF_TIME
                pause = max(EVERY_SECONDS, (time.monotonic() - started) / share)
            except LedgerError as error:
                self._tell(str(error))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _tell(self, problem: str) -> None:
        """Log a problem when it comes and when it goes, not each time it is met."""
        if problem and problem != self._told:
            _logger.error("%s; merging is tried again while the batch goes on", problem)
        elif self._told and not problem:
            _logger.warning("merging into the history in %s works again", self.home)
        self._told = problem

    # ------------------------------------------------------------------------------------------------------- merging
    def _merge_all(self) -> int:
        from toolkit.ledger.history import file as history_file

        path = self.home / HISTORY
        if self._blocked and self._pending() < SPILL_ENTRIES:
            try:
                history_file.probe(path)
            except history_file.Held:
                return 0
        sweep(self.home)
        folder = Path(tempfile.mkdtemp(prefix="staging-", dir=self.home))
        connection = history_file.memory_database(folder, threads=1)
        try:
            self._blocked = False
            return self._merge_segments(connection, path, folder) + self._merge_log(connection, path, folder)
        finally:
            connection.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _merge_log(self, connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> int:
        from toolkit.ledger.history import file as history_file
        from toolkit.ledger.merging import segments

        moved = 0
        while True:
            batch, lineage = self._stage(connection, folder, after=self._after)
            if not batch.entries and not batch.contents:
                return moved
            try:
                if self._blocked:
                    raise history_file.Held("the history was held a moment ago", None)
                moved += self._move_batch(connection, path, batch, lineage)
            except history_file.Held:
                self._blocked = True
                if batch.entries < SPILL_ENTRIES:
                    return moved
                self.reached("spilling")
                segments.write(self.home, lineage.id, connection, batch, folder)
                self.reached("spilled")
            self._done(batch)
            if not batch.more:
                return moved

    def _stage(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, *, after: int, entries: int | None = None
    ) -> tuple[Batch, Lineage]:
        """The next entries, and whose they are, as one snapshot of the journal has them."""
        from toolkit.ledger.merging import staging

        for statement in self._dialect.snapshot:
            self._journal.execute(statement)
        try:
            lineage = Lineage.of(self._journal)
            batch = staging.stage(
                self._journal,
                connection,
                folder,
                dialect=self._dialect,
                after=after,
                after_contents=self._after_contents,
                entries=staging.ENTRIES if entries is None else entries,
            )
        finally:
            self._journal.execute("commit")
        self.reached("staged")
        return batch, lineage

    def _move_batch(self, connection: duckdb.DuckDBPyConnection, path: Path, batch: Batch, lineage: Lineage) -> int:
        from toolkit.ledger.merging import staging

        sources = {kind: staging.staged(kind) for kind in batch.kinds}
        if batch.contents:
            sources["contents"] = staging.staged("contents")
        return self._move(connection, path, sources, lineage=lineage, first=batch.first, last=batch.last)

    def _move(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        sources: dict[str, str],
        *,
        lineage: Lineage,
        first: int | None,
        last: int,
    ) -> int:
        """Move kind → where it is staged, in one transaction with the watermark.

        With `first` the log tells of numbers before it that the history lacks.
        """
        from toolkit.ledger.history import file as history_file
        from toolkit.ledger.merging.lineage import watermarks
        from toolkit.ledger.merging.moving import move

        with history_file.open_to_write(connection, path, reached=self.reached):
            connection.execute("begin")
            since = lineage.reached(watermarks(connection, history_file.CATALOG))
            moved = move(connection, sources, lineage=lineage, last=last)
            self.reached("before_history_commit")
            connection.execute("commit")
            self.reached("after_history_commit")
        self.reached("history_closed")
        if first is not None and first > since + 1 and self._dialect.name == "sqlite":  # PostgreSQL leaves numbers out
            _logger.warning(
                "%s lacks the entries %d to %d of journal %s: they were moved into another file, or are damaged",
                *(path, since + 1, first - 1, lineage.id),
            )
        return moved

    # ------------------------------------------------------------------------------------------------------ segments
    def _merge_segments(self, connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> int:
        """Move what was set aside, oldest first: of this journal, of its earlier ids, of one that is gone."""
        from toolkit.ledger.history import file as history_file
        from toolkit.ledger.merging import segments

        moved = 0
        last: dict[str, int] = {}
        for journal_id in segments.journals(self.home):
            for segment in segments.listed(self.home, journal_id):
                try:
                    moved += self._merge_segment(connection, path, segment, folder)
                except history_file.Held:
                    self._blocked = True
                last[journal_id] = segment.last
        self._after = max(self._after, Lineage.of(self._journal).reached(last))
        return moved

    def _merge_segment(self, connection: duckdb.DuckDBPyConnection, path: Path, segment: Segment, folder: Path) -> int:
        """The entries moved, 0 while the history is held. A damaged segment is taken out of the way."""
        import duckdb

        fault = segment.fault()
        if not fault and not self._blocked:
            lineage = Lineage.of(self._journal)
            first = segment.first if lineage.id == segment.journal_id else None
            lineage = lineage if first is not None else Lineage(segment.journal_id)
            try:
                moved = self._move(connection, path, segment.sources(), lineage=lineage, first=first, last=segment.last)
            except duckdb.Error:
                fault = segment.fault(connection)
                if not fault:
                    raise
            else:
                self.reached("segment_merged")
                segment.remove()
                self.reached("segment_removed")
                return moved
        return self._set_aside(connection, path, segment, folder, fault=fault) if fault else 0

    def _set_aside(
        self, connection: duckdb.DuckDBPyConnection, path: Path, segment: Segment, folder: Path, *, fault: str
    ) -> int:
        """Rename a damaged segment, after moving what the journal may still have of it; the entries moved."""
        from toolkit.ledger.history import file as history_file

        moved = 0
        if segment.journal_id == Lineage.of(self._journal).id:
            wanted = segment.last - segment.first + 1
            batch, lineage = self._stage(connection, folder, after=segment.first - 1, entries=wanted)
            if 0 < batch.first <= segment.last:
                if self._blocked:
                    raise history_file.Held("the history was held a moment ago", None)
                moved = self._move_batch(connection, path, batch, lineage)
        kept = segment.set_aside()
        _logger.error(
            "a segment of the journal is damaged (%s): of its entries %d to %d the history has %d; it is kept as %s, "
            "and is merged when its files are mended and it is named without .damaged",
            *(fault, segment.first, segment.last, moved, kept),
        )
        return moved

    # --------------------------------------------------------------------------------------------------- the journal
    def _done(self, batch: Batch) -> None:
        self._after = max(self._after, batch.last)
        self._after_contents = max(self._after_contents, batch.last_content)
        self._prune(log=batch.last, contents=batch.last_content)

    def _anything(self) -> bool:
        from toolkit.ledger.merging import segments

        if self._journal is None:
            sweep(self.home)
            self._journal = self._connect()
        if self._journal.execute(ANYTHING).fetchone()[0]:
            return True
        return any(segments.listed(self.home, journal_id) for journal_id in segments.journals(self.home))

    def _pending(self) -> int:
        found = self._journal.execute("select coalesce(max(seq) - min(seq) + 1, 0) from log").fetchone()
        return int(found[0])

    def _disconnect(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def sweep(home: Path) -> None:
    """Remove what killed processes left half made; only whoever has the role makes such things."""
    for leftover in (*home.glob("staging-*"), *home.glob("segments/*/*.merged")):
        shutil.rmtree(leftover, ignore_errors=True)
    for leftover in home.glob(".*.draft-*"):
        leftover.unlink(missing_ok=True)


def _failed(home: Path, error: Exception) -> LedgerError:
    """What stopped a merge, for a person."""
    advice = remedy(error) or (
        f"if a file is damaged, put a backup in its place, or move {home / HISTORY} away: a new one is made"
    )
    return LedgerError(
        f"moving the record into the history failed in {home}: {said(error)}; the journal keeps what the history "
        f"lacks; {advice}"
    )
