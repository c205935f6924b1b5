"""Rows to record, processes that record them until they are killed, and a count of what is there afterwards.

A process says on a pipe where it is (`Marks`): so it is known in the middle of what it was killed, and which rows it
had been told to be durable.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb

from toolkit.ledger import Entry, History, Journal, answer_entry, attempt_entries, content_entry, row_entry, run_entry
from toolkit.messages import Text
from toolkit.records import Answer, Attempt, Place, Reply, RowRecord, Run, Usage

STEP = "support/reply"
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
TEXT = ("Where is my parcel? It was to be here on Tuesday, and nobody answers the telephone. " * 20)[:1_500]
PRELOADED = ["evals.record.harness", "sqlalchemy", "toolkit.ledger.merging.merger", "toolkit.ledger.merging.staging"]


def entries_of(run: str, row: int, *, at: datetime = START) -> tuple[Entry, ...]:
    """All that a row leaves: a prompt and an output of 1.5 kB each, an attempt, an answer, the row."""
    place = Place(run, f"row-{row:07d}", STEP)
    id = f"{run}-{row:07d}"
    request = content_entry(f"{id} asks: {TEXT}".encode())
    reply = Reply((Text(f"{id} is told: {TEXT}"),), usage=Usage(400, 380), finish_reasons=("stop",))
    tried = Attempt(id, 1, "first", "small", "openai", "gpt-small", at, 0.01, 1.2, reply=reply, cost_usd=0.0004)
    answered = Answer(place, id, "answered", {"said": row}, model="small", attempt_id=id, attempts=1, answered_at=at)
    ended = RowRecord(run, place.row_id, row, "answered", {"ticket": row}, finished_at=at)
    return (request, *attempt_entries(place, None, tried, request.id), answer_entry(answered), row_entry(ended))


def begun(run: str) -> Entry:
    """That run, as it stands when it begins."""
    return run_entry(Run(run, "support", "script", START))


# --------------------------------------------------------------------------------------------------- being killed
@dataclass
class Marks:
    """What a process says of itself, and where it dies: `seconds` after it is at `point` for the `times`-th time."""

    pipe: Connection
    point: str = ""
    times: int = 1
    seconds: float = 0.0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reached(self, point: str) -> None:
        """Say that we are there, and die if it is time."""
        with self._lock:
            self.pipe.send_bytes(point.encode())
            self._seen += point == self.point
            is_time = point == self.point and self._seen == self.times
        if is_time and self.seconds:
            threading.Thread(target=self._die, daemon=True).start()
        elif is_time:
            self._die()

    def acknowledged(self, run: str, rows: int) -> None:
        """Say that the rows of that run before this one are durable."""
        with self._lock:
            self.pipe.send_bytes(f"+{run} {rows}".encode())

    def ran(self, statement: str) -> None:
        """Say which statement the journal's database begins: what comes next ends it."""
        point = _POINTS.get(" ".join(statement.split()[:3]).lower()) or _POINTS.get(statement.strip().lower())
        if point:
            self.reached(point)

    def _die(self) -> None:
        time.sleep(self.seconds)
        os.kill(os.getpid(), signal.SIGKILL)


_POINTS = {
    "begin immediate": "journal_begun",
    "commit": "journal_commit",
    "delete from log": "journal_prune",
    "delete from contents": "journal_prune",
    "alter table answers": "journal_migration",
}


class WatchedJournal(Journal):
    """A journal that tells `marks` which statements its connections run, and how far its merges are."""

    marks: Marks

    def _connect(self) -> Any:
        connection = super()._connect()
        connection.set_trace_callback(self.marks.ran)
        return connection


def watched(home: Path, marks: Marks, *, merges: bool = False) -> WatchedJournal:
    """The journal of that home, watched by `marks`."""
    WatchedJournal.marks = marks
    journal = WatchedJournal.open(home, merges=merges)
    assert isinstance(journal, WatchedJournal)
    journal._merger.reached = marks.reached
    return journal


@dataclass(frozen=True)
class Death:
    """How a process ended: the last point it reached, run → rows acknowledged, and whether it was killed at all."""

    last: str
    acknowledged: dict[str, int]
    was_killed: bool


