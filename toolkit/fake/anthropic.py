"""Anthropic's dialect as a fake server speaks it: bodies, streams, errors, and answers gone wrong. Pure.

Source: Anthropic's API reference for messages, their streaming and errors. `usage.input_tokens` leaves out what came
from the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from toolkit.errors import InvalidRequest
from toolkit.fake.asked import Asked
from toolkit.fake.openai import PIECES, REFUSAL
from toolkit.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from toolkit.records import Json, Reply, Request

STATUSES: Mapping[str, int] = {"quota": 402}
"""Where this dialect tells another status than the usual one."""
STOP_REASONS: Mapping[str, str] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
ERRORS: Mapping[str, tuple[str, str]] = {
    "400": ("invalid_request_error", "The body of the request could not be parsed."),
    "401": ("authentication_error", "invalid x-api-key"),
    "403": ("permission_error", "Your API key does not have permission to use the specified resource."),
    "404": ("not_found_error", "The requested model was not found."),
    "408": ("timeout_error", "The request timed out before it had been read."),
    "409": ("conflict_error", "The resource is being changed by another request."),
    "413": ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    "422": ("invalid_request_error", "The request cannot be processed."),
    "429": ("rate_limit_error", "This request would exceed your organization's rate limit."),
    "quota": ("billing_error", "Your credit balance is too low to access the API."),
    "500": ("api_error", "Internal server error"),
    "502": ("api_error", "Bad gateway"),
    "503": ("overloaded_error", "Overloaded"),
    "504": ("timeout_error", "The request timed out."),
    "529": ("overloaded_error", "Overloaded"),
    "filtered_400": ("invalid_request_error", "Output blocked by content filtering policy"),
}


# ----------------------------------------------------------------------------------------------------------------- read
def request(body: Mapping[str, Json], *, operation: str) -> Request:
    """The request that a body stands for. Raises InvalidRequest."""
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        raise InvalidRequest("max_tokens: Field required")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise InvalidRequest("messages: at least one message is required")
    try:
        told = [Message("system", tuple(_parts(body["system"])))] if body.get("system") else []
        return Request(
            messages=(*told, *(Message(said["role"], tuple(_parts(said["content"]))) for said in body["messages"])),
            output_schema=_schema(body),
            tools=tuple(
                ToolSpec(tool["name"], tool.get("description", ""), tool["input_schema"])
                for tool in body.get("tools") or ()
                if "input_schema" in tool
            ),
            max_output_tokens=limit,
            temperature=body.get("temperature"),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"no message of this dialect ({type(error).__name__}: {error})") from error


def _schema(body: Mapping[str, Json]) -> Mapping[str, Json] | None:
    told = (body.get("output_config") or {}).get("format") or body.get("output_format")
    schema: Mapping[str, Json] | None = told["schema"] if told else None
    return schema


def _parts(content: Json) -> Iterator[Part]:
    blocks: Json = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        match block["type"]:
            case "text":
                yield Text(block["text"])
            case "image" | "document":
                source = block["source"]
                yield Media(str(source.get("media_type", source["type"])), str(source.get("data", "")))
            case "thinking":
                yield Reasoning(block["thinking"], signature=block.get("signature"))
            case "tool_use":
                yield ToolCall(block["id"], block["name"], block["input"])
            case "tool_result":
                yield ToolResult(block["tool_use_id"], "", _result(block.get("content")), bool(block.get("is_error")))


def _result(content: Json) -> str:
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content)
    return str(content or "")


def tool_choice(body: Mapping[str, Json]) -> tuple[str, str | None]:
    """Whether a tool may be called (`auto`), must (`any`) or must not (`none`), and which one if one is named."""
    choice = body.get("tool_choice")
    if not isinstance(choice, Mapping):
        return "auto", None
    kind = choice.get("type")
    if kind == "tool":
        return "any", choice.get("name")
    return kind if kind in ("any", "none") else "auto", None


# ---------------------------------------------------------------------------------------------------------------- write
def whole(reply: Reply, asked: Asked, *, cost_usd: float | None) -> dict[str, Json]:
    """The body of an answer."""
    usage, read = reply.usage, reply.usage.cache_read_input_tokens or 0
    told: dict[str, Json] = {
        "input_tokens": (usage.input_tokens or 0) - read,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_output_tokens is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_output_tokens}
    if cost_usd is not None:
        told["cost"] = cost_usd
    return {
        "id": f"msg_{asked.id}",
        "type": "message",
        "role": "assistant",
        "model": asked.profile.name,
        "content": [_block(part) for part in reply.parts if isinstance(part, Text | ToolCall)],
        "stop_reason": STOP_REASONS[reply.finish_reasons[0]],
        "stop_sequence": None,
        "usage": told,
    }


def _block(part: Text | ToolCall) -> dict[str, Json]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "tool_use", "id": part.id.replace("call_", "toolu_"), "name": part.name, "input": part.arguments}


def events(body: Mapping[str, Any], asked: Asked) -> list[bytes]:
    """The stream that spells a body."""
    opening = {**body, "content": [], "stop_reason": None, "usage": {**body["usage"], "output_tokens": 1}}
    found = [_event("message_start", message=opening), _event("ping")]
    for index, block in enumerate(body["content"]):
        is_text = block["type"] == "text"
        empty: dict[str, Json] = {"text": ""} if is_text else {"input": {}}
        found.append(_event("content_block_start", index=index, content_block={**block, **empty}))
        found += [_event("content_block_delta", index=index, delta=delta) for delta in _deltas(block)]
        found.append(_event("content_block_stop", index=index))
    ending = {name: body[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in body}
    return [*found, _event("message_delta", delta=ending, usage=body["usage"]), _event("message_stop")]


def _deltas(block: Mapping[str, Any]) -> Sequence[dict[str, Json]]:
    if block["type"] == "text":
        return [{"type": "text_delta", "text": piece} for piece in PIECES.findall(block["text"])]
    given = block["input"]
    told = given if isinstance(given, str) else orjson.dumps(given).decode()
    half = len(told) // 2
    return [{"type": "input_json_delta", "partial_json": piece} for piece in (told[:half], told[half:])]


def _event(kind: str, **fields: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


# ------------------------------------------------------------------------------------------------------ what goes wrong
def error(kind: str, words: str | None, *, request_id: str) -> dict[str, Json]:
    """The body of an error; `words` in place of the usual ones."""
    told, usual = ERRORS.get(kind) or ERRORS["400"]
    return {"type": "error", "error": {"type": told, "message": words or usual}, "request_id": request_id}


def overflow(tokens: int, window: int) -> dict[str, Json]:
    """The body of the error for a prompt that is too long."""
    words = f"prompt is too long: {tokens} tokens > {window} maximum"
    return {"type": "error", "error": {"type": "invalid_request_error", "message": words}}


def error_event(request_id: str) -> bytes:
    """An error in the middle of a stream."""
    return b"event: error\ndata: " + orjson.dumps(error("529", None, request_id=request_id)) + b"\n\n"


def spoiled(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """An answer gone wrong in the dialect's own way."""
    texts = [block for block in body["content"] if block["type"] == "text"]
    match kind:
        case "empty_choices":
            return {**body, "content": []}
        case "content_filter" | "refusal":
            details = {"type": "refusal", "category": None, "explanation": REFUSAL}
            return {**body, "content": [], "stop_reason": "refusal", "stop_details": details}
        case "length":
            half = [{**block, "text": block["text"][: len(block["text"]) // 2]} for block in texts]
            return {**body, "content": half, "stop_reason": "max_tokens"}
        case "empty_content":
            return {**body, "content": [{"type": "text", "text": ""}], "stop_reason": "end_turn"}
        case "bad_arguments":
            broken = [
                {**block, "input": orjson.dumps(block["input"]).decode()[:-1] + ', "and'}
                for block in body["content"]
                if block["type"] == "tool_use"
            ]
            return {**body, "content": broken}
    return body
