"""OpenAI's dialect as a fake server speaks it: bodies, streams, errors, and answers gone wrong. Pure.

Source: OpenAI's API reference for chat completions, their chunks, embeddings and errors. Reading and writing whole
bodies is `toolkit.serving.dialect`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from toolkit.errors import InvalidRequest
from toolkit.fake.asked import Asked
from toolkit.records import Json, Reply, Request
from toolkit.serving import dialect

STATUSES: Mapping[str, int] = {}
"""Where this dialect tells another status than the usual one."""
PIECES = re.compile(r"\s*\S+\s*?|\s+")
END = b"data: [DONE]\n\n"
REFUSAL = "I'm sorry, but I can't help with that."
ERRORS: Mapping[str, tuple[str, str | None, str]] = {
    "400": ("invalid_request_error", None, "We could not parse the body of your request."),
    "401": ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "403": ("invalid_request_error", "unsupported_country_region_territory", "Your project may not use this model."),
    "404": ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    "408": ("server_error", None, "The request timed out before it had been read."),
    "409": ("invalid_request_error", None, "The resource is being changed by another request."),
    "413": ("invalid_request_error", None, "The request is too large."),
    "422": ("invalid_request_error", None, "The request cannot be processed."),
    "429": ("requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."),
    "quota": ("insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "500": ("server_error", None, "The server had an error while processing your request."),
    "502": ("server_error", None, "Bad gateway."),
    "503": ("server_error", None, "The engine is currently overloaded, please try again later."),
    "504": ("server_error", None, "Gateway time-out."),
    "529": ("server_error", None, "The server is overloaded."),
    "filtered_400": (
        "invalid_request_error",
        "content_filter",
        "The response was filtered as the prompt triggered the content management policy.",
    ),
}


# ----------------------------------------------------------------------------------------------------------------- read
def request(body: Mapping[str, Json], *, operation: str) -> Request:
    """The request that a body stands for. Raises InvalidRequest."""
    if operation == "embeddings":
        return dialect.embeddings_request(body)
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise InvalidRequest("messages must be a list of at least one message")
    return dialect.chat_request({**body, "stream": None})


def tool_choice(body: Mapping[str, Json]) -> tuple[str, str | None]:
    """Whether a tool may be called (`auto`), must (`any`) or must not (`none`), and which one if one is named."""
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        function = choice.get("function")
        return "any", function.get("name") if isinstance(function, Mapping) else None
    return {"none": "none", "required": "any"}.get(str(choice), "auto"), None


# ---------------------------------------------------------------------------------------------------------------- write
def whole(reply: Reply, asked: Asked, *, cost_usd: float | None) -> dict[str, Json]:
    """The body of an answer."""
    if asked.request.operation == "embeddings":
        body = dialect.embeddings_body(reply, asked.body)
    else:
        body = {**dialect.chat_body(reply, asked.body), "id": f"chatcmpl-{asked.id}", "created": 0}
    if cost_usd is not None:
        body["usage"]["cost"] = cost_usd
    return body


def events(body: Mapping[str, Any], asked: Asked) -> list[bytes]:
    """The stream that spells a body."""
    about = {"id": body["id"], "object": "chat.completion.chunk", "created": 0, "model": body["model"]}

    def chunk(choices: list[Json], **more: Json) -> bytes:
        return b"data: " + orjson.dumps({**about, "choices": choices, **more}) + b"\n\n"

    found = []
    for choice in body["choices"]:
        message, logprobs = choice["message"], choice.get("logprobs")
        deltas: list[dict[str, Json]] = [{"role": "assistant", "content": ""}]
        deltas += [{"refusal": piece} for piece in _pieces(message.get("refusal"))]
        deltas += [{"content": piece} for piece in _pieces(message.get("content"))]
        deltas += [delta for n, call in enumerate(message.get("tool_calls") or ()) for delta in _calling(n, call)]
        told = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        if logprobs:
            told[0]["logprobs"] = logprobs
        told.append({"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]})
        found += [chunk([each]) for each in told]
    options = asked.body.get("stream_options")
    if isinstance(options, Mapping) and options.get("include_usage"):
        found.append(chunk([], usage=body["usage"]))
    return [*found, END]


def _pieces(text: Json) -> list[str]:
    return PIECES.findall(text) if isinstance(text, str) else []


def _calling(index: int, call: Mapping[str, Any]) -> list[dict[str, Json]]:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    opening = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
    half = len(arguments) // 2
    pieces = [{"index": index, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
    return [{"tool_calls": [part]} for part in (opening, *pieces)]


# ------------------------------------------------------------------------------------------------------ what goes wrong
def error(kind: str, words: str | None, *, request_id: str) -> dict[str, Json]:
    """The body of an error; `words` in place of the usual ones."""
    told, code, usual = ERRORS.get(kind) or ERRORS["400"]
    return {"error": {"message": words or usual, "type": told, "param": None, "code": code}}


def overflow(tokens: int, window: int) -> dict[str, Json]:
    """The body of the error for a prompt that is too long."""
    words = (
        f"This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} tokens. "
        f"Please reduce the length of the messages."
    )
    told = {"type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
    return {"error": {"message": words, **told}}


def error_event(request_id: str) -> bytes:
    """An error in the middle of a stream."""
    return b"data: " + orjson.dumps(error("500", None, request_id=request_id)) + b"\n\n"


def spoiled(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """An answer gone wrong in the dialect's own way."""
    if kind == "empty_choices":
        return {**body, "data" if "data" in body else "choices": []}
    choice = dict(body["choices"][0])
    message = {"role": "assistant", "content": choice["message"].get("content")}
    match kind:
        case "content_filter":
            choice |= {"finish_reason": "content_filter", "message": {**message, "content": ""}}
        case "refusal":
            choice |= {"finish_reason": "stop", "message": {**message, "content": None, "refusal": REFUSAL}}
        case "length":
            text = message["content"] or ""
            choice |= {"finish_reason": "length", "message": {**message, "content": text[: len(text) // 2]}}
        case "empty_content":
            choice |= {"finish_reason": "stop", "message": {**message, "content": ""}}
        case "bad_arguments":
            call = choice["message"]["tool_calls"][0]
            broken = {**call["function"], "arguments": (call["function"]["arguments"][:-1] + ', "and')}
            choice["message"] = {**choice["message"], "tool_calls": [{**call, "function": broken}]}
    return {**body, "choices": [choice]}
