"""What a grader is, and what it looks at."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from re import sub
from typing import Any

from toolkit.records import Grade, Json, Reply, Request


@dataclass(frozen=True, slots=True)
class Case:
    """What a grader looks at: the value (plain JSON), the row's fields, the step's inputs, request and reply."""

    value: Json
    fields: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    request: Request | None = None
    reply: Reply | None = None


class Grader:
    """Base of graders: one method."""

    def grade(self, case: Case) -> Grade | None:
        """The grade, or None where there is nothing to judge by."""
        raise NotImplementedError


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
    """Lower case, without accents and punctuation, single spaces; numbers keep their point."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = sub(r"(?<=\d)[.,](?=\d)", "·", plain)
    return " ".join(sub(r"[^\w·]+", " ", plain).split())
