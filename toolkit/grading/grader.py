"""What a grader is, and what it looks at."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from re import sub
from typing import Any

from toolkit.errors import WorkflowError
from toolkit.records import Grade, Json, Reply, Request

Marking = Generator[tuple[str, Request], Reply, Grade | None]
"""A grader that must ask yields (model, request) and is sent the reply; the loop sends, records and charges it."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a grader looks at: the value (plain JSON), the row's fields, the step's inputs, request and reply."""

    value: Json
    fields: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    request: Request | None = None
    reply: Reply | None = None


class Grader:
    """Base of graders: one method. A subclass is a frozen dataclass whose `repr` is the call that builds it."""

    def grade(self, case: Case) -> Grade | Marking | None:
        """The grade, or None where there is nothing to judge by; or what asks for it, where it `names` models."""
        raise NotImplementedError

    def names(self) -> tuple[str, ...]:
        """The models that it asks; most ask nobody."""
        return ()

    def needs(self) -> tuple[str, ...]:
        """The capabilities that those models must have."""
        return ()

    def recorded_as(self) -> str:
        """The grader's name on record."""
        return repr(self)


def graded(grader: Grader, case: Case) -> Grade | None:
    """The grade of a grader that asks nobody. Raises WorkflowError for one that does."""
    grade = grader.grade(case)
    if grade is None or isinstance(grade, Grade):
        return grade
    if isinstance(grade, Generator):
        grade.close()
        raise WorkflowError(
            f"the grader {grader!r} asks a model: it grades a step while it runs (grade=…), and a finished run by "
            "judge_run(…); of whom it asks it tells by names()"
        )
    raise WorkflowError(f"the grader {grader!r} gave a {type(grade).__name__}; a grade is a Grade, or None")


def ungraded(grader: Grader, why: str) -> Grade:
    """What stands on record where those whom a grader asks could not say: a grade without number and word."""
    return Grade(grader.recorded_as(), "score", reason=why, graded_by=", ".join(grader.names()))


def assertion(grader: Grader, right: bool, reason: str) -> Grade:
    """A grade that says right or wrong."""
    return Grade(repr(grader), "assertion", float(right), reason=reason)


def score(grader: Grader, value: float, reason: str) -> Grade:
    """A grade from 0 to 1."""
    return Grade(repr(grader), "score", value, reason=reason)


def picked(value: Json, field_name: str | None) -> Json:
    """The value, or its field of that name; None where it has none."""
    if field_name is None:
        return value
    return value.get(field_name) if isinstance(value, Mapping) else None


def words(value: Json, field_name: str | None = None) -> str:
    """What is picked as text, empty where there is nothing."""
    found = picked(value, field_name)
    return "" if found is None else str(found)


def listed(truth: Json) -> list[Json]:
    """The truths of a column: a list as it is, anything else as the only one; none where there is nothing."""
    if truth is None or truth in ("", []):
        return []
    return list(truth) if isinstance(truth, list | tuple) else [truth]


def normalised(text: str) -> str:
    """Lower case, without accents and punctuation, single spaces; numbers keep their point and sign, C++ its plus."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = sub(r"(?<=\d)[.,](?=\d)", "·", plain)
    plain = sub(r"(?<!\w)[-−](?=\d)", "¬", plain)
    plain = sub(r"(?<![\w+#])[+#]+|[+#]+(?=\w)", " ", plain)
    return " ".join(sub(r"[^\w·¬+#]+", " ", plain).split())
