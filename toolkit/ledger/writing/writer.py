"""The journal's writer: one thread that commits what others hand over, in order and in groups.

In: entries from any thread (`put`), which return at once with a ticket, and actions that look before they write
(`act`). Out: durable rows, and whoever waits is woken. Merged entries are pruned here too, a few with each commit, so
that pruning never delays a commit.

While another thread computes, the interpreter's lock comes back to this one only after a while, once for each
statement: hence few statements to a commit, whatever is in it, and a shorter while than Python's 5 ms. That is a
setting of the whole process; beside a busy event loop commits are twice as late with 0.5 ms, eight times with 5 ms.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from toolkit.errors import LedgerError
from toolkit.ledger.entries import Entry
from toolkit.ledger.writing.statements import PRUNE_CONTENTS, PRUNE_LOG, UPSERTS, Dialect
from toolkit.ledger.writing.transaction import Act, Repeat, Transaction
from toolkit.ledger.writing.waiting import Waiter, wake

BATCH_ENTRIES = 2000
SWITCH_SECONDS = 0.0001
PRUNED_WHEN_BUSY, PRUNED_WHEN_IDLE, PRUNED_AT_END = 500, 1_000, 10_000


class Writer:
    """Owns the writer thread. `connect` gives a raw connection in autocommit mode, used by that thread alone."""

    def __init__(self, connect: Callable[[], Any], dialect: Dialect) -> None:
        self._connect = connect
        self._log = functools.cache(lambda kinds: dialect.sql(dialect.insert_log(kinds)))
        self._contents = dialect.sql(dialect.insert_contents())
        self._upserts = {table.table: dialect.sql(dialect.upsert(table)) for table in UPSERTS}
        self._dialect = dialect
        self._prunings = {"log": dialect.sql(PRUNE_LOG), "contents": dialect.sql(PRUNE_CONTENTS)}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._queue: deque[Entry] = deque()
        self._acts: deque[Act] = deque()
        self._acting: list[Act] = []
        self._repeats: list[Repeat] = []
        self._waiters: list[Waiter] = []
        self._prunes: dict[str, int] = {}
        self._stopping = False
        self.written = 0
        self.durable = 0
        self._free = 0  # tickets up to here may be committed; what is beyond is followed by more
        self.failure: LedgerError | None = None
        sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)
        self._thread.start()

    def put(self, entries: Iterable[Entry], *, more: bool = False) -> int:
        """Queue entries; the ticket that is durable when they are.

        Where there is `more` to come, they are committed in one transaction with it: with what is put next, or once
        `release` is called.
        """
        with self._lock:
            self._check_open()
            before = len(self._queue)
            self._queue.extend(entries)
            self.written += len(self._queue) - before
            ticket = self.written
            if not more:
                self._free = ticket
        if not more and not self._wake.is_set():
            self._wake.set()
        return ticket

    def release(self) -> None:
        """No more comes: all that is queued may be committed."""
        with self._lock:
            self._free = self.written
        self._wake.set()

    def act(self, action: Callable[[Transaction], Any]) -> Future[Any]:
        """Carry out an action in a transaction, after all that was put so far; its result comes when it is durable."""
        with self._lock:
            self._check_open()
            act = Act(action, after=self.written)
            self._acts.append(act)
        self._wake.set()
        return act.done

    def repeat(self, action: Callable[[Transaction], Any], *, seconds: float) -> None:
        """Carry out an action now and after every so many seconds, ahead of whatever is committed then.

        What it raises ends the writer: nothing is committed with it or after it.
        """
        with self._lock:
            self._check_open()
            self._repeats.append(Repeat(action, seconds, due=time.monotonic()))
        self._wake.set()

    async def until(self, ticket: int) -> None:
        """Wait until that ticket is durable. Raises LedgerError where it will never be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._enlist(Waiter(ticket, loop, future)):
            await future
        self._check(ticket)

    def wait(self, ticket: int) -> None:
        """The same for a thread without an event loop."""
        event = threading.Event()
        if self._enlist(Waiter(ticket, None, event)):
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
            self._free = self.written
        self._wake.set()
        self._thread.join()

    # ------------------------------------------------------------------------------------------------ on the thread
    def _work(self) -> None:
        connection = None
        try:
            connection = self._connect()
            for statement in self._dialect.writer:
                connection.execute(statement)
            while True:
                self._wake.wait(self._rest_seconds())
                self._wake.clear()
                while self._has_work():
                    self._commit(connection)
                if self._stopping and not self._queue and not self._acts:
                    return
        except Exception as error:
            self._fail(error)
        finally:
            if connection is not None:
                connection.close()

    def _commit(self, connection: Any) -> None:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(self._free - self.durable, BATCH_ENTRIES))]
            pruned = next(iter(self._prunes.items()), None)
            acts = self._acting = self._take_acts(self.durable + len(batch))
        cursor = connection.cursor()
        for statement in self._dialect.begin:
            cursor.execute(statement)
        transaction = Transaction(cursor, self._dialect, self._insert)
        self._repeat(transaction)
        if batch:
            self._insert(cursor, batch)
        for act in acts:
            act.outcome = transaction.attempt(act.action)
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
        wake(ready)
        self._acting = []
        for act in acts:
            act.settle()

    def _has_work(self) -> bool:
        """Whether a commit would do anything now. Actions wait for what was put before them."""
        due = self._rest_seconds() == 0
        with self._lock:
            ready = self._free > self.durable or (bool(self._acts) and self._acts[0].after <= self.durable)
            return ready or bool(self._prunes) or due

    def _rest_seconds(self) -> float | None:
        """Seconds until something is to be repeated, 0 where it is due, None where nothing ever is."""
        with self._lock:
            due = min((repeat.due for repeat in self._repeats), default=None)
        return None if due is None or self._stopping else max(0.0, due - time.monotonic())

    def _take_acts(self, reached: int) -> list[Act]:
        """The actions whose turn has come, but those that nobody waits for any more."""
        taken = []
        while self._acts and self._acts[0].after <= reached:
            act = self._acts.popleft()
            if act.done.set_running_or_notify_cancel():
                taken.append(act)
        return taken

    def _repeat(self, transaction: Transaction) -> None:
        now = time.monotonic()
        with self._lock:
            due = [repeat for repeat in self._repeats if repeat.due <= now]
        for repeat in due:
            repeat.action(transaction)
            repeat.due = now + repeat.seconds

    def _insert(self, cursor: Any, batch: Sequence[Entry]) -> None:
        kinds: dict[str, list[Entry]] = {}
        for entry in batch:
            kinds.setdefault(entry.kind, []).append(entry)
        contents = kinds.pop("contents", [])
        if contents:
            pairs = (b'["%b",%b]' % (entry.id.encode(), entry.body) for entry in contents)
            cursor.execute(self._contents, {"batch": self._dialect.payload(pairs)})
        if kinds:
            bodies = [entry.body for entries in kinds.values() for entry in entries]
            places: dict[str, Any] = {"batch": self._dialect.payload(bodies)}
            until = 0
            for number, (kind, entries) in enumerate(kinds.items()):
                until += len(entries)
                places |= {f"kind_{number}": kind, f"until_{number}": until}
            cursor.execute(self._log(len(kinds)), places)
        for kind, entries in kinds.items():
            if kind in self._upserts:
                latest = {entry.id: entry.body for entry in entries}
                cursor.execute(self._upserts[kind], {"batch": self._dialect.payload(latest.values())})

    # --------------------------------------------------------------------------------------------------- bookkeeping
    def _enlist(self, waiter: Waiter) -> bool:
        with self._lock:
            if waiter.ticket <= self.durable or self.failure is not None:
                return False
            self._waiters.append(waiter)
            return True

    def _check_open(self) -> None:
        if self.failure is not None or self._stopping:
            raise self.failure or LedgerError("the journal is closed; open it again to write")

    def _check(self, ticket: int) -> None:
        if ticket > self.durable and self.failure is not None:
            raise self.failure

    def _fail(self, error: Exception) -> None:
        failure = error if isinstance(error, LedgerError) else _broken(error)
        with self._lock:
            self.failure = failure
            ready, self._waiters = self._waiters, []
            acts = [*self._acting, *(act for act in self._acts if act.done.set_running_or_notify_cancel())]
            for waiting in (self._queue, self._acts, self._prunes, self._repeats):
                waiting.clear()
        wake(ready)
        for act in acts:
            act.done.set_exception(failure)


def _broken(error: Exception) -> LedgerError:
    failure = LedgerError(
        f"the journal could not be written: {error}; what was not committed is lost; "
        "make room or free the file, then run again: finished steps are not repeated"
    )
    failure.__cause__ = error
    return failure
