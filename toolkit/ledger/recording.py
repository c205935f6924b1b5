"""What a run writes down, and the one place that knows what of it is kept.

In: the nouns of `toolkit.records`. Out: entries in the journal, and the hash under which a request is kept.

    full    everything, as later steps see it
    hashes  ids, times, tokens, costs, classes of errors and numbers of grades, and a keyed hash of each content: of a
            row's columns, of requests, outputs and values. No words: no texts, no messages, no reasons but a router's
            own, which are made of models and constraints. Ids of rows stay, as does what a run was started with
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import orjson

from toolkit.ledger import entries
from toolkit.ledger.reviews import Review
from toolkit.money.prices import Price
from toolkit.records import (
    Answer,
    Attempt,
    Decision,
    Event,
    Grade,
    Operation,
    Place,
    RowRecord,
    Run,
    canonical,
    content_hash,
)

if TYPE_CHECKING:
    from toolkit.ledger.writing.journal import Journal

Content = Literal["full", "hashes"]


class Recorder:
    """Writes the records of a run as they are. Each method returns at once, with the ticket of its commit."""

    content: Content = "full"

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @classmethod
    def of(cls, journal: Journal, *, content: Content, key: bytes) -> Recorder:
        """The recorder that keeps that much; `key` is the secret of its hashes."""
        return Hashing(journal, key=key) if content == "hashes" else Recorder(journal)

    def key(self, key: str) -> str:
        """An answer's key as it is recorded."""
        return key

    def run(self, run: Run) -> int:
        return self.journal.write(entries.run_entry(run))

    def row(self, row: RowRecord) -> int:
        return self.journal.write(entries.row_entry(row))

    def request(self, body: bytes) -> str:
        """Keep a rendered request, once; the hash that stands for it."""
        request = entries.request_entries(body)
        self.journal.write(*request)
        return request[0].id

    def decision(
        self, id: str, place: Place, decision: Decision, request_hash: str, *, inputs: Mapping[str, str]
    ) -> int:
        return self.journal.write(entries.decision_entry(id, place, decision, request_hash, inputs=inputs))

    def attempt(
        self, place: Place, decision_id: str | None, attempt: Attempt, request_hash: str, *, operation: Operation
    ) -> int:
        return self.journal.write_with_more(
            *entries.attempt_entries(place, decision_id, attempt, request_hash, operation=operation)
        )

    def grade(self, grade: Grade, place: Place, attempt: Attempt, *, asked: Sequence[str]) -> int:
        """A grade of an attempt that is on record already; `asked` are the attempts that were made for the grade."""
        about = content_hash(f"{attempt.id}/{grade.grader}".encode())
        id = f"{'+'.join(asked) or 'none'}.{about}"
        return self.journal.write(entries.grade_entry(id, grade, place, attempt_id=attempt.id, model=attempt.model))

    def grade_of_answer(self, grade: Grade, answer: Answer) -> int:
        """A grade of an answer where it stands, whichever attempt it is of. The same grade again changes nothing."""
        id = self.key(entries.answer_grade_id(grade.grader, answer.place, answer.attempt_id, answer.value))
        place, attempt_id, model = answer.place, answer.attempt_id, answer.model
        return self.journal.write(entries.grade_entry(id, grade, place, attempt_id=attempt_id, model=model))

    def answer(self, answer: Answer) -> int:
        return self.journal.write(entries.answer_entry(answer))

    def event(self, event: Event) -> int:
        return self.journal.write(entries.event_entry(event))

    def review(self, review: Review) -> int:
        return self.journal.write(entries.review_entry(review))

    def price(self, version: str, model: str, price: Price, *, noted_at: datetime) -> int:
        return self.journal.write(entries.price_entry(version, model, price, noted_at=noted_at))


class Hashing(Recorder):
    """Writes metadata, and a keyed hash for each content."""

    content: Content = "hashes"

    def __init__(self, journal: Journal, *, key: bytes) -> None:
        super().__init__(journal)
        self._key = key

    def key(self, key: str) -> str:
        """Keyed too: from the bare key of an answer its request could be guessed."""
        return self.hashed(key.encode()) if key else ""

    def hashed(self, content: bytes) -> str:
        """128 bits that stand for a content, for those who do not have the key."""
        return blake2b(content, key=self._key, digest_size=16).hexdigest()

    def row(self, row: RowRecord) -> int:
        fields = {name: self.hashed(canonical(value)) for name, value in row.fields.items()}
        return super().row(replace(row, fields=fields, reason=self._withheld(row.reason)))

    def request(self, body: bytes) -> str:
        return self.hashed(body)

    def decision(
        self, id: str, place: Place, decision: Decision, request_hash: str, *, inputs: Mapping[str, str]
    ) -> int:
        keyed = {name: self.key(key) for name, key in inputs.items()}
        return super().decision(id, place, decision, request_hash, inputs=keyed)

    def attempt(
        self, place: Place, decision_id: str | None, attempt: Attempt, request_hash: str, *, operation: Operation
    ) -> int:
        silent = replace(attempt, grades=tuple(map(self._grade, attempt.grades)))
        kept, body = [], {}
        for entry in entries.attempt_entries(place, decision_id, silent, request_hash, operation=operation):
            if entry.kind == "attempts":
                body = orjson.loads(entry.body)
                body.pop("error_message", None)
            elif entry.kind == "contents":
                body["output_hash"] = self.hashed(entry.body)
            else:
                kept.append(entry)
        return self.journal.write(entries.Entry("attempts", attempt.id, orjson.dumps(body)), *kept)

    def grade(self, grade: Grade, place: Place, attempt: Attempt, *, asked: Sequence[str]) -> int:
        return super().grade(self._grade(grade), place, attempt, asked=asked)

    def grade_of_answer(self, grade: Grade, answer: Answer) -> int:
        return super().grade_of_answer(self._grade(grade), answer)

    def answer(self, answer: Answer) -> int:
        value_hash = self.hashed(canonical(answer.value)) if answer.status == "answered" else None
        return super().answer(
            replace(
                answer,
                key=self.key(answer.key),
                value=None,
                value_hash=value_hash,
                reason=self._withheld(answer.reason),
            )
        )

    def event(self, event: Event) -> int:
        about = {name: self._withheld(str(value)) if name == "reason" else value for name, value in event.about.items()}
        return super().event(replace(event, about=about))

    def review(self, review: Review) -> int:
        silent = replace(
            review,
            key=self.key(review.key),
            question=f"the question was not kept: row {review.place.row_id}, step {review.place.step}",
            value=None if review.value is None else self._withheld(canonical(review.value).decode()),
            default_value=None if review.default_value is None else self._withheld(str(review.default_value)),
            why=self._withheld(review.why),
        )
        return super().review(silent)

    def _grade(self, grade: Grade) -> Grade:
        label = None if grade.label is None else self.hashed(grade.label.encode())
        return replace(grade, label=label, reason=self._withheld(grade.reason))

    def _withheld(self, words: str) -> str:
        """What stands for words that may quote a content: equal ones can still be counted."""
        return f"[withheld:{self.hashed(words.encode())[:10]}]" if words else ""
