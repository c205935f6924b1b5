"""Quality against ground truth: a run's recorded answers, graded after the fact, with the grades put on record.

In: a home, a run, and the graders of each step. Out: grades in the history, where the view `quality` sums them up.
Nothing is asked of any model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from toolkit.errors import WorkflowError
from toolkit.grading import Case, Grader, graded
from toolkit.ledger import Entry, History, Journal, grade_entry
from toolkit.ledger.entries import answer_grade_id
from toolkit.ledger.views import questions
from toolkit.records import Json, Place
from toolkit.runs.run_names import chosen


@dataclass(frozen=True)
class Graded:
    """A recorded answer: where it stands, who gave it, what it says."""

    place: Place
    value: Json
    model: str | None
    attempt_id: str | None


def grade_run(home: Path | str, run_id: str, checks: Mapping[str, Sequence[Grader]]) -> int:
    """Grade the answered answers of a run and record the grades; how many are new.

    `checks` names steps, each with its graders; a case holds the row's fields and, as inputs, these and the values of
    the row's other steps. A grader without a truth to judge by gives no grade. Grading again adds only what is missing.
    The run's name may be cut short. Raises RunError where there is no such run, WorkflowError where it has no such
    step.
    """
    history = History(home)
    workflows: dict[str, str] = dict(history.sql(questions.WORKFLOWS).rows)
    run_id = chosen(run_id, tuple(workflows), home=home)
    answers = [
        Graded(Place(*place), orjson.loads(value or "null"), model, attempt_id)
        for *place, attempt_id, model, value in history.sql(questions.ANSWERED, run_id=run_id)
    ]
    by_step = {f"{workflows[run_id]}/{step}": tuple(graders) for step, graders in checks.items()}
    _check_steps(by_step, answers, run_id)
    fields = {row_id: orjson.loads(told) for row_id, told in history.sql(questions.ROW_FIELDS, run_id=run_id)}
    known = set(history.sql(questions.GRADE_IDS, run_id=run_id).column("id"))
    new = [entry for entry in _grades(answers, fields, by_step) if entry.id not in known]
    with Journal.open(home) as journal:
        journal.write(*new)
        journal.flush()
    return len(new)


# ----------------------------------------------------------------------------------------------------------- helpers
def _check_steps(by_step: Mapping[str, Sequence[Grader]], answers: Sequence[Graded], run_id: str) -> None:
    steps = {answer.place.step for answer in answers}
    if steps and not steps & set(by_step):
        known = ", ".join(sorted(step.split("/", 1)[-1] for step in steps))
        raise WorkflowError(f"run {run_id} has no answers of {', '.join(by_step) or 'no step'}; it has {known}")


def _grades(
    answers: Sequence[Graded], fields: Mapping[str, Mapping[str, Json]], by_step: Mapping[str, Sequence[Grader]]
) -> Iterator[Entry]:
    values: dict[str, dict[str, Json]] = {}
    for answer in answers:
        if answer.place.turn == 0:
            values.setdefault(answer.place.row_id, {})[answer.place.step.rsplit("/", 1)[-1]] = answer.value
    for answer in answers:
        place = answer.place
        if place.row_id not in fields:
            continue
        for grader in by_step.get(place.step, ()):
            row = fields[place.row_id]
            grade = graded(grader, Case(answer.value, row, {**row, **values.get(place.row_id, {})}))
            if grade is not None:
                id = answer_grade_id(grade.grader, place, answer.attempt_id, answer.value)
                yield grade_entry(id, grade, place, attempt_id=answer.attempt_id, model=answer.model)
