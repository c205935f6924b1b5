"""What a person's answer says of the answers that models gave before: labels, as grades. Pure.

    question, attempts at it, the person's answer ─▶ a grade for each attempt, and the label itself for the answer

A grade's `label` is the person's answer; its value is 1 where the attempt said the same and 0 where it did not, None
where that cannot be told, as with free text in other words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from toolkit.errors import InvalidOutput
from toolkit.grading import normalised
from toolkit.ledger.entries import Entry, grade_entry
from toolkit.ledger.reviews import Review
from toolkit.outputs import Output
from toolkit.records import Grade, Json, canonical


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt at a question before a person was asked: what the model said, or what went wrong, and its grades."""

    id: str
    number: int
    model: str
    why: str
    output: str | None = None
    confidence: float | None = None
    cost_usd: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    grades: tuple[Grade, ...] = ()


def labels(review: Review, tried: Iterable[Tried], *, value: Json, by: str) -> Iterator[Entry]:
    """The grades that this answer of a person makes; none for attempts that gave nothing to compare."""
    label = value if isinstance(value, str) else canonical(value).decode()
    grader = f"Person({review.person!r})"
    own = Grade(grader, "label", label=label, reason=f"answered by {by}", graded_by=by)
    yield grade_entry(f"{review.id}.0", own, review.place, model=review.person)
    reader = Output.of(review.output_schema)
    for number, attempt in enumerate(tried, start=1):
        if attempt.error_type is not None or attempt.output is None:
            continue
        try:
            same, reason = agreement(reader.read(attempt.output), value, text=reader.schema is None)
        except InvalidOutput:
            continue
        grade = Grade(grader, "label", same, label, reason, graded_by=by)
        yield grade_entry(f"{review.id}.{number}", grade, review.place, attempt_id=attempt.id, model=attempt.model)


def agreement(said: Json, value: Json, *, text: bool = False) -> tuple[float | None, str]:
    """1 where a model said what the person says, 0 where not, None where nobody can tell; and in words."""
    if said == value and isinstance(said, bool) == isinstance(value, bool):
        return 1.0, "the same"
    if text:
        same = normalised(str(said)) == normalised(str(value))
        return (1.0, "the same words") if same else (None, "other words")
    if isinstance(said, Mapping) and isinstance(value, Mapping):
        names = sorted(name for name in {*said, *value} if said.get(name) != value.get(name))
        told = (f"{name}: {said.get(name)!r}, the person says {value.get(name)!r}" for name in names[:3])
        return 0.0, "; ".join(told)
    return 0.0, f"{said!r}, the person says {value!r}"
