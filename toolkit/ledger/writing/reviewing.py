"""How a question to a person ends, once: looked at and written in one transaction, whoever else answers meanwhile.

In: the question and its end. Out: the question as it ended, the answer under its key at its place, where a resume finds
it, and the same at every other place that waits with the very same question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from toolkit.errors import InboxError
from toolkit.ledger import decoding
from toolkit.ledger.entries import Entry, answer_entry, event_entry, review_entry, row_entry
from toolkit.ledger.reviews import Review
from toolkit.ledger.writing import statements
from toolkit.ledger.writing.transaction import Transaction
from toolkit.records import Answer, Event, Json, Place

_PLACE = "run_id = :run_id and row_id = :row_id and step = :step and turn = :turn and repeat = :repeat"
THIS = f"select body from reviews where {_PLACE} and key = :key"
SAME = "select body from reviews where key = :key and status = 'open'"
ENDED = "select body from reviews where key = :key and status = 'answered'"
ANSWER = f"select body from answers where {_PLACE}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ends: `value` is the answer, of a person (`by`) or the default; where an expired one has none it fails."""

    status: Literal["answered", "expired"]
    at: datetime
    reason: str
    value: Json = None
    by: str | None = None


def ended(
    review: Review, ending: Ending, *, labels: Mapping[str, Sequence[Entry]] | None = None
) -> Callable[[Transaction], tuple[Review, ...]]:
    """An action that ends a question: this one first, then those that ask the same, as they are on record then.

    `labels` are grades to be written with a question that is answered, by its id. Where it has ended already, an expiry
    changes nothing and gives nothing; an answer raises InboxError, which says who answered and when. A question that
    expired without a default may still be answered.
    """

    def action(transaction: Transaction) -> tuple[Review, ...]:
        rows = transaction.rows(THIS, key=review.key, **_where(review.place))
        found = decoding.review(rows[0][0]) if rows else None
        if found is None or not _is_waiting(found, ending):
            if ending.status == "expired":
                return ()
            raise InboxError(_too_late(review, found))
        same = [decoding.review(body) for (body,) in transaction.rows(SAME, key=review.key)]
        # An expiry is this question's alone: the others may have been asked later, or of somebody with more patience.
        others = [] if ending.status == "expired" else [other for other in same if other.id != found.id]
        return tuple(
            _end(transaction, each, ending, labels=(labels or {}).get(each.id, ())) for each in (found, *others)
        )

    return action


def reopened(review: Review, *, by: str, at: datetime) -> Callable[[Transaction], tuple[Review, ...]]:
    """An action that takes an answer back: the question waits again, and those that were answered with it.

    Raises InboxError where that person did not answer it, or where a row has gone on with the answer.
    """

    def action(transaction: Transaction) -> tuple[Review, ...]:
        rows = transaction.rows(THIS, key=review.key, **_where(review.place))
        found = decoding.review(rows[0][0]) if rows else None
        where = f"question {review.id[:8]} ({review.place})"
        if found is None or found.status != "answered":
            raise InboxError(f"{where} is not answered: there is nothing to take back")
        if found.answered_by != by:
            raise InboxError(f"{where} was answered by {found.answered_by or 'somebody'}, who alone can take that back")
        all_of_it = [decoding.review(body) for (body,) in transaction.rows(ENDED, key=review.key)]
        same = [each for each in all_of_it if each.answered_at == found.answered_at]
        for each in same:
            row = transaction.rows(statements.ROW, run_id=each.place.run_id, row_id=each.place.row_id)
            if row and decoding.row(row[0][0]).status != "parked":
                raise InboxError(f"{where}: the row has gone on with the answer, which stays")
        return tuple(_reopen(transaction, each, at) for each in same)

    return action


def _reopen(transaction: Transaction, review: Review, at: datetime) -> Review:
    waiting = replace(review, status="open", answered_at=None, answered_by=None, value=None)
    rows = transaction.rows(ANSWER, **_where(review.place))
    before = decoding.answer(rows[0][0]) if rows else Answer(review.place, review.key, "parked")
    parked = replace(before, status="parked", value=None, reason=review.why, answered_at=at)
    about = {"row_id": review.place.row_id, "step": review.place.step, "person": review.person}
    event = Event("toolkit.review.reopened", review.place.run_id, at, about)
    transaction.write(review_entry(waiting), answer_entry(parked), event_entry(event))
    return waiting


def _is_waiting(review: Review, ending: Ending) -> bool:
    if review.status == "open":
        return True
    return review.status == "expired" and review.value is None and ending.status == "answered"


def _too_late(asked: Review, found: Review | None) -> str:
    where = f"question {asked.id[:8]} ({asked.place})"
    if found is None:
        return f"{where} is not on record any more: it was pruned or erased"
    at = f"{found.answered_at:%Y-%m-%d %H:%M:%S} UTC" if found.answered_at else "before"
    if found.status == "expired":
        return f"{where} expired at {at}, and its default was taken; run the step anew to ask again"
    return f"{where} was answered by {found.answered_by or 'somebody'} at {at}; that answer stays"


def _end(transaction: Transaction, review: Review, ending: Ending, *, labels: Sequence[Entry]) -> Review:
    settled = replace(review, status=ending.status, answered_at=ending.at, answered_by=ending.by, value=ending.value)
    answer = _answer(transaction, review, ending)
    about = {"row_id": review.place.row_id, "step": review.place.step, "person": review.person}
    event = Event(f"toolkit.review.{ending.status}", review.place.run_id, ending.at, about)
    transaction.write(review_entry(settled), answer_entry(answer), event_entry(event), *labels)
    if answer.status == "failed":
        _fail_row(transaction, answer)
    return settled


def _answer(transaction: Transaction, review: Review, ending: Ending) -> Answer:
    """The answer at the question's place; what the models before the person cost stays with it."""
    place = review.place
    rows = transaction.rows(ANSWER, **_where(place))
    before = decoding.answer(rows[0][0]) if rows else Answer(place, review.key, "parked")
    return replace(
        before,
        key=review.key,
        status="failed" if ending.status == "expired" and ending.value is None else "answered",
        value=ending.value,
        reason=ending.reason,
        model=review.person,
        attempt_id=None,
        answered_at=ending.at,
    )


def _fail_row(transaction: Transaction, answer: Answer) -> None:
    """The row fails with it, and the rows that it is part of; a step of the whole batch has no row."""
    row_id: str | None = answer.place.row_id
    reason = f"{answer.place.step.rpartition('/')[2]}: {answer.reason}"
    while row_id is not None:
        rows = transaction.rows(statements.ROW, run_id=answer.place.run_id, row_id=row_id)
        if not rows:
            return
        row = decoding.row(rows[0][0])
        transaction.write(row_entry(replace(row, status="failed", reason=reason, finished_at=answer.answered_at)))
        row_id = row.parent_row_id


def _where(place: Place) -> dict[str, Any]:
    return {
        "run_id": place.run_id, "row_id": place.row_id, "step": place.step, "turn": place.turn, "repeat": place.repeat
    }  # fmt: skip
