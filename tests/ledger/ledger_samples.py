"""Records for the ledger's tests, and a way to run code in another process."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from toolkit.errors import CallError
from toolkit.ledger import Entry, answer_entry, attempt_entries, content_entry, decision_entry, row_entry, run_entry
from toolkit.messages import Text
from toolkit.records import (
    Answer,
    AnswerStatus,
    Attempt,
    Candidate,
    Decision,
    Grade,
    Place,
    Reply,
    RowRecord,
    RowStatus,
    Run,
    RunStatus,
    Usage,
    Verdict,
    content_hash,
    new_id,
)

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
STEP = "support/triage"


def place(row: int = 0, *, run: str = "run-1", step: str = STEP, turn: int = 0) -> Place:
    return Place(run, f"row-{row:05d}", step, turn=turn)


def run_record(id: str = "run-1", status: RunStatus = "running", **changes: Any) -> Run:
    return Run(id, "support", "script", START, status=status, **changes)


def row_record(row: int = 0, status: RowStatus = "answered", *, run: str = "run-1", **changes: Any) -> RowRecord:
    fields = {"ticket": f"Where is parcel {row}?"}
    times = {"finished_at": START + timedelta(seconds=60)} | changes
    return RowRecord(run, f"row-{row:05d}", row, status, fields, **times)


def decision(choice: str = "small") -> Decision:
    candidates = (
        Candidate("small", (Verdict("window", True, "300 of 8000"),), 0.9, 0.9 if choice == "small" else 0.1, 0.001),
        Candidate("large", (Verdict("window", True),), 0.5, 0.1 if choice == "small" else 0.9, 0.01),
    )
    return Decision(choice, candidates, ("small", "large"), "first", 'Ladder("small", "large")', exploration_rate=0.1)


def attempt(id: str | None = None, *, model: str = "small", error: CallError | None = None, **changes: Any) -> Attempt:
    reply = Reply((Text('{"intent":"refund"}'),), usage=Usage(300, 20, 100, 0, 5), finish_reasons=("stop",))
    known: dict[str, Any] = {
        "number": 1,
        "why": "first",
        "provider_name": "openai",
        "request_model": f"gpt-{model}",
        "started_at": START,
        "wait_seconds": 0.1,
        "service_seconds": 1.0,
        "reply": None if error else reply,
        "error": error,
        "cost_usd": None if error else 0.001,
        "price_version": "models.toml",
    }
    return Attempt(id or new_id(), model=model, **known | changes)


def answer(row: int = 0, status: AnswerStatus = "answered", *, run: str = "run-1", **changes: Any) -> Answer:
    known: dict[str, Any] = {
        "key": content_hash(b"key %d" % row),
        "value": {"intent": "refund", "n": row},
        "model": "small",
        "answered_at": START + timedelta(seconds=row),
    } | changes
    step = known.pop("step", STEP)
    turn = known.pop("turn", 0)
    return Answer(place(row, run=run, step=step, turn=turn), status=status, **known)


def entries_of_row(row: int, *, run: str = "run-1") -> tuple[Entry, ...]:
    """All that one row leaves: request, decision, attempt with output and grade, answer, row (7 entries)."""
    at = place(row, run=run)
    request = content_entry(b'{"messages":["Where is parcel %d?"]}' % row)
    decided = f"decision-{run}-{row:05d}"
    tried = attempt(f"attempt-{run}-{row:05d}", grades=(Grade("schema", "assertion", 1.0),))
    return (
        request,
        decision_entry(decided, at, decision(), request.id),
        *attempt_entries(at, decided, tried, request.id),
        answer_entry(answer(row, run=run, attempt_id=tried.id)),
        row_entry(row_record(row, run=run)),
    )


def run_and_rows(rows: int, *, first: int = 0, run: str = "run-1") -> list[Entry]:
    """The entries of rows `first` up to `rows`; those of row 0 begin with the run."""
    entries = [] if first else [run_entry(run_record(run))]
    return entries + [entry for row in range(first, rows) for entry in entries_of_row(row, run=run)]


def other_process(code: str, *arguments: object, wait: bool = True) -> subprocess.Popen[str]:
    """Python code in a process of its own, which can import this module; `sys.argv[1:]` are the arguments."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{code}"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    if wait:
        process.wait(60)
    return process
