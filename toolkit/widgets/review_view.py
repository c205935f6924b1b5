"""What a page shows of a question to a person, as plain JSON. Pure: a question and what was tried before in.

Texts are cut to what a page can hold; everything is text, and whoever draws it escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from toolkit.errors import InvalidOutput
from toolkit.ledger import Review
from toolkit.messages import sections
from toolkit.people.inbox import Asked
from toolkit.people.labels import Tried
from toolkit.prompts.outputs import Output
from toolkit.records import Json
from toolkit.widgets.review_form import Form, filled, form_of

LISTED_CHARACTERS = 110
MOST_CHARACTERS = 20_000
FIELD_CHARACTERS = 2_000
Plain = dict[str, Any]


def listed(review: Review) -> Plain:
    """A question as a line of a list."""
    return {
        "id": review.id,
        "person": review.person,
        "step": review.place.step.partition("/")[2],
        "row_id": review.place.row_id,
        "run_id": review.place.run_id,
        "asked_at": _stamp(review.asked_at),
        "expires_at": _stamp(review.expires_at),
        "text": excerpt(review.question),
    }


def opened(asked: Asked) -> Plain:
    """A question as whoever answers it wants to see it, with its form, filled with the models' best guess."""
    review = asked.review
    form, best = form_of(review.output_schema), guess(asked)
    told = sections(review.question or "")
    values = filled(form, best[1]) if best is not None else {}
    return {
        **listed(review),
        "why": review.why or "",
        "default": None if review.default_value is None else _text(review.default_value, FIELD_CHARACTERS),
        "instruction": _cut(instruction(review.question or "", told), MOST_CHARACTERS),
        "sections": [{"name": name, "text": _cut(readable(text), MOST_CHARACTERS)} for name, text in told.items()],
        "row": [
            {"name": name, "text": _text(value, FIELD_CHARACTERS)}
            for name, value in asked.fields.items()
            if value is not None and told.get(name) != value
        ],
        "tried": [_tried(each) for each in asked.tried],
        "others": len(asked.others),
        "form": _form(form, values),
        "guess": None if best is None else {"model": best[0].model, "attempt": best[0].id},
        "ended": ended(review),
    }


def guess(asked: Asked) -> tuple[Tried, Json] | None:
    """The best answer that a model gave and that fits: by its lowest grade, else its own word, the later one of two."""
    reader = Output.of(asked.review.output_schema)
    found: list[tuple[float, int, Tried, Json]] = []
    for tried in asked.tried:
        if tried.error_type is not None or not tried.output:
            continue
        try:
            value = reader.read(tried.output)
        except InvalidOutput:
            continue
        worth = [grade.value for grade in tried.grades if grade.value is not None]
        quality = min(worth) if worth else tried.confidence
        found.append((-1.0 if quality is None else quality, tried.number, tried, value))
    best = max(found, key=lambda each: each[:2], default=None)
    return None if best is None else best[2:]


def ended(review: Review) -> str:
    """How it ended, in a sentence; empty where it waits."""
    if review.status == "open":
        return ""
    at = f" at {review.answered_at:%Y-%m-%d %H:%M} UTC" if review.answered_at else ""
    value = "" if review.value is None else f": {_text(review.value, 300)}"
    if review.status == "expired":
        taken = (
            f"the default was taken{value}" if review.value is not None else "there is no default, and the row fails"
        )
        return f"nobody answered in time: {taken}{at}"
    return f"answered by {review.answered_by or 'somebody'}{at}{value}"


def excerpt(question: str | None) -> str:
    """The data of a question on one line, without the words that are the same for each."""
    told = sections(question or "")
    text = " ".join(" · ".join(told.values() if told else [question or ""]).split())
    return _cut(text, LISTED_CHARACTERS, more="…")


def instruction(question: str, told: Mapping[str, str]) -> str:
    """The words before the data."""
    for name in told:
        question = question.partition(f"<{name}>\n")[0]
    return question.strip()


# ----------------------------------------------------------------------------------------------------------- helpers
def _form(form: Form, values: Mapping[str, Json]) -> Plain:
    return {
        "whole": form.is_whole,
        "fields": [
            {
                "name": field.name,
                "kind": field.kind,
                "options": [_word(option) for option in field.options],
                "required": field.required,
                "nullable": field.nullable,
                "hint": field.hint,
                "value": values.get(field.name),
            }
            for field in form.fields
        ],
    }


def _tried(tried: Tried) -> Plain:
    failed = tried.error_type is not None
    said = f"{tried.error_type}: {tried.error_message or ''}" if failed else tried.output or ""
    return {
        "id": tried.id,
        "model": tried.model,
        "why": tried.why,
        "said": _cut(readable(said), MOST_CHARACTERS),
        "failed": failed,
        "markable": not failed and tried.output is not None,
        "confidence": tried.confidence,
        "cost_usd": tried.cost_usd,
        "grades": [
            {"name": grade.grader.partition("(")[0], "value": grade.value, "label": grade.label, "why": grade.reason}
            for grade in tried.grades
        ],
    }


def _word(option: Json) -> str:
    if isinstance(option, bool):
        return "yes" if option else "no"
    return option if isinstance(option, str) else orjson.dumps(option).decode()


def readable(text: str) -> str:
    """JSON as lines to read, a name and its value on each; anything else as it is."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return "\n".join(_lines(orjson.loads(text))) or text
    except orjson.JSONDecodeError:
        return text


def _lines(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, Mapping | list) and each:
                yield f"{name}:"
                yield from (f"  {line}" for line in _lines(each))
            else:
                yield f"{name}: {_word(each)}"
    elif isinstance(value, list):
        for each in value:
            first, *rest = list(_lines(each)) or [_word(each)]
            yield f"• {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _word(value)


def _text(value: Json, most: int) -> str:
    return _cut(value if isinstance(value, str) else orjson.dumps(value, default=str).decode(), most)


def _cut(text: str, most: int, *, more: str = "") -> str:
    if len(text) <= most:
        return text
    return text[:most].rstrip() + (more or f" … ({len(text) - most:,} more characters)")


def _stamp(at: datetime | None) -> float | None:
    """Milliseconds since 1970, as a page's clock counts."""
    return None if at is None else 1000 * at.timestamp()
