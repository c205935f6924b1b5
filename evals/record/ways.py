"""One way of recording, measured in a process of its own. In: its name, how many calls. Out: a line of JSON.

    python -m evals.record.ways NAME COUNT

The calls are made before the clock starts; turning them into what is written belongs to the cost. An *attempt* is the
row of the attempt and its output of 1.5 kB (two entries); a *whole call* is the request and the decision on it, the
attempt and its output, and the answer (five entries, three of them with a text of 1.5 kB). All ways write to the disk
before they call something written: a commit, or an fsync, for every `GROUP` attempts.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from evals.record.calls import Call, calls
from toolkit.ledger import Journal, answer_entry, attempt_entries, content_entry, decision_entry
from toolkit.ledger.entries import Entry
from toolkit.ledger.writing.writer import BATCH_ENTRIES
from toolkit.records import content_hash

GROUP = BATCH_ENTRIES // 2
IN_FLIGHT = 64
BETWEEN_CALLS_SECONDS = 0.0002
Told = dict[str, float]


# --------------------------------------------------------------------------------------------------------- the toolkit
def entries_of_attempt(call: Call) -> tuple[Entry, ...]:
    """What counts as one attempt: its row and its output."""
    return attempt_entries(call.place, call.decision_id, call.attempt, None)


def entries_of_call(call: Call) -> tuple[Entry, ...]:
    """All that a call leaves, as the loop records it."""
    request = content_entry(call.request.canonical())
    return (
        request,
        decision_entry(call.decision_id, call.place, call.decision, request.id),
        *attempt_entries(call.place, call.decision_id, call.attempt, request.id),
        answer_entry(call.answer),
    )


def attempts(made: list[Call], home: Path) -> Told:
    """Attempts, with the merge into the history beside them."""
    return _written(made, home, entries_of_attempt)


def whole_calls(made: list[Call], home: Path) -> Told:
    """Whole calls, with the merge into the history beside them."""
    return _written(made, home, entries_of_call)


def journal_alone(made: list[Call], home: Path) -> Told:
    """Attempts into the journal, and afterwards what the merge of all of them takes."""
    with Journal.open(home, merges=False) as journal:
        told = asyncio.run(_write(journal, made, entries_of_attempt))
        cpu, began = time.process_time(), time.perf_counter()
        rows = journal.merge() + len(made)  # what the merge counts are log entries; each came with its content
        told |= {"merged_rows": rows, "merge_seconds": time.perf_counter() - began}
        told["merge_cpu_seconds"] = time.process_time() - cpu
    return told


def late_commits(made: list[Call], home: Path) -> Told:
    """How late commits are while the event loop has no idle moment and the merge runs beside it."""
    late: list[float] = []
    stop = threading.Event()

    def wait_for_commits() -> None:
        chance = random.Random(1)
        while not stop.wait(chance.uniform(0.001, 0.02)):
            began = time.perf_counter()
            journal.flush()
            late.append(time.perf_counter() - began)

    with Journal.open(home) as journal:
        watcher = threading.Thread(target=wait_for_commits)
        watcher.start()
        told = asyncio.run(_saturate(journal, made))
        stop.set()
        watcher.join()
    _check(home, made)
    late.sort()
    return told | {
        "samples": len(late),
        "late_p50_seconds": late[len(late) // 2],
        "late_p99_seconds": late[int(0.99 * len(late))],
        "late_most_seconds": late[-1],
    }


def _written(made: list[Call], home: Path, entries: Callable[[Call], tuple[Entry, ...]]) -> Told:
    journal = Journal.open(home)
    cpu, began = time.process_time(), time.perf_counter()
    with journal:
        told = asyncio.run(_write(journal, made, entries))
    told |= {"cpu_seconds": time.process_time() - cpu, "merged_seconds": time.perf_counter() - began}
    _check(home, made)
    return told


def _check(home: Path, made: list[Call]) -> None:
    """Raise where the plain history lacks something: a merge that fails is told in the log only, and costs nothing."""
    import duckdb

    with duckdb.connect(str(home / "history.duckdb"), read_only=True) as connection:
        found = connection.execute("select count(distinct id) from attempts").fetchall()[0][0]
    if found != len(made):
        raise RuntimeError(f"the history has {found:,} attempts of {len(made):,}; what was measured is worth nothing")


async def _write(journal: Journal, made: list[Call], entries: Callable[[Call], tuple[Entry, ...]]) -> Told:
    """Write them one after the other, as a loop does that never waits for anything but room."""
    thread, cpu, began = time.thread_time(), time.process_time(), time.perf_counter()
    for call in made:
        journal.write(*entries(call))
        await journal.room()
    loop = time.thread_time() - thread
    await journal.committed()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "loop_cpu_seconds": loop, "cpu_seconds": time.process_time() - cpu}


async def _saturate(journal: Journal, made: list[Call]) -> Told:
    """As many rows at once as a run has in flight, each computing between its calls, so that the loop is never idle."""
    left = iter(made)

    async def row() -> None:
        for call in left:
            until = time.perf_counter() + BETWEEN_CALLS_SECONDS
            while time.perf_counter() < until:
                pass
            journal.write(*entries_of_call(call))
            await journal.room()
            await asyncio.sleep(0)

    began = time.perf_counter()
    await asyncio.gather(*(row() for _ in range(IN_FLIGHT)))
    return {"seconds": time.perf_counter() - began}


# ------------------------------------------------------------------------------------------------------------- rivals
NAMES = (
    *("id", "run_id", "row_id", "step", "turn", "repeat", "decision_id", "number", "why", "model", "provider_name"),
    *("request_model", "output_hash", "started_at", "wait_seconds", "service_seconds", "input_tokens"),
    *("output_tokens", "cost_usd", "price_version", "confidence", "finish_reason"),
)


def jsonl(made: list[Call], home: Path) -> Told:
    """A line of JSON for each attempt, its output in it."""
    import orjson

    def write() -> None:
        with (home / "attempts.jsonl").open("wb") as file:
            for group in _groups(made):
                for call in group:
                    line = {**dict(zip(NAMES, _columns(call), strict=True)), "output": _output(call)}
                    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                file.flush()
                os.fsync(file.fileno())

    return _timed(write)


def sqlite(made: list[Call], home: Path) -> Told:
    """One insert for each row: one of the attempt, one of its output, in transactions."""
    sqlite3.register_adapter(datetime, datetime.isoformat)
    connection = sqlite3.connect(home / "attempts.db", isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute(f"create table attempts ({', '.join(NAMES)}, primary key (id))")
    connection.execute("create table contents (hash primary key, body)")
    attempt = f"insert into attempts values ({', '.join('?' * len(NAMES))})"

    def write() -> None:
        for group in _groups(made):
            connection.execute("begin")
            for call in group:
                row = _columns(call)
                connection.execute(attempt, row)
                connection.execute("insert or ignore into contents values (?, ?)", (row[12], _output(call)))
            connection.execute("commit")

    try:
        return _timed(write)
    finally:
        connection.close()


def duckdb_appender(made: list[Call], home: Path) -> Told:
    """DuckDB's appender, a transaction for each group; nobody else can open the file meanwhile."""
    import duckdb

    whole, numbers = (
        ("turn", "repeat", "number", "input_tokens", "output_tokens"),
        ("wait_seconds", "service_seconds", "cost_usd", "confidence"),
    )
    types = {"started_at": "TIMESTAMPTZ", **dict.fromkeys(whole, "BIGINT"), **dict.fromkeys(numbers, "DOUBLE")}
    connection = duckdb.connect(str(home / "attempts.duckdb"))
    columns = ", ".join(f"{name} {types.get(name, 'VARCHAR')}" for name in NAMES)
    connection.execute(f"create table attempts ({columns})")
    connection.execute("create table contents (hash VARCHAR, body VARCHAR)")

    def write() -> None:
        rows, outputs = connection.appender("attempts"), connection.appender("contents")
        for group in _groups(made):
            connection.execute("begin")
            for call in group:
                row = _columns(call)
                rows.append_row(*row)
                outputs.append_row(row[12], _output(call))
            rows.flush()
            outputs.flush()
            connection.execute("commit")
        connection.close()

    return _timed(write)


