"""Records as entries of the journal: pure functions from a record to the bytes that are written.

In: the nouns of `toolkit.records`. Out: `Entry` values, whose body is one JSON object with exactly the columns that the
history has for that kind (`toolkit.ledger.history.schema`), so that moving them there needs no Python at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from toolkit.errors import LedgerError
from toolkit.ledger.conversations import Said, Session
from toolkit.ledger.documents import split
from toolkit.ledger.reviews import Review
from toolkit.messages import Text
from toolkit.money.prices import Price
from toolkit.records import (
    Answer,
    Attempt,
    Decision,
    Event,
    Grade,
    Json,
    Operation,
    Place,
    Reply,
    RowRecord,
    Run,
    canonical,
    content_hash,
)

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_NAIVE_UTC | orjson.OPT_SERIALIZE_NUMPY


class Entry(NamedTuple):
    """One thing to write down. `kind` is the history's table; `body` a JSON object, for a content a JSON string.

    `id` is unique within its kind; for runs, rows, reviews and answers it names the thing, and the last one wins.
    """

    kind: str
    id: str
    body: bytes


def run_entry(run: Run) -> Entry:
    """A run as it is now; written again when its status changes."""
    return Entry("runs", run.id, _dumps(run))


def row_entry(row: RowRecord) -> Entry:
    """A row of a run and how it ended; written again when it ends otherwise later."""
    return Entry("rows", _name(row.run_id, row.row_id), _dumps(row))


def decision_entry(
    id: str, place: Place, decision: Decision, request_hash: str | None, *, inputs: Mapping[str, str] | None = None
) -> Entry:
    """Whom the router picked for the request with that hash, out of whom and why.

    `inputs` tells what the request was made of: name of the input → key of the answer that it holds.
    """
    body = {
        "id": id,
        **_where(place),
        "request_hash": request_hash,
        "inputs": inputs or None,
        "choice": decision.choice,
        "probability": decision.probability,
        "reason": decision.reason,
        "router": decision.router,
        "probabilities": decision.probabilities,
        "exploration_rate": decision.exploration_rate,
        "seed": decision.seed,
        "snapshot": decision.snapshot,
        "candidate_order": decision.order,
        "candidates": decision.candidates,
    }
    return Entry("decisions", id, _dumps(body))


def attempt_entries(
    place: Place, decision_id: str | None, attempt: Attempt, request_hash: str | None, *, operation: Operation = "chat"
) -> tuple[Entry, ...]:
    """One attempt, with what it put out as a content and its grades."""
    reply = attempt.reply
    output = _output(reply) if reply is not None else b""
    content = content_entry(output) if output else None
    body: dict[str, Any] = {
        "id": attempt.id,
        **_where(place),
        "decision_id": decision_id,
        "number": attempt.number,
        "why": attempt.why,
        "model": attempt.model,
        "provider_name": attempt.provider_name,
        "operation_name": operation,
        "request_model": attempt.request_model,
        "request_hash": request_hash,
        "output_hash": content.id if content else None,
        "started_at": attempt.started_at,
        "wait_seconds": attempt.wait_seconds,
        "service_seconds": attempt.service_seconds,
        "cost_usd": attempt.cost_usd,
        "reported_cost_usd": reply.cost_usd if reply is not None else None,
        "computed_cost_usd": attempt.computed_cost_usd,
        "price_version": attempt.price_version,
        "reserved_usd": attempt.reserved_usd,
        "dropped": attempt.dropped or None,
    }
    if reply is not None:
        usage = reply.usage
        body |= {
            "response_model": reply.response_model,
            "response_id": reply.response_id,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_input_tokens": usage.cache_read_input_tokens,
            "cache_write_input_tokens": usage.cache_write_input_tokens,
            "reasoning_output_tokens": usage.reasoning_output_tokens,
            "finish_reasons": reply.finish_reasons,
            "confidence": reply.confidence,
        }
    if attempt.error is not None:
        body |= {"error_type": attempt.error.error_type, "error_message": str(attempt.error)}
    entries = [Entry("attempts", attempt.id, _dumps(body))]
    if content:
        entries.append(content)
    for index, grade in enumerate(attempt.grades):
        grade_id = f"{attempt.id}.{index}"
        entries.append(grade_entry(grade_id, grade, place, attempt_id=attempt.id, model=attempt.model))
    return tuple(entries)


def content_entry(content: bytes) -> Entry:
    """A prompt or an output, kept once; the entry's id is its hash. Bytes that are no UTF-8 lose those that are not."""
    return Entry("contents", content_hash(content), orjson.dumps(content.decode("utf-8", "replace")))


