"""A question as it is left to a person, and what becomes of it when nobody answers. Pure.

question, person ── parked ──▶ Review ── lapsed ──▶ Ending: the default, or that the row fails
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from toolkit.asking.questions import Question
from toolkit.errors import InvalidOutput
from toolkit.ledger.reviews import Review
from toolkit.ledger.writing.reviewing import Ending
from toolkit.models.person import Patience
from toolkit.models.spec import ModelSpec
from toolkit.prompts.outputs import Output
from toolkit.records import Json

_UNITS = (("day", 86400), ("h", 3600), ("min", 60))


def parked(question: Question, *, key: str, person: ModelSpec, why: str, at: datetime) -> Review:
    """The question as that person finds it in the inbox, with when it expires."""
    patience = Patience.of(person)
    return Review(
        key=key,
        place=question.place,
        person=person.name,
        question=question.request.text,
        output_schema=_bare(question.request.output_schema, question.plan.output),
        asked_at=at,
        why=why,
        expires_at=None if patience.seconds is None else at + timedelta(seconds=patience.seconds),
        default_value=patience.default,
    )


def is_due(review: Review, at: datetime) -> bool:
    """Whether nobody is waited for any longer."""
    return review.status == "open" and review.expires_at is not None and review.expires_at <= at


def lapsed(review: Review, at: datetime) -> Ending:
    """How a question ends that nobody answered in time: with the default where it has one that fits."""
    waited = span((review.expires_at or at) - review.asked_at)
    nobody = f"nobody answered as {review.person} within {waited}"
    if review.default_value is None:
        return Ending("expired", at, f"{nobody}, and there is no default")
    try:
        value = Output.of(review.output_schema).check(review.default_value)
    except InvalidOutput as error:
        return Ending("expired", at, f"{nobody}, and the default does not fit: {error}")
    return Ending("expired", at, f"{nobody}; the default was taken", value)


def span(time: timedelta) -> str:
    """A time as people say it: 2 days, 36 h, 5 min, 20 s."""
    seconds = time.total_seconds()
    for name, size in _UNITS:
        number = seconds / size
        if number >= 2 or (number >= 1 and seconds % size == 0):
            told = f"{number:.1f}".removesuffix(".0")
            return f"{told} {name}{'s' if name == 'day' and told != '1' else ''}"
    return f"{seconds:.1f}".removesuffix(".0") + " s"


def _bare(schema: Mapping[str, Json] | None, output: Output) -> Mapping[str, Json] | None:
    """The schema that a value must satisfy, without the object in which it travels to models."""
    properties = (schema or {}).get("properties", {})
    if schema is None or not output.wrapped or set(properties) != {"value"}:
        return schema
    shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    return {**properties["value"], **shared}
