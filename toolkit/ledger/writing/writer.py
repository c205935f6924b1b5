"""The journal's writer: one thread that commits what others hand over, in order and in groups.

In: entries from any thread (`put`), which return at once with a ticket. Out: durable rows, and whoever waits for a
ticket is woken. Merged entries are pruned here too, a few with each commit, so that pruning never delays a commit.

While another thread computes, the interpreter's lock comes back to this one only after a while, once for each
statement: hence few statements to a commit, whatever is in it, and a shorter while than Python's 5 ms. That is a
setting of the whole process; beside a busy event loop commits are twice as late with 0.5 ms, eight times with 5 ms.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from toolkit.errors import LedgerError
from toolkit.ledger.entries import Entry
from toolkit.ledger.writing.statements import PRUNE_CONTENTS, PRUNE_LOG, UPSERTS, Dialect

BATCH_ENTRIES = 2000
SWITCH_SECONDS = 0.0001
PRUNED_WHEN_BUSY, PRUNED_WHEN_IDLE, PRUNED_AT_END = 500, 1_000, 10_000


@dataclass
class _Waiter:
    ticket: int
    loop: asyncio.AbstractEventLoop | None
    done: asyncio.Future[None] | threading.Event


class Writer:
    """Owns the writer thread. `connect` gives a raw connection in autocommit mode, used by that thread alone."""

    def __init__(self, connect: Callable[[], Any], dialect: Dialect) -> None:
        self._connect = connect
        self._log = functools.cache(lambda kinds: dialect.sql(dialect.insert_log(kinds)))
        self._contents = dialect.sql(dialect.insert_contents())
        self._upserts = {table.table: dialect.sql(dialect.upsert(table)) for table in UPSERTS}
        self._settings, self._begin, self._payload = dialect.writer, dialect.begin, dialect.payload
        self._prunings = {"log": dialect.sql(PRUNE_LOG), "contents": dialect.sql(PRUNE_CONTENTS)}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._queue: deque[Entry] = deque()
        self._waiters: list[_Waiter] = []
        self._prunes: dict[str, int] = {}
        self._stopping = False
        self.written = 0
        self.durable = 0
        self.failure: LedgerError | None = None
        sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)
        self._thread.start()

    def put(self, entries: Iterable[Entry]) -> int:
        """Queue entries; the ticket that is durable when they are."""
        with self._lock:
            if self.failure is not None or self._stopping:
                raise self.failure or LedgerError("the journal is closed; open it again to write")
            before = len(self._queue)
            self._queue.extend(entries)
            self.written += len(self._queue) - before
            ticket = self.written
        if not self._wake.is_set():
            self._wake.set()
        return ticket

    async def until(self, ticket: int) -> None:
        """Wait until that ticket is durable. Raises LedgerError where it will never be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._enlist(_Waiter(ticket, loop, future)):
            await future
        self._check(ticket)

    def wait(self, ticket: int) -> None:
        """The same for a thread without an event loop."""
        event = threading.Event()
        if self._enlist(_Waiter(ticket, None, event)):
            event.wait()
        self._check(ticket)

    def prune(self, *, log: int = 0, contents: int = 0) -> None:
        """Delete log entries and contents up to these numbers: they are kept elsewhere now."""
        with self._lock:
            if log:
                self._prunes["log"] = max(log, self._prunes.get("log", 0))
            if contents:
                self._prunes["contents"] = max(contents, self._prunes.get("contents", 0))
        self._wake.set()

    def stop(self) -> None:
        """Commit what is queued, prune what is to be pruned, end the thread."""
        with self._lock:
            self._stopping = True
        self._wake.set()
        self._thread.join()

    # ------------------------------------------------------------------------------------------------ on the thread
    def _work(self) -> None:
        connection = None
        try:
            connection = self._connect()
            for statement in self._settings:
                connection.execute(statement)
            while True:
                self._wake.wait()
                self._wake.clear()
                while self._queue or self._prunes:
                    self._commit(connection)
                if self._stopping and not self._queue:
                    return
        except Exception as error:
            self._fail(error)
        finally:
            if connection is not None:
                connection.close()

    def _commit(self, connection: Any) -> None:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ENTRIES))]
            pruned = next(iter(self._prunes.items()), None)
        cursor = connection.cursor()
        for statement in self._begin:
            cursor.execute(statement)
        if batch:
            self._insert(cursor, batch)
        busy = max(PRUNED_WHEN_BUSY, 3 * len(batch) // 2)  # more than comes in, or the log would grow for ever
        most = PRUNED_AT_END if self._stopping else busy if batch else PRUNED_WHEN_IDLE
        more = False
        if pruned is not None:
            table, until = pruned
            cursor.execute(self._prunings[table], {"until": until, "entries": most})
            more = cursor.rowcount >= most
        cursor.execute("commit")
        with self._lock:
            if pruned is not None:
                latest = self._prunes.pop(table)
                if more or latest > until:
                    self._prunes[table] = latest  # behind the other table: they take turns
            self.durable += len(batch)
            ready = [waiter for waiter in self._waiters if waiter.ticket <= self.durable]
            if ready:
                self._waiters = [waiter for waiter in self._waiters if waiter.ticket > self.durable]
        _notify(ready)

    def _insert(self, cursor: Any, batch: list[Entry]) -> None:
        kinds: dict[str, list[Entry]] = {}
        for entry in batch:
            kinds.setdefault(entry.kind, []).append(entry)
        contents = kinds.pop("contents", [])
        if contents:
            pairs = (b'["%b",%b]' % (entry.id.encode(), entry.body) for entry in contents)
            cursor.execute(self._contents, {"batch": self._payload(pairs)})
        if kinds:
            bodies = [entry.body for entries in kinds.values() for entry in entries]
            places: dict[str, Any] = {"batch": self._payload(bodies)}
            until = 0
            for number, (kind, entries) in enumerate(kinds.items()):
                until += len(entries)
                places |= {f"kind_{number}": kind, f"until_{number}": until}
            cursor.execute(self._log(len(kinds)), places)
        for kind, entries in kinds.items():
            if kind in self._upserts:
                latest = {entry.id: entry.body for entry in entries}
                cursor.execute(self._upserts[kind], {"batch": self._payload(latest.values())})

    # --------------------------------------------------------------------------------------------------- bookkeeping
    def _enlist(self, waiter: _Waiter) -> bool:
        with self._lock:
            if waiter.ticket <= self.durable or self.failure is not None:
                return False
            self._waiters.append(waiter)
            return True

    def _check(self, ticket: int) -> None:
        if ticket > self.durable and self.failure is not None:
            raise self.failure

    def _fail(self, error: Exception) -> None:
        failure = LedgerError(
            f"the journal could not be written: {error}; what was not committed is lost; "
            "make room or free the file, then run again: finished steps are not repeated"
        )
        failure.__cause__ = error
        with self._lock:
            self.failure = failure
            ready, self._waiters = self._waiters, []
            self._queue.clear()
            self._prunes.clear()
        _notify(ready)


def _notify(ready: list[_Waiter]) -> None:
    """Wake waiters: one call into each event loop, however many wait there."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in ready:
        if isinstance(waiter.done, threading.Event):
            waiter.done.set()
        elif waiter.loop is not None:
            loops.setdefault(waiter.loop, []).append(waiter.done)
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, futures)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _settle(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
