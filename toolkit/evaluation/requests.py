"""Recorded requests as they were: from the contents of the history back to `Request`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from toolkit.ledger import History
from toolkit.ledger.documents import MARK, join
from toolkit.ledger.views import evaluations
from toolkit.messages import Data, Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from toolkit.records import Json, Request

PARTS: Mapping[str, Callable[..., Part]] = {
    "text": Text,
    "data": Data,
    "media": Media,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
}


def request_of(told: Mapping[str, Any]) -> Request:
    """The request whose canonical JSON says this: `Request.canonical` undone."""
    fields: dict[str, Any] = dict(told)
    fields["messages"] = tuple(
        Message(said["role"], tuple(PARTS[part["type"]](**part) for part in said["parts"]))
        for said in told.get("messages", ())
    )
    fields["tools"] = tuple(ToolSpec(**tool) for tool in told.get("tools", ()))
    for name in ("inputs", "needs"):
        fields[name] = tuple(told.get(name, ()))
    return Request(**fields)


def bodies(history: History) -> Callable[[str], Json]:
    """What makes a recorded content a whole JSON value, whether it is kept in one piece or in many."""
    pieces: dict[str, bytes] = {}

    def piece(name: str) -> bytes:
        if not pieces:
            found = history.sql(evaluations.PIECES_OF_REQUESTS)
            pieces.update({hash_: body.encode() for hash_, body in found})
        return pieces[name]

    def whole(content: str) -> Json:
        return orjson.loads(join(content.encode(), piece) if content.startswith(MARK) else content)

    return whole
