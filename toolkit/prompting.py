"""What a step returns: a request (`prompt`, `embed`), or a reason to be skipped (`Skip`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time
from typing import Any

import orjson

from toolkit.errors import StepError
from toolkit.messages import Data, Message, Text
from toolkit.records import Request


@dataclass(frozen=True, slots=True)
class Skip:
    """A step's word that it has nothing to do for this row; what needs its output is skipped with it."""

    reason: str


def prompt(instruction: str, /, **sections: Any) -> Request:
    """A chat request: your words, and named sections of data that stay apart from them.

    A section is text, or anything that JSON can hold (a row, a list of passages, a typed output). A section that is
    None raises StepError: a prompt never has a blank where something should be.

    >>> prompt("Triage this support ticket.", ticket="My parcel is late").text
    'Triage this support ticket.\\n\\n<ticket>\\nMy parcel is late\\n</ticket>'
    """
    if not sections:
        return Request(messages=(Message("user", (Text(instruction),)),))
    data = tuple(Data(name, as_text(name, value), source=name) for name, value in sections.items())
    return Request(messages=(Message("system", (Text(instruction),)), Message("user", data)))


def embed(*texts: str) -> Request:
    """An embeddings request; the answer is a list of vectors, or one vector for one text."""
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise StepError(f"cannot embed {text!r}: it is no text")
    return Request(operation="embeddings", inputs=texts)


def as_text(name: str, value: Any) -> str:
    """A value as the text of a section: text as it is, anything else as JSON."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise StepError(f"the prompt's section {name!r} is empty")
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(plain(value), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        raise StepError(f"the prompt's section {name!r} cannot be written as JSON: {error}") from error


def plain(value: Any) -> Any:
    """A value as plain JSON: typed objects become dicts, tuples lists, dates ISO text. Raises TypeError otherwise."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return [plain(record) for record in value.to_dict("records")]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return orjson.loads(orjson.dumps(value))
