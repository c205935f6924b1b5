"""The OpenAI-compatible dialect: `encode` a Request, `decode` a Reply. Pure; `http` holds the client.

Source: OpenAI's API reference for chat completions and embeddings, as many other servers speak it (vLLM, Ollama,
llama.cpp, LiteLLM). The schema of an output goes out as `response_format`, or in words where `structured = false`;
`body` is a table of further fields, which win over what is encoded here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from toolkit.errors import ContentFiltered, InvalidResponse
from toolkit.messages import Data, Media, Message, Reasoning, Text, ToolCall, ToolResult, render
from toolkit.models.bodies import count, is_stream, json_object, part_of, word
from toolkit.models.http_errors import error_of, refused, status_in
from toolkit.models.openai_stream import assembled
from toolkit.models.spec import ModelSpec
from toolkit.models.wording import schema_in_words
from toolkit.records import Json, Reply, Request, Usage

AUDIO: Mapping[str, str] = {"mpeg": "mp3", "x-wav": "wav"}
"""Their words for formats of sound."""


# ------------------------------------------------------------------------------------------------------------ encode
def path(request: Request) -> str:
    """The path below the endpoint that serves this kind of request."""
    return "/embeddings" if request.operation == "embeddings" else "/chat/completions"


def headers(key: str | None) -> dict[str, str]:
    """The headers that say who asks."""
    return {"authorization": f"Bearer {key}"} if key else {}


def encode(request: Request, spec: ModelSpec) -> bytes:
    """The body of the HTTP request."""
    if request.operation == "embeddings":
        return orjson.dumps({"model": spec.model, "input": list(request.inputs), **spec.body})
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
    if spec.settings.get("stream", False):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps({**body, **spec.body})


def _messages(request: Request, structured: bool) -> list[dict[str, Json]]:
    messages = [encoded for message in request.messages for encoded in _encoded(message)]
    if request.output_schema is not None and not structured:
        messages.append({"role": "system", "content": schema_in_words(request.output_schema)})
    return messages


def _encoded(message: Message) -> Iterator[dict[str, Json]]:
    """One message; more where it tells the results of tools, each of which is a message here, before other words."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        yield {"role": "tool", "tool_call_id": result.id, "content": result.text}
    others = tuple(part for part in message.parts if not isinstance(part, ToolResult))
    if others or not results:
        yield _message(Message("user" if message.role == "tool" else message.role, others))


def _message(message: Message) -> dict[str, Json]:
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
            content.append(_attached(part))
        elif isinstance(part, Text | Data):
            content.append({"type": "text", "text": render(part)})
    return content


def _attached(media: Media) -> dict[str, Json]:
    """An attachment: sound as `input_audio`, an image as its URL, anything else as a file."""
    kind, _, form = media.media_type.partition("/")
    url = f"data:{media.media_type};base64,{media.data}"
    if kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": AUDIO.get(form, form)}}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": f"attachment.{form}", "file_data": url}}


# ------------------------------------------------------------------------------------------------------------ decode
def decode(status: int, headers: Mapping[str, str], body: bytes, *, operation: str) -> Reply:
    """The reply in a response, or the CallError that it stands for."""
    refused(status, headers, body)
    try:
        content = assembled(body) if is_stream(headers) else json_object(body)
        if content.get("error"):
            raise error_of(status_in(content["error"]), headers, orjson.dumps(content))
        return _embeddings(content) if operation == "embeddings" else _chat(content)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidResponse(
            f"the body is JSON, but no reply of this dialect ({type(error).__name__}: {error})"
        ) from error


def _chat(content: dict[str, Any]) -> Reply:
    choices = content["choices"]
    if not choices:
        raise InvalidResponse("the reply has no choices")
    choice = choices[0]
    if choice.get("error"):
        raise error_of(status_in(choice["error"]), {}, orjson.dumps(choice))
    message = choice["message"]
    reason = choice.get("finish_reason")
    text = _text_of(message.get("content"))
    usage = content.get("usage")
    billed = Reply(
        usage=_usage(usage),
        finish_reasons=(reason,) if isinstance(reason, str) else (),
        response_model=word(content.get("model")),
        response_id=word(content.get("id")),
        cost_usd=_cost(usage),
    )
    if reason == "content_filter":
        raise ContentFiltered("the provider's filter withheld the answer", billed=billed)
    if not text and isinstance(refusal := message.get("refusal"), str) and refusal:
        raise ContentFiltered(f"the model refused: {refusal[:500]}", billed=billed)
    parts: list[Text | Reasoning | ToolCall] = []
    if thought := word(message.get("reasoning_content")) or word(message.get("reasoning")):
        parts.append(Reasoning(thought))
    if text is not None:
        parts.append(Text(text))
    parts += [_tool_call(call) for call in message.get("tool_calls") or ()]
    return replace(billed, parts=tuple(parts), confidence=_confidence(choice.get("logprobs")))


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


def _embeddings(content: dict[str, Any]) -> Reply:
    items = sorted(content["data"], key=lambda item: item["index"])
    if [item["index"] for item in items] != list(range(len(items))):
        raise InvalidResponse("the vectors are not numbered 0, 1, 2 …")
    vectors = tuple(_vector(item["embedding"]) for item in items)
    return Reply(vectors=vectors, usage=_usage(content.get("usage")), response_model=word(content.get("model")))


def _vector(numbers: Json) -> tuple[float, ...]:
    if not isinstance(numbers, list):
        raise TypeError(f"an embedding is a {type(numbers).__name__}, not a list of numbers")
    vector = tuple(map(float, numbers))
    if not all(map(math.isfinite, vector)):
        raise InvalidResponse("a vector holds NaN or infinity")
    return vector


def _usage(usage: Json) -> Usage:
    entered, left = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    into, out = (
        (usage.get("prompt_tokens_details"), usage.get("completion_tokens_details"))
        if isinstance(usage, dict)
        else (None, None)
    )
    read = part_of(entered, count(into, "cached_tokens"))
    return Usage(
        input_tokens=entered,
        output_tokens=left,
        cache_read_input_tokens=read,
        cache_write_input_tokens=part_of(
            None if entered is None else entered - (read or 0), count(into, "cache_write_tokens")
        ),
        reasoning_output_tokens=part_of(left, count(out, "reasoning_tokens")),
    )


def _cost(usage: Json) -> float | None:
    """US dollars, where a server tells them beside its counts, as OpenRouter does."""
    told = usage.get("cost") if isinstance(usage, dict) else None
    if not isinstance(told, int | float) or isinstance(told, bool):
        return None
    return float(told) if math.isfinite(told) and told >= 0 else None


def _confidence(logprobs: Json) -> float | None:
    """The probability of an average token: exp of the mean log-probability. None where they are not told, or odd."""
    try:
        values = [float(token["logprob"]) for token in logprobs["content"]]
        return math.exp(min(0.0, sum(values) / len(values)))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None
