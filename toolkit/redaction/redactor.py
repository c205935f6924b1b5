"""Requests, replies, grades and errors without what must not be kept: as they may go out, be read and be told. Pure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from toolkit.errors import ToolkitError
from toolkit.messages import Data, Message, Part, Reasoning, Text, ToolCall, ToolResult
from toolkit.records import Grade, Json, Reply, Request
from toolkit.redaction.rules import Redact
from toolkit.redaction.words import Words

E = TypeVar("E", bound=BaseException)
R = TypeVar("R")


class Redactor(Words):
    """Redacts for one record whatever comes into it."""

    def __init__(self, redact: Redact | None, *, key: bytes, known: Iterable[str] = ()) -> None:
        super().__init__(redact, key=key, known=known)
        self._schemas: dict[int, tuple[Any, Any]] = {}

    def request(self, request: Request) -> Request:
        """A request as it may go out: its words, data and texts, and the words in its schemas."""
        if self.redact is None:
            return request
        return _with(
            request,
            messages=_each(request.messages, self._message),
            inputs=_each(request.inputs, self.text),
            output_schema=self._schema(request.output_schema),
            tools=request.tools and _each(request.tools, self._tool),
        )

    def reply(self, reply: Reply) -> Reply:
        """A reply as it may be read: also a find that only its parts together make up."""
        if self.redact is None:
            return reply
        words = [part for part in reply.parts if isinstance(part, Text)]
        parts = reply.parts
        if len(words) > 1 and (whole := self.text(reply.text)) is not reply.text and whole != reply.text:
            others = [part for part in parts if not isinstance(part, Text)]
            parts = (*others, Text(whole))
        return _with(reply, parts=_each(parts, self._part), value=self.within(reply.value, secret=False))

    def grade(self, grade: Grade) -> Grade:
        """A grade whose reason and word may be kept."""
        return _with(grade, reason=self.text(grade.reason), label=grade.label and self.text(grade.label))

    def error(self, error: E) -> E:
        """An error whose message, and what it was raised from, tell nothing; the same object where they did not."""
        if self.redact is None:
            return error
        message = self.told(str(error))
        if message == str(error) and not self._causes_tell(error):
            return error
        clean = copy.copy(error) if isinstance(error, ToolkitError) else error
        clean.args = (message,)
        clean.__cause__ = clean.__context__ = None
        return clean.with_traceback(error.__traceback__)

    def _causes_tell(self, error: BaseException) -> bool:
        """Whether one of the errors behind an error holds a find: a traceback would print it."""
        seen: set[int] = set()
        behind = error.__cause__ or error.__context__
        while behind is not None and id(behind) not in seen:
            seen.add(id(behind))
            if self.told(str(behind)) != str(behind):
                return True
            behind = behind.__cause__ or behind.__context__
        return False

    def _message(self, message: Message) -> Message:
        return _with(message, parts=_each(message.parts, self._part))

    def _part(self, part: Part) -> Part:
        match part:
            case Text():
                return _with(part, text=self.text(part.text))
            case Data():
                return _with(part, text=self.within(part.text, secret=self.is_secret(part.name)))
            case Reasoning():
                told = self.text(part.text)
                return part if told is part.text else Reasoning(told)  # a provider's signature fits its own words alone
            case ToolCall():
                return _with(part, arguments=self.within(part.arguments, secret=False))
            case ToolResult():
                return _with(part, text=self.text(part.text))
        return part

    def _tool(self, tool: Any) -> Any:
        return _with(tool, description=self.text(tool.description), parameters=self._schema(tool.parameters))

    def _schema(self, schema: Any) -> Any:
        """The words of a schema; names in it are those of fields, whose values are types and no secrets."""
        if schema is None:
            return None
        known = self._schemas.get(id(schema))
        if known is None or known[0] is not schema:
            if len(self._schemas) > 256:
                self._schemas.clear()
            known = self._schemas[id(schema)] = (schema, self._words(schema))
        return known[1]

    def _words(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            changed = {name: self._words(item) for name, item in value.items()}
            return value if all(changed[name] is item for name, item in value.items()) else changed
        if isinstance(value, list | tuple):
            items = [self._words(item) for item in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        return value


# ----------------------------------------------------------------------------------------------------------- helpers
def _each(items: tuple[Any, ...], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The items changed; the same tuple where none is."""
    changed = tuple(map(change, items))
    return items if all(new is old for new, old in zip(changed, items, strict=True)) else changed


def _with(record: R, **changes: Any) -> R:
    """The record with these fields; the same object where they are what they were."""
    if all(getattr(record, name) is value for name, value in changes.items()):
        return record
    changed: R = replace(record, **changes)  # type: ignore[type-var]
    return changed
