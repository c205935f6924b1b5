"""Bodies of the journal back to records: the inverse of `toolkit.ledger.entries`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from toolkit.ledger.conversations import Said, Session
from toolkit.ledger.reviews import Review
from toolkit.messages import Data, Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from toolkit.records import Answer, Json, Place, RowRecord, Run

_PARTS: dict[str, type[Part]] = {
    "text": Text,
    "data": Data,
    "media": Media,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
}


def answer(body: str) -> Answer:
    """The answer that `answer_entry` wrote."""
    fields = orjson.loads(body)
    return Answer(**_at_place(fields) | {"answered_at": _time(fields["answered_at"])})


def answer_value(body: str) -> Json:
    """Only the value of that answer."""
    return orjson.loads(body)["value"]


def run(body: str) -> Run:
    """The run that `run_entry` wrote."""
    fields = orjson.loads(body)
    return Run(**fields | {"started_at": _time(fields["started_at"]), "finished_at": _maybe(fields["finished_at"])})


def row(body: str) -> RowRecord:
    """The row that `row_entry` wrote."""
    fields = orjson.loads(body)
    return RowRecord(**fields | {"finished_at": _time(fields["finished_at"])})


def review(body: str) -> Review:
    """The review that `review_entry` wrote."""
    fields = orjson.loads(body)
    times = {name: _maybe(fields.get(name)) for name in ("answered_at", "expires_at")}
    times |= {"asked_at": _time(fields["asked_at"])}
    return Review(**_at_place(fields) | times)


def session(body: str) -> Session:
    """The session that `session_entry` wrote."""
    fields = orjson.loads(body)
    return Session(**fields | {"started_at": _time(fields["started_at"])})


def said(body: str) -> Said:
    """The message that `message_entry` wrote."""
    fields = orjson.loads(body)
    parts = tuple(_PARTS[part["type"]](**part) for part in fields["parts"])
    return Said(
        session_id=fields["session_id"],
        index=fields["index"],
        message=Message(fields["role"], parts),
        said_at=_time(fields["said_at"]),
        run_id=fields["run_id"],
        attempt_id=fields["attempt_id"],
    )


def _at_place(fields: dict[str, Any]) -> dict[str, Any]:
    names = ("run_id", "row_id", "step", "turn", "repeat")
    place = Place(**{name: fields[name] for name in names})
    return {"place": place} | {name: value for name, value in fields.items() if name not in names}


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def _maybe(stamp: str | None) -> datetime | None:
    return None if stamp is None else _time(stamp)