def killed(
    work: Callable[..., None],
    *arguments: Any,
    point: str = "",
    times: int = 1,
    seconds: float = 0.0,
    after: float | None = None,
) -> Death:
    """Run `work(marks, *arguments)` in a process that is killed at that point, or `after` seconds from its first word.

    A process that does not reach the point ends by itself.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=partial(_victim, work), args=(theirs, point, times, seconds, arguments))
    process.start()
    theirs.close()
    deadline = time.monotonic() + 60
    last, acknowledged = "", dict[str, int]()
    try:
        while ours.poll(max(0.0, deadline - time.monotonic())):
            word = ours.recv_bytes().decode()
            if after is not None and not last and not acknowledged:
                deadline = time.monotonic() + after
            if word.startswith("+"):
                run, rows = word[1:].split()
                acknowledged[run] = int(rows)
            last = word.split()[0] if not word.startswith("+") else "acknowledged"
            if time.monotonic() > deadline:
                break
    except EOFError:
        pass
    if process.is_alive() and after is not None:
        process.kill()
    process.join(60)
    try:
        while ours.poll():
            word = ours.recv_bytes().decode()
            if word.startswith("+"):
                acknowledged[word[1:].split()[0]] = int(word.split()[1])
                word = "acknowledged"
            last = word
    except EOFError:
        pass
    was_killed = process.exitcode == -signal.SIGKILL
    if process.is_alive():
        process.kill()
        process.join()
        raise RuntimeError(f"a process hung after {last}")
    if not was_killed and process.exitcode != 0:
        raise RuntimeError(f"a process failed after {last}; see what it wrote")
    return Death(last, acknowledged, was_killed)


def _victim(
    work: Callable[..., None], pipe: Connection, point: str, times: int, seconds: float, arguments: Sequence[Any]
) -> None:
    work(Marks(pipe, point, times, seconds), *arguments)


# ------------------------------------------------------------------------------------------------- what is there
@dataclass(frozen=True)
class Count:
    """Rows that were acknowledged and are not there, rows that are there more than once, and what else is wrong."""

    lost: int = 0
    doubled: int = 0
    faults: tuple[str, ...] = ()

    def __add__(self, other: Count) -> Count:
        return Count(self.lost + other.lost, self.doubled + other.doubled, self.faults + other.faults)


COUNTS = """
    select a.run_id, count(*), count(distinct a.id), (select count(*) from answers b where b.run_id = a.run_id),
        (select count(distinct row_id) from answers b where b.run_id = a.run_id),
        (select count(*) from rows r where r.run_id = a.run_id),
        count(*) filter (q.body is null or o.body is null)
    from attempts a left join contents q on q.hash = a.request_hash left join contents o on o.hash = a.output_hash
    group by a.run_id"""


def counted(home: Path, acknowledged: dict[str, int], *, with_texts: bool = True) -> Count:
    """Open everything, merge, count exactly: by the reader, in the file itself, and what the journal would reuse."""
    before = {row[0]: row[1:] for row in History(home).sql(COUNTS).rows} if acknowledged else {}
    with Journal.open(home, merges=False) as journal:
        journal.merge()
    after = {row[0]: row[1:] for row in History(home).sql(COUNTS).rows}
    with duckdb.connect(str(home / "history.duckdb"), read_only=True) as connection:
        plain = {row[0]: row[1:] for row in connection.execute(COUNTS).fetchall()}
    total = Count()
    for run, rows in acknowledged.items():
        for found in (before, after, plain):
            attempts, ids, answers, answered_rows, ended_rows, without_text = found.get(run, (0,) * 6)
            lost = max(0, *(rows - each for each in (ids, answered_rows, ended_rows)))
            doubled = attempts - ids + answers - answered_rows + max(0, ended_rows - answered_rows)
            texts = (f"{without_text} attempts of {run} without their texts",) if without_text and with_texts else ()
            total += Count(lost, doubled, texts)
    return total + Count(faults=_faults(home))


def _faults(home: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(home / "journal.db")) as connection:
        (told,) = connection.execute("pragma integrity_check").fetchone()
        (pending,) = connection.execute("select count(*) from log").fetchone()
    left = [path.name for path in home.iterdir() if path.name.startswith(("staging-", ".history"))]
    return (
        *(() if told == "ok" else (f"the journal is damaged: {told}",)),
        *(() if pending == 0 else (f"{pending} entries are left in the log",)),
        *(f"{name} is left" for name in left),
    )
