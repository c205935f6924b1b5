"""The OpenAI-compatible dialect: `encode` a Request, `decode` a Reply. Pure; `http` holds the client.

Source: OpenAI's API reference for chat completions and embeddings, as many other servers speak it (vLLM, Ollama,
llama.cpp, LiteLLM). The schema of an output goes out as `response_format`, or in words where `structured = false`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from toolkit.errors import ContentFiltered, InvalidRequest, InvalidResponse
from toolkit.messages import Data, Media, Message, Reasoning, Text, ToolCall, ToolResult, render
from toolkit.models.http_errors import error_of, status_in
from toolkit.models.spec import ModelSpec
from toolkit.records import Json, Reply, Request, Usage

LARGEST_COUNT = 2**53


# ------------------------------------------------------------------------------------------------------------ encode
def path(request: Request) -> str:
    """The path below the endpoint that serves this kind of request."""
    return "/embeddings" if request.operation == "embeddings" else "/chat/completions"


def encode(request: Request, spec: ModelSpec) -> bytes:
    """The body of the HTTP request."""
    if request.operation == "embeddings":
        return orjson.dumps({"model": spec.model, "input": list(request.inputs)})
    structured = bool(spec.settings.get("structured", True))
    body: dict[str, Json] = {"model": spec.model, "messages": _messages(request, structured)}
    limit = request.max_output_tokens or spec.max_output_tokens
    if limit:
        body[str(spec.settings.get("limit_field", "max_tokens"))] = limit
    for field in ("temperature", "seed"):
        if (value := getattr(request, field)) is not None:
            body[field] = value
    if request.output_schema is not None and structured:
        schema = {"name": "answer", "schema": request.output_schema, "strict": bool(spec.settings.get("strict", False))}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.tools:
        body["tools"] = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
            for t in request.tools
        ]
    if spec.settings.get("logprobs", False):
        body["logprobs"] = True
    return orjson.dumps(body)


def _messages(request: Request, structured: bool) -> list[dict[str, Json]]:
    messages = [_message(message) for message in request.messages]
    if request.output_schema is not None and not structured:
        schema = orjson.dumps(request.output_schema).decode()
        words = f"Answer with one JSON value and nothing else. It must satisfy this JSON schema:\n{schema}"
        messages.append({"role": "system", "content": words})
    return messages


def _message(message: Message) -> dict[str, Json]:
    result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
    if result is not None:
        return {"role": "tool", "tool_call_id": result.id, "content": result.text}
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": orjson.dumps(part.arguments).decode()},
        }
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    encoded: dict[str, Json] = {"role": message.role, "content": _content(message)}
    if calls:
        encoded["tool_calls"] = calls
    return encoded


def _content(message: Message) -> Json:
    if not any(isinstance(part, Media) for part in message.parts):
        return message.text
    content: list[dict[str, Json]] = []
    for part in message.parts:
        if isinstance(part, Media):
            content.append({"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{part.data}"}})
        elif isinstance(part, Text | Data):
            content.append({"type": "text", "text": render(part)})
    return content


# ------------------------------------------------------------------------------------------------------------ decode
def decode(status: int, headers: Mapping[str, str], body: bytes, *, operation: str) -> Reply:
    """The reply in a response, or the CallError that it stands for."""
    if status >= 400:
        raise error_of(status, headers, body)
    if status >= 300:
        raise InvalidRequest(
            f"HTTP {status}: moved to {headers.get('location')}; set the model's endpoint to what is meant"
        )
    content = _json(body)
    if not isinstance(content, dict):
        raise InvalidResponse(f"the body is a JSON {type(content).__name__}, not an object")
    if content.get("error"):
        raise error_of(status_in(content["error"]), headers, body)
    try:
        return _embeddings(content) if operation == "embeddings" else _chat(content)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InvalidResponse(
            f"the body is JSON, but no reply of this dialect ({type(error).__name__}: {error})"
        ) from error


def _chat(content: dict[str, Any]) -> Reply:
    choices = content["choices"]
    if not choices:
        raise InvalidResponse("the reply has no choices")
    choice = choices[0]
    message = choice["message"]
    reason = choice.get("finish_reason")
    text = _text_of(message.get("content"))
    if reason == "content_filter":
        raise ContentFiltered("the provider's filter withheld the answer")
    if text is None and isinstance(refusal := message.get("refusal"), str):
        raise ContentFiltered(f"the model refused: {refusal[:500]}")
    parts: list[Text | Reasoning | ToolCall] = []
    if thought := _word(message.get("reasoning_content")) or _word(message.get("reasoning")):
        parts.append(Reasoning(thought))
    if text is not None:
        parts.append(Text(text))
    parts += [_tool_call(call) for call in message.get("tool_calls") or ()]
    return Reply(
        parts=tuple(parts),
        usage=_usage(content.get("usage")),
        finish_reasons=(reason,) if isinstance(reason, str) else (),
        response_model=_word(content.get("model")),
        response_id=_word(content.get("id")),
        confidence=_confidence(choice.get("logprobs")),
    )


def _text_of(content: Json) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _tool_call(call: dict[str, Any]) -> ToolCall:
    """Its arguments come as JSON text; as an object from some servers."""
    function = call["function"]
    given = function["arguments"]
    arguments = given if isinstance(given, dict) else orjson.loads(given or "{}")
    if not isinstance(arguments, dict):
        raise TypeError(f"a tool's arguments are a {type(arguments).__name__}, not an object")
    return ToolCall(str(call["id"]), str(function["name"]), arguments)


def _word(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _embeddings(content: dict[str, Any]) -> Reply:
    items = sorted(content["data"], key=lambda item: item["index"])
    if [item["index"] for item in items] != list(range(len(items))):
        raise InvalidResponse("the vectors are not numbered 0, 1, 2 …")
    vectors = tuple(_vector(item["embedding"]) for item in items)
    return Reply(vectors=vectors, usage=_usage(content.get("usage")), response_model=_word(content.get("model")))


def _vector(numbers: Json) -> tuple[float, ...]:
    if not isinstance(numbers, list):
        raise TypeError(f"an embedding is a {type(numbers).__name__}, not a list of numbers")
    vector = tuple(map(float, numbers))
    if not all(map(math.isfinite, vector)):
        raise InvalidResponse("a vector holds NaN or infinity")
    return vector


def _usage(usage: Json) -> Usage:
    """Token counts; a part larger than its whole is a mistake of the provider's and counts as unknown."""
    if not isinstance(usage, dict):
        return Usage()

    def count(holder: Json, name: str) -> int | None:
        value = holder.get(name) if isinstance(holder, dict) else None
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT else None

    def part(holder: str, name: str, whole: int | None) -> int | None:
        value = count(usage.get(holder), name)
        return None if value is None or (whole is not None and value > whole) else value

    entered = count(usage, "prompt_tokens")
    left = count(usage, "completion_tokens")
    return Usage(
        input_tokens=entered,
        output_tokens=left,
        cache_read_input_tokens=part("prompt_tokens_details", "cached_tokens", entered),
        reasoning_output_tokens=part("completion_tokens_details", "reasoning_tokens", left),
    )


def _confidence(logprobs: Json) -> float | None:
    """The probability of an average token: exp of the mean log-probability. None where they are not told, or odd."""
    try:
        values = [float(token["logprob"]) for token in logprobs["content"]]
        return math.exp(min(0.0, sum(values) / len(values)))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None


def _json(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        start = body[:60].decode("utf-8", "replace")
        raise InvalidResponse(f"the body is no JSON ({error}); it starts with {start!r}") from error
