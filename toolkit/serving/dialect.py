"""The OpenAI-compatible dialect from the server's side: the inverse of `toolkit.models.openai`. Pure.

What that encodes is read as the same Request again, data sections included; what is written here it decodes to the same
Reply, or to an error of the same class.
"""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    ContextOverflow,
    CutShort,
    InvalidOutput,
    InvalidRequest,
    Overloaded,
    RateLimited,
    TimedOut,
)
from toolkit.messages import (
    Data,
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    delimit,
    sections,
)
from toolkit.records import Json, Reply, Request, new_id, now

ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
LOWEST_LOGPROB = -9999.0  # as OpenAI writes a probability of 0
STATUS_OF_ERROR: Mapping[type[CallError], int] = {
    RateLimited: 429,
    Overloaded: 503,
    TimedOut: 504,
    InvalidRequest: 400,
    AccessDenied: 403,
    ContextOverflow: 413,
    ContentFiltered: 400,
    CutShort: 422,
    InvalidOutput: 422,
}
STATUS_OF_OTHERS = 502


# ----------------------------------------------------------------------------------------------------- body → Request
def parsed(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidRequest where it is none."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidRequest("the body must be a JSON object")
    return content


def chat_request(body: Mapping[str, Json]) -> Request:
    """The request that the body of a chat completion stands for. Raises InvalidRequest saying what cannot be served."""
    if body.get("stream") or body.get("n") not in (None, 1):
        raise InvalidRequest("one whole answer is served: no stream, and no n > 1")
    try:
        return Request(
            messages=tuple(map(_message, body["messages"])),
            output_schema=_schema(body.get("response_format")),
            tools=tuple(_tool(tool["function"]) for tool in body.get("tools") or ()),
            max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            temperature=body.get("temperature"),
            seed=body.get("seed"),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"no chat completion of this dialect ({type(error).__name__}: {error})") from error


def embeddings_request(body: Mapping[str, Json]) -> Request:
    """The request that the body of an embeddings call stands for; its input is text or a list of texts."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("input must be text or a list of texts")
    return Request(operation="embeddings", inputs=tuple(texts))


def _message(said: Mapping[str, Any]) -> Message:
    content = said.get("content")
    if said["role"] == "tool":
        return Message("tool", (ToolResult(said["tool_call_id"], said.get("name", ""), str(content)),))
    role = ROLES[said["role"]]
    items = [{"type": "text", "text": content}] if content and isinstance(content, str) else content or ()
    parts = [part for item in items for part in _parts(item, role)]
    for call in said.get("tool_calls") or ():
        function = call["function"]
        parts.append(ToolCall(call["id"], function["name"], orjson.loads(function["arguments"] or "{}")))
    return Message(role, tuple(parts))


def _parts(item: Mapping[str, Any], role: Role) -> Sequence[Part]:
    if item["type"] == "image_url":
        kind, _, data = item["image_url"]["url"].removeprefix("data:").partition(";base64,")
        return [Media(kind, data)]
    if item["type"] != "text":
        raise ValueError(f"content of type {item['type']!r} is not served")
    return _told_apart(item["text"]) if role == "user" else [Text(item["text"])]


def _told_apart(text: str) -> Sequence[Part]:
    """The data sections of a user's message, and the words between them."""
    parts: list[Part] = []
    for name, value in sections(text).items():
        before, _, text = text.partition(delimit(name, value))
        parts += [*_words(before), Data(name, value, source=name)]
    return [*parts, *_words(text)]


def _words(text: str) -> list[Text]:
    return [Text(text.strip())] if text.strip() else []


def _schema(wanted: Json) -> Mapping[str, Json] | None:
    if wanted is None or wanted["type"] == "text":
        return None
    if wanted["type"] != "json_schema":
        return {"type": "object"}
    return cast("Mapping[str, Json]", wanted["json_schema"]["schema"])


def _tool(function: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(function["name"], function.get("description", ""), function.get("parameters", {}))


# ------------------------------------------------------------------------------------------------------- Reply → body
def chat_body(reply: Reply, asked: Mapping[str, Json]) -> dict[str, Json]:
    """A chat completion; where `logprobs` is asked for, the confidence is the probability of its one token."""
    reason = reply.finish_reasons[0] if reply.finish_reasons else "stop"
    choice: dict[str, Json] = {"index": 0, "message": _answer(reply), "finish_reason": reason}
    if asked.get("logprobs") and reply.confidence is not None:
        logprob = math.log(reply.confidence) if reply.confidence > 0 else LOWEST_LOGPROB
        choice["logprobs"] = {"content": [{"token": reply.text, "logprob": logprob, "bytes": None, "top_logprobs": []}]}
    return {
        "id": reply.response_id or f"chatcmpl-{new_id()}",
        "object": "chat.completion",
        "created": int(now().timestamp()),
        "model": reply.response_model or asked["model"],
        "choices": [choice],
        "usage": _usage(reply),
    }


def embeddings_body(reply: Reply, asked: Mapping[str, Json]) -> dict[str, Json]:
    """A list of vectors; as base64 of 32-bit floats where `encoding_format` says so."""
    packed = asked.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(reply.vectors)
    ]
    return {"object": "list", "data": data, "model": reply.response_model or asked["model"], "usage": _usage(reply)}


def error_body(error: CallError) -> tuple[int, dict[str, str], dict[str, Json]]:
    """Status, headers and body that stand for an error of this class."""
    code = "content_filter" if isinstance(error, ContentFiltered) else error.error_type
    told = {"message": str(error), "type": error.error_type, "code": code}
    headers = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:g}"}
    return STATUS_OF_ERROR.get(type(error), STATUS_OF_OTHERS), headers, {"error": told}


def _answer(reply: Reply) -> dict[str, Json]:
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": orjson.dumps(part.arguments).decode()},
        }
        for part in reply.parts
        if isinstance(part, ToolCall)
    ]
    message: dict[str, Json] = {"role": "assistant", "content": None if calls and not reply.text else reply.text}
    if thought := "".join(part.text for part in reply.parts if isinstance(part, Reasoning)):
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


def _usage(reply: Reply) -> dict[str, Json]:
    usage = reply.usage
    told: dict[str, Json] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
    }
    if usage.cache_read_input_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cache_read_input_tokens}
    if usage.reasoning_output_tokens is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_output_tokens}
    return told
