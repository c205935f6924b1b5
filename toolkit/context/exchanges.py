"""A conversation as exchanges: what the user says, and all up to what the user says next. Pure.

An exchange goes or stays as a whole, so that a tool's call and its result are never parted, and roles still alternate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from toolkit.messages import Data, Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from toolkit.records import Dropped, Request, canonical


@dataclass(frozen=True, slots=True)
class Exchange:
    """Messages of a request by their places there; system messages are in no exchange."""

    places: tuple[int, ...]
    messages: tuple[Message, ...]

    @property
    def name(self) -> str:
        """Its place in the request as it was before anything was dropped, from 0."""
        first, last = self.places[0], self.places[-1]
        return f"messages[{first}]" if first == last else f"messages[{first}:{last + 1}]"

    @property
    def transcript(self) -> str:
        """What was said, as text, for a reader or a score."""
        return "\n\n".join(f"{message.role}: {told(message)}" for message in self.messages)

    def dropped(self, how: str) -> Dropped:
        return Dropped(self.name, sum(map(message_bytes, self.messages)), how)


def exchanges(messages: Sequence[Message]) -> list[Exchange]:
    """The exchanges of a conversation, oldest first.

    A message of the user's opens one, unless it tells results of tools or a call is still without its result.
    """
    found: list[list[int]] = []
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        if message.role == "system":
            continue
        results = [part.id for part in message.parts if isinstance(part, ToolResult)]
        if not found or (message.role == "user" and not results and not waiting):
            found.append([])
        found[-1].append(place)
        waiting |= {part.id for part in message.parts if isinstance(part, ToolCall)}
        waiting -= set(results)
    return [Exchange(tuple(places), tuple(messages[place] for place in places)) for places in found]


def old_exchanges(messages: Sequence[Message], keep: int) -> list[Exchange]:
    """All but the last `keep` of them."""
    return exchanges(messages)[:-keep]


def without(request: Request, gone: Collection[Exchange]) -> Request:
    """The request without these exchanges."""
    if not gone:
        return request
    places = {place for exchange in gone for place in exchange.places}
    return replace(request, messages=tuple(m for place, m in enumerate(request.messages) if place not in places))


def with_text(request: Request, place: tuple[int, int], text: str) -> Request:
    """The request with another text in the data or tool result at (message, part)."""
    message, part = place
    messages = list(request.messages)
    parts = list(messages[message].parts)
    found = parts[part]
    assert isinstance(found, Data | ToolResult)
    parts[part] = replace(found, text=text)
    messages[message] = replace(messages[message], parts=tuple(parts))
    return replace(request, messages=tuple(messages))


def outside_texts(request: Request) -> dict[tuple[int, int], Data | ToolResult]:
    """What came from outside, by (message, part): data and results of tools, which alone may be shortened."""
    return {
        (place, inner): part
        for place, message in enumerate(request.messages)
        for inner, part in enumerate(message.parts)
        if isinstance(part, Data | ToolResult)
    }


def told(message: Message) -> str:
    """A message as text, calls of tools and their results included."""
    return "\n".join(filter(None, map(_told, message.parts)))


def message_bytes(message: Message) -> int:
    """Bytes of UTF-8 of all its parts."""
    return sum(map(part_bytes, message.parts))


def part_bytes(part: Part) -> int:
    """Bytes of UTF-8: of a text, of a call's arguments as JSON, of an attachment's base64."""
    match part:
        case ToolCall():
            return len(canonical(part.arguments))
        case Media():
            return len(part.data)
        case _:
            return len(part.text.encode("utf-8", "surrogatepass"))


def _told(part: Part) -> str:
    match part:
        case Text():
            return part.text
        case Data():
            return f"{part.name}: {part.text}"
        case ToolCall():
            return f"[calls {part.name} {canonical(part.arguments).decode()}]"
        case ToolResult():
            return f"[{part.name or 'the tool'} gave: {part.text}]"
        case Media():
            return f"[an attachment, {part.media_type}]"
        case Reasoning():
            return ""
