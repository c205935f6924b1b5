"""The journal: what every process writes while it works, durable before it counts.

In: entries (`toolkit.ledger.entries`), from any thread, committed in order by one writer thread. Out: answers to reuse,
rows, runs and open questions; and, in the background, batches moved to the history.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from toolkit.errors import LedgerError
from toolkit.ledger import decoding
from toolkit.ledger.conversations import Said, Session
from toolkit.ledger.entries import Entry
from toolkit.ledger.homes import HISTORY, JOURNAL
from toolkit.ledger.merging.merger import Merger
from toolkit.ledger.reviews import Review
from toolkit.ledger.writing import statements
from toolkit.ledger.writing.tables import open_engine
from toolkit.ledger.writing.transaction import Transaction
from toolkit.ledger.writing.writer import Writer
from toolkit.records import Answer, Json, Place, RowRecord, RowStatus, Run

T = TypeVar("T")
LOOKED_AFTER_SECONDS = 5.0
ALL = 2**62


class Journal:
    """An open journal. Any number of processes may have the same home open; each writes and each may merge."""

    def __init__(self, home: Path, url: str | None, *, synchronous: str, max_pending: int, merges: bool) -> None:
        known = _known(home)
        self.home = home
        self.max_pending = max_pending
        self._merges = merges
        self._engine, self._dialect = open_engine(home / JOURNAL, url=url, synchronous=synchronous, known=known)
        self._local = threading.local()
        self._connections: list[Any] = []
        self._closing = threading.Lock()
        self._closed = False
        self._writer = Writer(self._connect, self._dialect)
        if url is None:
            self._writer.repeat(_still_there(home / JOURNAL), seconds=LOOKED_AFTER_SECONDS)
        self._merger = Merger(home, connect=self._connect, dialect=self._dialect, prune=self._writer.prune)
        if merges:
            self._merger.start()
        atexit.register(self.close)

    @classmethod
    def open(
        cls,
        home: Path | str = ".toolkit",
        *,
        url: str | None = None,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        max_pending: int = 4000,
        merges: bool = True,
    ) -> Journal:
        """The journal in that folder, made where there is none, migrated where it is older.

        `url` names another database than `journal.db`, e.g. `postgresql://...`. With `synchronous="FULL"` a commit is
        on the disk before it is acknowledged, and outlasts a power cut where the disk keeps its word. With `"NORMAL"`
        SQLite syncs only when its write-ahead log is checkpointed: a power cut may lose the commits since then, up to
        1,000 pages (8 MB), but not what the history has by then. A killed process loses nothing with either. Where
        several machines share a database, one of them merges into its home's history, the others are opened with
        `merges=False`. Raises LedgerError where journal or history are no such files, are damaged, cannot be written,
        or were written by a newer toolkit.
        """
        folder = Path(home)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"the home folder {folder} cannot be made: {error}; choose another home") from error
        return cls(folder, url, synchronous=synchronous, max_pending=max_pending, merges=merges)

    # -------------------------------------------------------------------------------------------------------- writing
    def write(self, *entries: Entry) -> int:
        """Hand entries over to be committed in order; returns at once with a ticket for `committed`."""
        return self._writer.put(entries)

    def write_with_more(self, *entries: Entry) -> int:
        """The same for entries that are committed together with what is written before the event loop's next turn.

        So no crash can part an attempt from the answer that comes of it at once, which would be asked for again.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._writer.put(entries)
        ticket = self._writer.put(entries, more=True)
        loop.call_soon(self._writer.release)
        return ticket

    async def room(self) -> None:
        """Wait while more than `max_pending` entries are uncommitted."""
        writer = self._writer
        if writer.written - writer.durable > self.max_pending or writer.failure is not None:
            await writer.until(writer.written - self.max_pending)
            if writer.failure is not None:
                raise writer.failure

    async def committed(self, ticket: int | None = None) -> None:
        """Wait until that ticket (default: all so far) is durable. Raises LedgerError if it could not be written."""
        writer = self._writer
        wanted = writer.written if ticket is None else ticket
        if wanted > writer.durable:
            await writer.until(wanted)

    async def decide(self, action: Callable[[Transaction], T]) -> T:
        """What an action gives that looks at the journal and writes to it in one transaction, once that is durable.

        No other process writes in between, so what it saw still holds. It runs on the writer's thread, after all that
        was written before: it is to be quick. What it raises is raised here, and what it had written is taken back.
        """
        return cast("T", await asyncio.wrap_future(self._writer.act(action)))

    def decided(self, action: Callable[[Transaction], T]) -> T:
        """The same for a thread without an event loop."""
        return cast("T", self._writer.act(action).result())

    def repeat(self, action: Callable[[Transaction], object], *, seconds: float) -> None:
        """Carry out an action now and after every so many seconds until the journal is closed.

        It comes first in its transaction. What it raises ends all writing: a process that was replaced writes
        no more.
        """
        self._writer.repeat(action, seconds=seconds)

    def flush(self) -> None:
        """Block until all so far is durable. Raises LedgerError if it could not be written."""
        self._writer.wait(self._writer.written)

    def merge(self) -> int:
        """Move what is committed to the history now; the entries moved, 0 where somebody else holds the file.

        Raises LedgerError where the history cannot be written; the journal keeps what is not there then.
        """
        return self._merger.merge()

    def close(self) -> None:
        """Commit what is queued, try to merge a last time, stop the threads. Calling it again does nothing.

        Raises LedgerError where something could not be committed. A merge that fails is told in the log only: the
        journal keeps what the history lacks.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self.close)
            failure: LedgerError | None = None
            try:
                self.flush()
                self._merger.stop(last=self._merges)
            except LedgerError as error:
                failure = error
                self._merger.stop(last=False)
            self._writer.stop()
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._engine.dispose()
            if failure is not None:
                raise failure

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------------------- looking up
    def known_keys(self, step: str) -> set[str]:
        """Keys of all answers of `workflow/step` with status answered."""
        return {key for (key,) in self._rows(statements.KNOWN_KEYS, step=step)}

    def find_answer(self, key: str, *, run_id: str | None = None, place: Place | None = None) -> Answer | None:
        """The latest answer with that key, of that run only if given; answered ones first, then the row's own."""
        own_run, own_row = (place.run_id, place.row_id) if place else ("", "")
        statement = statements.FIND_ANSWER if run_id is None else statements.FIND_ANSWER_OF_RUN
        found = self._rows(statement, key=key, run_id=run_id, own_run=own_run, own_row=own_row)
        return decoding.answer(found[0][0]) if found else None

    def step_values(self, run_id: str, step: str) -> list[tuple[str, Json]]:
        """(row id, value) of the answered answers of `workflow/step` at turn 0 and repeat 0, by the rows' index."""
        found = self._rows(statements.STEP_VALUES, run_id=run_id, step=step)
        return [(row_id, decoding.answer_value(body)) for row_id, body in found]

    def row_fields(self, run_id: str) -> list[tuple[str, Mapping[str, Json]]]:
        """(row id, fields) of the rows of a run, by their index; rows of nested workflows are none of them."""
        rows = [decoding.row(body) for (body,) in self._rows(statements.ROWS, run_id=run_id)]
        return [(row.row_id, row.fields) for row in rows if row.parent_row_id is None]

    def row(self, run_id: str, row_id: str) -> RowRecord | None:
        """A row as it last ended, None where it has not or is unknown."""
        found = self._rows(statements.ROW, run_id=run_id, row_id=row_id)
        return decoding.row(found[0][0]) if found else None

    def row_statuses(self, run_id: str) -> dict[str, RowStatus]:
        """Row id → how it ended, by the rows' index."""
        found = self._rows(statements.ROW_STATUSES, run_id=run_id)
        return {row_id: cast(RowStatus, status) for row_id, status in found}

    def run(self, run_id: str) -> Run | None:
        """The run with that id as it was last written, None where there is none."""
        found = self._rows(statements.RUN, run_id=run_id)
        return decoding.run(found[0][0]) if found else None

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        return [decoding.run(body) for (body,) in self._rows(statements.RUNS)]

    def parked(
        self, run_id: str | None = None, *, person: str | None = None, most: int | None = None, skip: int = 0
    ) -> list[Review]:
        """Open questions to persons, longest waiting first; of that run, of that person, so many of them alone."""
        name = statements.asked_of(person)
        found = self._rows(statements.PARKED, run_id=run_id, person=name, most=most or ALL, skip=skip)
        return [decoding.review(body) for (body,) in found]

    def count_parked(self, run_id: str | None = None, *, person: str | None = None) -> int:
        """How many they are."""
        return int(self._rows(statements.COUNT_PARKED, run_id=run_id, person=statements.asked_of(person))[0][0])

    def review(self, place: Place, key: str) -> Review | None:
        """The question with that key at that place, as it is now; None where there is none (any more)."""
        at: dict[str, str | float | None] = {name: getattr(place, name) for name in Place.__slots__}
        found = self._rows(statements.REVIEW, key=key, **at)
        return decoding.review(found[0][0]) if found else None

    def waiting_for(self, key: str) -> list[Review]:
        """The open questions that the answer with that key would end, in all runs."""
        return [decoding.review(body) for (body,) in self._rows(statements.REVIEWS_OF_KEY, key=key)]

    def review_places(self) -> list[tuple[Place, str, str]]:
        """Place, key and status of every question, without its words."""
        return [(Place(*place), key, status) for *place, key, status in self._rows(statements.REVIEW_PLACES)]

    def reviews(self, run_id: str | None = None) -> list[Review]:
        """All questions to persons, those that ended too, of that run only if given, in the order they were asked."""
        statement = statements.REVIEWS if run_id is None else statements.REVIEWS_OF_RUN
        return [decoding.review(body) for (body,) in self._rows(statement, run_id=run_id)]

    def reviewed_runs(self) -> list[str]:
        """Ids of the runs with questions to persons that have ended."""
        return [run_id for (run_id,) in self._rows(statements.REVIEWED_RUNS)]

    def parked_rows(self, run_id: str) -> list[RowRecord]:
        """The rows of a run that wait for a person, those of nested workflows too, by their index."""
        return [decoding.row(body) for (body,) in self._rows(statements.PARKED_ROWS, run_id=run_id)]

    def session(self, session_id: str) -> Session | None:
        """The conversation with that id, None where there is none."""
        found = self._rows(statements.SESSION, session_id=session_id)
        return decoding.session(found[0][0]) if found else None

    def session_named(self, name: str) -> Session | None:
        """The conversation with that id or name, the newest where several have it; None where there is none."""
        found = self._rows(statements.SESSION_NAMED, name=name)
        return decoding.session(found[0][0]) if found else None

    def messages(self, session_id: str) -> list[Said]:
        """What was said in a conversation, in order."""
        return [decoding.said(body) for (body,) in self._rows(statements.MESSAGES, session_id=session_id)]

    def gates(self, *, since: float) -> list[tuple[str, str, float]]:
        """(name, body, changed at) of the gates of models that changed since then, in seconds since 1970."""
        found = self._rows(statements.GATES, since=since)
        return [(name, body, changed_at) for name, body, changed_at in found]

    # -------------------------------------------------------------------------------------------------------- helpers
    def _connect(self) -> Any:
        connection = self._engine.raw_connection()
        raw = connection.driver_connection
        connection.detach()
        return raw

    def _rows(self, statement: str, **parameters: str | float | None) -> list[tuple[Any, ...]]:
        """Rows of a query on the calling thread's own connection."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            if self._closed:
                raise LedgerError("the journal is closed; open it again to read")
            connection = self._local.connection = self._connect()
            self._connections.append(connection)
        try:
            return cast(
                "list[tuple[Any, ...]]", connection.execute(self._dialect.sql(statement), parameters).fetchall()
            )
        except Exception as error:
            raise LedgerError(f"the journal in {self.home} could not be read: {error}") from error


def _still_there(path: Path) -> Callable[[Transaction], None]:
    """An action that raises LedgerError where the file is no longer the one that was opened: it takes in nothing."""
    opened = path.stat().st_ino

    def check(_transaction: Transaction) -> None:
        try:
            found = path.stat().st_ino
        except OSError:
            found = None
        if found != opened:
            gone = "was deleted or moved" if found is None else "was replaced by another file"
            raise LedgerError(
                f"the journal {path} {gone} while this process wrote to it; what was recorded since is not there; "
                "put it back if you can, then resume: what is in the history or the journal is not asked again"
            )

    return check


def _known(home: Path) -> Mapping[str, int] | None:
    """Journal id → the number of its last entry that is in the history or set aside; None where somebody holds that.

    Raises LedgerError now, and not at the first merge, where the history is newer than we are or no history.
    """
    if not (home / HISTORY).exists() and not (home / "segments").exists():
        return {}
    from toolkit.ledger.history import file as history_file
    from toolkit.ledger.merging import segments  # takes 0.2 s, so not where it is not needed

    known = history_file.reached_by(home / HISTORY)
    if known is not None:
        for journal_id in segments.journals(home):
            aside = (segment.last for segment in segments.listed(home, journal_id))
            known[journal_id] = max(known.get(journal_id, 0), *aside, 0)
    return known
