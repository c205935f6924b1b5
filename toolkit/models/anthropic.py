"""Anthropic's dialect, the Messages API: `encode` a Request, `decode` a Reply. Pure; `http` holds the client.

Source: Anthropic's API reference for messages. Here `usage.input_tokens` leaves out what the cache read and wrote; a
Reply counts them in. The schema of an output goes out as `output_config`, or in words where `structured = false`;
`body` is a table of further fields, which win over what is encoded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import orjson

from toolkit.errors import ContentFiltered, InvalidRequest, InvalidResponse
from toolkit.messages import Data, Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, render
from toolkit.models.anthropic_stream import assembled
from toolkit.models.bodies import count, is_stream, json_object, part_of, word
from toolkit.models.http_errors import error_of, refused, status_in
from toolkit.models.spec import ModelSpec
from toolkit.models.wording import schema_in_words
from toolkit.records import Json, Reply, Request, Usage

API_VERSION = "2023-06-01"
DEFAULT_LIMIT = 4096
"""Tokens of output where neither request nor model names a limit: the API wants one."""
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
"""Their words for why an answer ended, in the words that all dialects share."""


# ------------------------------------------------------------------------------------------------------------ encode
def path(request: Request) -> str:
    """The path below the endpoint that serves this kind of request. Raises InvalidRequest for embeddings."""
    if request.operation == "embeddings":
        raise InvalidRequest("this dialect has no embeddings; route the step to another model")
    return "/messages"


def headers(key: str | None) -> dict[str, str]:
    """The headers that say who asks, and in which version of the dialect."""
    return {"anthropic-version": API_VERSION} | ({"x-api-key": key} if key else {})


def encode(request: Request, spec: ModelSpec) -> bytes:
    """The body of the HTTP request."""
    structured = bool(spec.settings.get("structured", True))
    system = [message.text for message in request.messages if message.role == "system" and message.text.strip()]
    if request.output_schema is not None and not structured:
        system.append(schema_in_words(request.output_schema))
    body: dict[str, Json] = {
        "model": spec.model,
        "max_tokens": request.max_output_tokens or spec.max_output_tokens or DEFAULT_LIMIT,
        "messages": _turns(request.messages),
    }
    if system:
        body["system"] = "\n\n".join(system)
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.output_schema is not None and structured:
        body["output_config"] = {"format": {"type": "json_schema", "schema": _closed(request.output_schema)}}
    if request.tools:
        body["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": {"type": "object", **t.parameters}}
            for t in request.tools
        ]
    if isinstance(thinking := spec.settings.get("thinking"), dict):
        body["thinking"] = thinking
    if spec.settings.get("stream", False):
        body["stream"] = True
    return orjson.dumps({**body, **spec.body})


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Json]]:
    """Turns of user and assistant, each a list of blocks; what tools gave is told by the user."""
    spoken = [message for message in messages if message.role != "system"]
    turns = []
    for is_assistant, group in groupby(spoken, key=lambda message: message.role == "assistant"):
        blocks = [block for message in group for block in _blocks(message)]
        blocks.sort(key=lambda block: block["type"] != "tool_result")  # which must come first; all else stays in order
        if blocks:
            turns.append({"role": "assistant" if is_assistant else "user", "content": blocks})
    return turns


def _blocks(message: Message) -> Iterator[dict[str, Json]]:
    for part in message.parts:
        if (block := _block(part)) is not None:
            yield block


def _block(part: Part) -> dict[str, Json] | None:
    """A part as a block; None for what this dialect refuses: empty text, and reasoning that is not its own."""
    match part:
        case Text() | Data():
            text = render(part)
            return {"type": "text", "text": text} if text.strip() else None
        case Media():
            source = {"type": "base64", "media_type": part.media_type, "data": part.data}
            kind = "document" if part.media_type == "application/pdf" else "image"
            return {"type": kind, "source": source}
        case Reasoning(text="", signature=str(sealed)):
            return {"type": "redacted_thinking", "data": sealed}
        case Reasoning(text=text, signature=str(signature)):
            return {"type": "thinking", "thinking": text, "signature": signature}
        case Reasoning():
            return None
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": dict(part.arguments)}
        case ToolResult():
            result = {"type": "tool_result", "tool_use_id": part.id, "content": part.text}
            return result | ({"is_error": True} if part.is_error else {})


def _closed(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema with every object closed to further properties, as the API demands."""
    closed = {name: _closed_below(value) for name, value in schema.items()}
    if schema.get("type") == "object" or "properties" in schema:
        closed["additionalProperties"] = False
    return closed


def _closed_below(value: Json) -> Json:
    if isinstance(value, Mapping):
        return _closed(value)
    return [_closed_below(item) for item in value] if isinstance(value, list | tuple) else value


# ------------------------------------------------------------------------------------------------------------ decode
def decode(status: int, headers: Mapping[str, str], body: bytes, *, operation: str) -> Reply:
    """The reply in a response, or the CallError that it stands for."""
    refused(status, headers, body)
    try:
        content = assembled(body) if is_stream(headers) else json_object(body)
        if content.get("type") == "error" or content.get("error"):
            raise error_of(status_in(content.get("error")), headers, orjson.dumps(content))
        return _message(content)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidResponse(
            f"the body is JSON, but no reply of this dialect ({type(error).__name__}: {error})"
        ) from error


def _message(content: dict[str, Any]) -> Reply:
    reason = word(content.get("stop_reason"))
    billed = Reply(
        usage=_usage(content.get("usage")),
        finish_reasons=(FINISH_REASONS.get(reason, reason),) if reason else (),
        response_model=word(content.get("model")),
        response_id=word(content.get("id")),
    )
    if reason == "refusal":
        told = content.get("stop_details")
        why = word(told.get("explanation")) if isinstance(told, dict) else None
        raise ContentFiltered(f"the model refused: {(why or 'it gave no reason')[:500]}", billed=billed)
    parts = tuple(part for block in content["content"] if (part := _part(block)) is not None)
    if not parts and reason not in ("max_tokens", "end_turn", "stop_sequence", "model_context_window_exceeded"):
        raise InvalidResponse("the reply has no content")
    return replace(billed, parts=parts)


def _part(block: dict[str, Any]) -> Part | None:
    """A block as a part; None for kinds that are not the answer (searches that the server made itself, say)."""
    match block["type"]:
        case "text":
            return Text(_needed(block["text"]))
        case "thinking":
            return Reasoning(_needed(block["thinking"]), signature=word(block.get("signature")))
        case "redacted_thinking":
            return Reasoning("", signature=_needed(block["data"]))
        case "tool_use":
            if not isinstance(block["input"], dict):
                raise TypeError(f"a tool's arguments are a {type(block['input']).__name__}, not an object")
            return ToolCall(str(block["id"]), str(block["name"]), block["input"])
        case _:
            return None


def _needed(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a block holds a {type(value).__name__} and no text")
    return value


def _usage(usage: Json) -> Usage:
    fresh = count(usage, "input_tokens")
    read, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    left = count(usage, "output_tokens")
    details = usage.get("output_tokens_details") if isinstance(usage, dict) else None
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=left,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        reasoning_output_tokens=part_of(left, count(details, "thinking_tokens")),
    )
