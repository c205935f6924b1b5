"""Valid responses of both dialects, whole and streamed, plain and with every field that decoding looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson

Dialect = Literal["openai", "anthropic"]
STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it comes from a server, and what was asked for."""

    dialect: Dialect
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    retry_after: str | None = None
    operation: str = "chat"


def _events(*told: Any, end: bytes = b"") -> bytes:
    return b"".join(b"data: %b\n\n" % orjson.dumps(event) for event in told) + end


_USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "cost": 0.0125,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"k": [1, "é"]}'}}
_LOGPROBS = {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}] * 3}
_MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "assistant", "content": "The parcel is on its way. 📦"},
    {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"role": "assistant", "content": None, "tool_calls": [_CALL, {**_CALL, "id": "call_2"}]},
    {"role": "assistant", "content": "4", "reasoning_content": "2 and 2"},
    {"role": "assistant", "content": None, "refusal": "I cannot help with that."},
    {"role": "assistant", "content": None, "tool_calls": [{**_CALL, "function": {"name": "f", "arguments": {"k": 1}}}]},
    {"role": "assistant", "content": '{"intent": "refund", "urgent": true}', "reasoning": "hm"},
)
_WHOLE = [
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "small-1",
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": _LOGPROBS}],
        "usage": _USAGE,
    }
    for message in _MESSAGES
    for reason in ("stop", "length", "tool_calls", "content_filter")
]
_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "small-1"}
_DELTAS: tuple[dict[str, Any], ...] = (
    {"role": "assistant", "content": ""},
    {"reasoning_content": "hm"},
    {"content": "Hel"},
    {"content": "lo"},
    {"tool_calls": [{**_CALL, "function": {"name": "find", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"k": 3}'}}]},
    {"tool_calls": [{"index": 1, "id": "call_2", "function": {"name": "find", "arguments": {"k": 4}}}]},
)
_CHUNKS = [
    *({**_CHUNK, "choices": [{"index": 0, "delta": d, "finish_reason": None, "logprobs": _LOGPROBS}]} for d in _DELTAS),
    {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {**_CHUNK, "choices": [], "usage": _USAGE},
]
_BLOCKS: tuple[dict[str, Any], ...] = (
    {"type": "thinking", "thinking": "2 and 2", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "text", "text": "The parcel is on its way. 📦"},
    {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"k": [1, "é"]}},
    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
)
_TOLD = {
    "input_tokens": 20,
    "cache_read_input_tokens": 90,
    "cache_creation_input_tokens": 10,
    "output_tokens": 30,
    "output_tokens_details": {"thinking_tokens": 20},
}
_SAID = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "usage": _TOLD}
_MESSAGES_WHOLE = [
    {**_SAID, "content": list(_BLOCKS[:blocks]), "stop_reason": reason, "stop_details": {"explanation": "no"}}
    for blocks in range(len(_BLOCKS) + 1)
    for reason in ("end_turn", "max_tokens", "tool_use", "refusal")
]
_STREAMED: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {**_SAID, "content": [], "stop_reason": None}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {**_BLOCKS[3], "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"k": 3}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 30}},
    {"type": "message_stop"},
)
_VECTORS = {
    "object": "list",
    "model": "embedder-1",
    "data": [{"object": "embedding", "index": i, "embedding": [0.25, -0.5, 1e-3]} for i in range(3)],
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}
_ERRORS: tuple[tuple[int, Any], ...] = (
    (400, {"error": {"message": "This model's maximum context length is 8192", "code": "context_length_exceeded"}}),
    (400, {"error": {"message": "filtered", "code": "content_filter"}}),
    (401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}),
    (429, {"error": {"message": "slow down", "type": "rate_limit_error"}}),
    (429, {"error": {"message": "no money", "code": "insufficient_quota"}}),
    (500, {"error": "internal"}),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    (200, {"error": {"message": "upstream", "code": 503}}),
    (200, {"error": {"message": "upstream", "code": "503"}}),
    (200, {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}),
    (200, {"choices": [{"message": {"content": "ha"}, "error": {"code": 502, "message": "upstream is gone"}}]}),
    (302, {}),
)

VALID: tuple[Response, ...] = (
    *(Response("openai", orjson.dumps(whole)) for whole in _WHOLE),
    Response("openai", _events(*_CHUNKS, end=b"data: [DONE]\n\n"), content_type=STREAM),
    Response("openai", _events(*_CHUNKS[:3], {"error": {"code": 500, "message": "x"}}), content_type=STREAM),
    *([Response("openai", orjson.dumps(_VECTORS), operation="embeddings")] * 4),
    *(Response("anthropic", orjson.dumps(whole)) for whole in _MESSAGES_WHOLE),
    Response("anthropic", _events(*_STREAMED), content_type=STREAM),
    Response("anthropic", _events(*_STREAMED[:5], _ERRORS[6][1]), content_type=STREAM),
    *(
        Response(dialect, orjson.dumps(body), status, retry_after=wait)
        for dialect in ("openai", "anthropic")
        for status, body in _ERRORS
        for wait in (None, "3", "Sun, 06 Nov 2094 08:49:37 GMT")
    ),
)