def _timed(write: Callable[[], None]) -> Told:
    thread, cpu, began = time.thread_time(), time.process_time(), time.perf_counter()
    write()
    loop, whole = time.thread_time() - thread, time.process_time() - cpu
    return {"seconds": time.perf_counter() - began, "loop_cpu_seconds": loop, "cpu_seconds": whole}


def _groups(made: list[Call]) -> Iterator[list[Call]]:
    left = iter(made)
    while group := list(islice(left, GROUP)):
        yield group


def _columns(call: Call) -> tuple[Any, ...]:
    attempt, place, reply = call.attempt, call.place, call.attempt.reply
    assert reply is not None
    return (
        *(attempt.id, place.run_id, place.row_id, place.step, place.turn, place.repeat, call.decision_id),
        *(attempt.number, attempt.why, attempt.model, attempt.provider_name, attempt.request_model),
        *(content_hash(_output(call).encode()), attempt.started_at, attempt.wait_seconds, attempt.service_seconds),
        *(reply.usage.input_tokens, reply.usage.output_tokens, attempt.cost_usd, attempt.price_version),
        *(reply.confidence, reply.finish_reasons[0]),
    )


def _output(call: Call) -> str:
    assert call.attempt.reply is not None
    return call.attempt.reply.text


WAYS: dict[str, Callable[[list[Call], Path], Told]] = {
    way.__name__: way for way in (attempts, whole_calls, journal_alone, late_commits, jsonl, sqlite, duckdb_appender)
}


def main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    made = list(calls(count))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(WAYS[name](made, Path(folder))))


if __name__ == "__main__":
    main()