def request_entries(body: bytes) -> tuple[Entry, ...]:
    """A rendered request, given as canonical JSON: itself, and what it is made of, each kept once.

    The first entry's id is the request's hash. A long request is kept in pieces (`toolkit.ledger.documents`).
    """
    contents = split(body)
    return tuple(Entry("contents", name, orjson.dumps(content.decode())) for name, content in contents.items())


def answer_entry(answer: Answer) -> Entry:
    """What later steps see of a step."""
    place = answer.place
    body = {
        **_where(place),
        "key": answer.key,
        "status": answer.status,
        "value": answer.value,
        "value_hash": answer.value_hash,
        "reason": answer.reason,
        "model": answer.model,
        "attempt_id": answer.attempt_id,
        "attempts": answer.attempts,
        "cost_usd": answer.cost_usd,
        "seconds": answer.seconds,
        "reused_from": answer.reused_from,
        "answered_at": answer.answered_at,
    }
    name = _name(place.run_id, place.row_id, place.step, str(place.turn), str(place.repeat))
    return Entry("answers", name, _dumps(body))


def grade_entry(id: str, grade: Grade, place: Place, attempt_id: str | None = None, model: str | None = None) -> Entry:
    """A judgement of an attempt or, where `attempt_id` is None, of a step's answer."""
    body = {
        "id": id,
        **_where(place),
        "attempt_id": attempt_id,
        "model": model,
        "grader": grade.grader,
        "kind": grade.kind,
        "value": grade.value,
        "label": grade.label,
        "reason": grade.reason,
        "graded_by": grade.graded_by,
    }
    return Entry("grades", id, _dumps(body))


def answer_grade_id(grader: str, place: Place, attempt_id: str | None, value: Json) -> str:
    """The id of a grade of the answer that stands at a place: the same for the same judgement of the same answer."""
    said = attempt_id or content_hash(orjson.dumps(value))
    return content_hash("\x1f".join((str(place), str(place.turn), str(place.repeat), said, grader)).encode())


def event_entry(event: Event) -> Entry:
    """What happened beside the answers."""
    body = {"name": event.name, "run_id": event.run_id, "happened_at": event.at, "about": event.about}
    return Entry("events", _name(event.run_id, event.name), _dumps(body))


def price_entry(version: str, model: str, price: Price, *, noted_at: datetime) -> Entry:
    """The price of a model as the book with that version has it."""
    body = {
        "version": version,
        "model": model,
        "input_usd_per_million": price.input,
        "output_usd_per_million": price.output,
        "cache_read_usd_per_million": price.cache_read,
        "cache_write_usd_per_million": price.cache_write,
        "request_usd": price.request,
        "noted_at": noted_at,
    }
    return Entry("prices", _name(version, model), _dumps(body))


def review_entry(review: Review) -> Entry:
    """A question to a person; written again when it is answered."""
    place = review.place
    body = {
        "key": review.key,
        **_where(place),
        "person": review.person,
        "question": review.question,
        "output_schema": review.output_schema,
        "asked_at": review.asked_at,
        "status": review.status,
        "expires_at": review.expires_at,
        "default_value": review.default_value,
        "answered_at": review.answered_at,
        "answered_by": review.answered_by,
        "value": review.value,
        "why": review.why,
    }
    name = _name(place.run_id, place.row_id, place.step, str(place.turn), str(place.repeat), review.key)
    return Entry("reviews", name, _dumps(body))


def session_entry(session: Session) -> Entry:
    """A conversation; written again when what is known of it changes."""
    return Entry("sessions", session.id, _dumps(session))


def message_entry(said: Said) -> Entry:
    """One message of a conversation."""
    body = {
        "session_id": said.session_id,
        "index": said.index,
        "role": said.message.role,
        "parts": said.message.parts,
        "said_at": said.said_at,
        "run_id": said.run_id,
        "attempt_id": said.attempt_id,
    }
    return Entry("messages", _name(said.session_id, str(said.index)), _dumps(body))


# ----------------------------------------------------------------------------------------------------------- helpers
def _where(place: Place) -> dict[str, Any]:
    return {
        "run_id": place.run_id,
        "row_id": place.row_id,
        "step": place.step,
        "turn": place.turn,
        "repeat": place.repeat,
    }


def _name(*parts: str) -> str:
    return "\x1f".join(parts)


def _output(reply: Reply) -> bytes:
    """What a model put out: its words as they are, anything else as canonical JSON, nothing where there is nothing."""
    if reply.parts:
        if all(isinstance(part, Text) for part in reply.parts):
            return reply.text.encode("utf-8", "replace")
        return canonical(reply.parts)
    return canonical(reply.value) if reply.value is not None else b""


def _dumps(body: Any) -> bytes:
    try:
        return orjson.dumps(body, default=_plain, option=_OPTIONS)
    except TypeError as error:
        message = f"cannot be recorded as JSON: {error}; give plain values (str, numbers, lists, dicts): {body!r:.300}"
        raise LedgerError(message) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
