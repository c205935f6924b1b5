"""A home with everything in it that a record can say of a person, and ways to look for what is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from tests.ledger.ledger_samples import START, attempt, decision, place, run_record
from toolkit.errors import InvalidOutput
from toolkit.ledger import (
    Entry,
    Journal,
    Review,
    Said,
    Session,
    answer_entry,
    attempt_entries,
    content_entry,
    decision_entry,
    event_entry,
    message_entry,
    review_entry,
    row_entry,
    run_entry,
    session_entry,
)
from toolkit.messages import Message, Text
from toolkit.records import Answer, Event, Grade, Place, Reply, RowRecord, RunStatus, Usage, content_hash

ADA, BEN = "ada@example.com", "ben@example.com"
SAME_OUTPUT = '{"intent":"refund","said":"to anybody"}'
TRIAGE, REPLY, LOOKUP, SUMMARY = "support/triage", "support/reply", "support/lookup", "support/summary"


def asked(at: Place, request: str, output: str, *, key: str, inputs: dict[str, str] | None = None) -> list[Entry]:
    """One question to a model: request, decision, attempt with its output and a grade, answer."""
    body, id = content_entry(request.encode()), f"{at.run_id}-{at.row_id}-{at.step.split('/')[-1]}"
    grades = (Grade("judge", "score", 0.5, label=f"label of {output}", reason=f"graded: {output}"),)
    reply = Reply((Text(output),), usage=Usage(300, 20), response_id=f"response-{id}")
    tried = attempt(f"attempt-{id}", reply=reply, grades=grades)
    hours = 2 if at.row_id == "*" else 0
    settled = Answer(
        *(at, key, "answered", {"said": output}),
        model="small",
        attempt_id=tried.id,
        answered_at=START + timedelta(hours=hours),
    )
    return [
        body,
        decision_entry(f"decision-{id}", at, decision(), body.id, inputs=inputs),
        *attempt_entries(at, f"decision-{id}", tried, body.id),
        answer_entry(settled),
    ]


def person(run: str, row: int, email: str, *, word: str, **changes: Any) -> list[Entry]:
    """All that a row of one person leaves: two model steps, a tool step, a failed attempt, an event and the row."""
    first, second = place(row, run=run, step=TRIAGE), place(row, run=run, step=REPLY)
    key = content_hash(f"{email} {word}".encode())
    failed = attempt(
        f"failed-{run}-{row}", number=2, error=InvalidOutput(f"not what was wanted: {word}"), started_at=START
    )
    known: dict[str, Any] = {"reason": f"because of {word}", "finished_at": START + timedelta(hours=1)} | changes
    fields = {"email": email, "ticket": f"{word} writes"}
    record = RowRecord(run, f"row-{row:05d}", row, "answered", fields, **known)
    return [
        *asked(first, f"From {email}: {word} asks", SAME_OUTPUT, key=key),
        *asked(
            second, f"Answer {word} of {email}", f"Dear {word}", key=content_hash(key.encode()), inputs={"triage": key}
        ),
        *attempt_entries(first, None, failed, None),
        answer_entry(
            Answer(place(row, run=run, step=LOOKUP), f"tool {run} {row}", "answered", {"found": f"order of {word}"})
        ),
        event_entry(Event("toolkit.row.parked", run, START, {"row_id": f"row-{row:05d}", "reason": word})),
        row_entry(record),
    ]


def summary(run: str, words: str) -> list[Entry]:
    """A reducing step over all rows of a run: its request holds what was said of each."""
    return asked(
        Place(run, "*", SUMMARY), f"Sum up: {words}", f"All of {words}", key=content_hash(f"{run}{words}".encode())
    )


def ended(run: str, *, days: float = 0.0, status: RunStatus = "finished", **changes: Any) -> list[Entry]:
    """The run, as ended that many days after the start."""
    return [run_entry(run_record(run, status, finished_at=START + timedelta(days=days), **changes))]


def talk(session: str, *said: str, attempt_id: str, run: str) -> list[Entry]:
    """A conversation, whose last message comes from that attempt."""
    entries = [session_entry(Session(session, f"talk of {said[0]}", START, {"topic": said[0]}))]
    for index, text in enumerate(said):
        of = attempt_id if index == len(said) - 1 else None
        entries.append(message_entry(Said(session, index, Message("user", (Text(text),)), START, run, of)))
    return entries


def asking(run: str, row: int, question: str) -> list[Entry]:
    """A question that waits for a person."""
    return [review_entry(Review(f"review-{run}-{row}", place(row, run=run), question, START, why=f"about {question}"))]


def written(home: Path, entries: Iterable[Entry], *, merged: bool = True, url: str | None = None) -> None:
    with Journal.open(home, url=url, merges=False) as journal:
        journal.write(*entries)
        journal.flush()
        if merged:
            journal.merge()


# ------------------------------------------------------------------------------------------------------------- looking
def files_with(home: Path, *words: str) -> list[str]:
    """The files of a home that hold one of these words, byte for byte."""
    return sorted(
        f"{file.relative_to(home)}: {word}"
        for file in home.rglob("*")
        if file.is_file()
        for word in words
        if word.encode() in file.read_bytes()
    )


def texts_with(home: Path, *words: str) -> list[str]:
    """The tables of history and journal that tell one of these words in any column."""
    found = []
    if (home / "history.duckdb").exists():
        with duckdb.connect(str(home / "history.duckdb"), read_only=True) as history:
            tables = [name for (name,) in history.execute("select table_name from duckdb_tables()").fetchall()]
            for table in tables:
                told = str(history.execute(f"select * from {table}").fetchall())
                found += [f"history {table}: {word}" for word in words if word in told]
    with closing(sqlite3.connect(home / "journal.db")) as journal:
        for (table,) in journal.execute("select name from sqlite_master where type = 'table'").fetchall():
            told = str(journal.execute(f"select * from {table}").fetchall())
            found += [f"journal {table}: {word}" for word in words if word in told]
    return sorted(found)
