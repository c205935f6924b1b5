"""One row of a run in time: who was chosen and why, each attempt with waiting and service apart, what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import orjson

from toolkit.cli import questions
from toolkit.cli.tables import Record, console, seconds, short, table, usd
from toolkit.errors import RunError
from toolkit.ledger.views import questions as statements
from toolkit.records import made_at

if TYPE_CHECKING:
    from toolkit.ledger.reading.history import History

COLUMNS = ("at s", "step", "what", "who", "waited", "served", "USD", ">why, and what came")
Line = tuple[datetime, int, Sequence[str]]


def show_row(history: History, run_id: str, row_id: str) -> None:
    """Print it. Raises RunError where the run has no such row."""
    rows = questions.records(history.sql(statements.ROW, {"row": row_id}, run_id=run_id))
    if not rows:
        raise RunError(_unknown(history, run_id, row_id))
    out, row = console(), rows[0]
    ended = f"{row['status'].replace('_', ' ')} after {seconds(row['seconds'])} s, {usd(row['cost_usd'])} USD"
    out.print(
        f"row {row_id} of {run_id}: {ended}" + (f"; {row['reason']}" if row["reason"] else ""),
        markup=False,
        style="bold",
    )
    for name, value in orjson.loads(row["fields"] or "{}").items():
        out.print(f"  {name}: {short(value, 300)}", markup=False)
    lines = sorted(
        [*_decided(history, run_id, row_id), *_tried(history, run_id, row_id), *_settled(history, run_id, row_id)]
    )
    if lines:
        began = lines[0][0]
        cells = [(f"{(at - began).total_seconds():.3f}", *rest) for at, _, rest in lines]
        out.print(table("", COLUMNS, [[c[0], *c[1:]] for c in cells], words=4))
    grades = questions.records(history.sql(statements.ROW_GRADES, {"row": row_id}, run_id=run_id))
    if grades:
        graded = [
            (g["step"], g["model"] or "", g["grader"], g["label"] or f"{g['value']:.3f}", short(g["reason"], 160))
            for g in grades
        ]
        out.print(table("Grades", ("step", "model", ">grader", "grade", ">why"), graded, words=3))


def _decided(history: History, run_id: str, row_id: str) -> Iterator[Line]:
    for decision in questions.records(history.sql(statements.ROW_DECISIONS, {"row": row_id}, run_id=run_id)):
        yield (
            made_at(decision["id"]),
            0,
            (_step(decision), "decided", decision["choice"] or "nobody", "", "", "", _why_chosen(decision)),
        )


def _why_chosen(decision: Record) -> str:
    """The reason, and every candidate: its probability, or the constraint that it did not pass."""
    told = []
    for candidate in orjson.loads(decision["candidates"] or "[]"):
        failed = [v for v in candidate["verdicts"] if not v["passed"]]
        if failed:
            told.append(f"{candidate['model']} out: {'; '.join(v['why'] or v['constraint'] for v in failed)}")
        else:
            told.append(f"{candidate['model']} p={candidate['probability']:g}")
    return f"{decision['reason']} · {decision['router']} · {', '.join(told)}"


def _tried(history: History, run_id: str, row_id: str) -> Iterator[Line]:
    for attempt in questions.records(history.sql(statements.ROW_ATTEMPT_TEXTS, {"row": row_id}, run_id=run_id)):
        if attempt["error_type"]:
            came = f"{attempt['error_type']}: {short(attempt['error_message'], 300)}"
        else:
            sure = f" (confidence {attempt['confidence']:.2f})" if attempt["confidence"] is not None else ""
            came = f"{short(attempt['output'] or 'vectors', 300)}{sure}"
        tokens = [f"{attempt[name]:,}" for name in ("input_tokens", "output_tokens") if attempt[name] is not None]
        size = f" · {'+'.join(tokens)} tokens" if tokens else ""
        yield (
            attempt["started_at"],
            1,
            (
                _step(attempt),
                f"attempt {attempt['number']}",
                attempt["model"],
                seconds(attempt["wait_seconds"]),
                seconds(attempt["service_seconds"]),
                usd(attempt["cost_usd"]),
                f"{attempt['why']} → {came}{size}",
            ),
        )


def _settled(history: History, run_id: str, row_id: str) -> Iterator[Line]:
    for answer in questions.records(history.sql(statements.ROW_ANSWERS, {"row": row_id}, run_id=run_id)):
        told = answer["reason"] if answer["status"] != "answered" else _value(answer["value"])
        if answer["status"] == "answered" and answer["reason"]:
            told = f"{told} · {answer['reason']}"
        if answer["reused_from"]:
            told = f"{told} · as answered in {answer['reused_from']}"
        yield answer["answered_at"], 2, (_step(answer), answer["status"], answer["model"] or "", "", "", "", told)


def _value(value: str) -> str:
    """A value as JSON text, cut short; a vector by its length."""
    numbers = orjson.loads(value)
    if isinstance(numbers, list) and len(numbers) > 8 and all(isinstance(number, int | float) for number in numbers):
        return f"a vector of {len(numbers):,} numbers"
    return short(value, 300)


def _step(record: Record) -> str:
    return f"{record['step']} turn {record['turn']}" if record["turn"] else str(record["step"])


def _unknown(history: History, run_id: str, row_id: str) -> str:
    ids: list[Any] = history.sql(statements.ROW_IDS, run_id=run_id).column("row_id")
    near = get_close_matches(row_id, ids, n=3) or ids[:3]
    known = f"it has {len(ids):,}, such as {', '.join(near)}" if ids else "no row of it has ended yet"
    return f"run {run_id} has no row {row_id!r}; {known}"
