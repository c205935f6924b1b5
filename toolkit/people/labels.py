"""What a person's answer says of the answers that models gave before: labels, as grades. Pure.

    question, attempts at it, the person's answer ─▶ a grade for each attempt, and the label itself for the answer

A grade's `label` is the person's answer; its value is 1 where the attempt said the same and 0 where it did not, None
where that cannot be told, as with free text in other words. Where the person has graded the attempt itself, that counts
instead: passed or not, or a mark from 1 to 5, on record as 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from toolkit.errors import InvalidOutput
from toolkit.grading import normalised
from toolkit.ledger.entries import Entry, grade_entry
from toolkit.ledger.reviews import Review
from toolkit.prompts.outputs import Output
from toolkit.records import Grade, Json, canonical

Mark = bool | int
"""What a person gives an answer: passed or not, or 1 (worst) to 5 (best)."""


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


def labels(
    review: Review,
    tried: Iterable[Tried],
    *,
    value: Json,
    by: str,
    marks: Mapping[str, Mark] = MappingProxyType({}),
    note: str = "",
) -> Iterator[Entry]:
    """The grades that this answer of a person makes; none for attempts that gave nothing to compare.

    `marks` are those that the person gave attempts, by their ids, with a `note` of why.
    """
    label = value if isinstance(value, str) else canonical(value).decode()
    grader = f"Person({review.person!r})"
    own = Grade(grader, "label", label=label, reason=f"answered by {by}", graded_by=by)
    yield grade_entry(label_id(review), own, review.place, model=review.person)
    reader = Output.of(review.output_schema)
    for number, attempt in enumerate(tried, start=1):
        if (mark := marks.get(attempt.id)) is not None:
            grade = marked(grader, mark, by=by, note=note)
        elif attempt.error_type is not None or attempt.output is None:
            continue
        else:
            try:
                same, reason = agreement(reader.read(attempt.output), value, text=reader.schema is None)
            except InvalidOutput:
                continue
            grade = Grade(grader, "label", same, label, reason, graded_by=by)
        yield grade_entry(f"{review.id}.{number}", grade, review.place, attempt_id=attempt.id, model=attempt.model)


def label_id(review: Review) -> str:
    """The id of the grade that says what a person answered."""
    return f"{review.id}.0"


def marked(grader: str, mark: Mark, *, by: str, note: str = "") -> Grade:
    """A person's mark as a grade from 0 to 1."""
    reason = note or f"graded by {by}"
    if isinstance(mark, bool):
        return Grade(grader, "assertion", float(mark), "passed" if mark else "failed", reason, graded_by=by)
    return Grade(grader, "score", (mark - 1) / 4, str(mark), reason, graded_by=by)


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
