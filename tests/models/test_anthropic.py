"""Anthropic's dialect: tables of (what is asked, what goes out) and (what came, what it is)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.models.loopback import ASKED, EMBED
from toolkit.errors import (
    CallError,
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    InvalidResponse,
    Overloaded,
    RateLimited,
)
from toolkit.messages import Data, Media, Message, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from toolkit.models import anthropic
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request, Usage

SPEC = ModelSpec("far", "anthropic", "claude-x", endpoint="http://far/v1")


def sent(request: Request = ASKED, **fields: Any) -> dict[str, Any]:
    spec = ModelSpec("far", "anthropic", "claude-x", endpoint="http://far/v1", **fields)
    body: dict[str, Any] = orjson.loads(anthropic.encode(request, spec))
    return body


def message(*content: Any, **fields: Any) -> bytes:
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "stop_reason": "end_turn"}
    usage = {"input_tokens": 10, "output_tokens": 5}
    return orjson.dumps({**known, "content": content or [{"type": "text", "text": "hello"}], "usage": usage, **fields})


def read(body: bytes, status: int = 200, **headers: str) -> Reply:
    return anthropic.decode(status, headers, body, operation="chat")


# ------------------------------------------------------------------------------------------------------------ encode
def test_system_words_go_out_apart_and_a_limit_always_goes_out() -> None:
    body = sent()
    assert body["system"] == "Say hello."
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "<ticket>\nHi\n</ticket>"}]}]
    assert body["max_tokens"] == anthropic.DEFAULT_LIMIT
    assert sent(ASKED.with_options(max_output_tokens=7), max_output_tokens=9)["max_tokens"] == 7
    assert sent(max_output_tokens=9)["max_tokens"] == 9


def test_a_schema_goes_out_closed_or_in_words() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}}}
    typed = ASKED.with_options(output_schema=schema)
    closed = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "object", "additionalProperties": False}}},
        "additionalProperties": False,
    }
    assert sent(typed)["output_config"] == {"format": {"type": "json_schema", "schema": closed}}
    in_words = sent(typed, settings={"structured": False})
    assert "output_config" not in in_words
    assert "JSON schema" in in_words["system"]


def test_a_conversation_with_tools_keeps_its_turns_and_their_order() -> None:
    request = Request(
        messages=(
            Message("user", (Text("Where is L-1?"), Media("image/png", "aGk="))),
            Message(
                "assistant", (Reasoning("hm", signature="s"), Reasoning("other's"), ToolCall("t1", "find", {"k": 1}))
            ),
            Message("tool", (ToolResult("t1", "find", "there"),)),
            Message("tool", (ToolResult("t2", "find", "no", is_error=True),)),
            Message("user", (Data("note", "and now?"), Text(" "))),
        ),
        tools=(ToolSpec("find", "finds", {"properties": {"k": {"type": "integer"}}}),),
    )
    body = sent(request)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    asked, thought, told = (turn["content"] for turn in body["messages"])
    assert [block["type"] for block in asked] == ["text", "image"]
    assert thought == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"k": 1}},
    ]
    assert told == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "there"},
        {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
        {"type": "text", "text": "<note>\nand now?\n</note>"},
    ]
    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {"k": {"type": "integer"}}}


def test_it_has_no_embeddings() -> None:
    with pytest.raises(InvalidRequest, match="no embeddings"):
        anthropic.path(EMBED)


def test_the_key_and_the_version_are_headers() -> None:
    assert anthropic.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert anthropic.headers(None) == {"anthropic-version": "2023-06-01"}


# ------------------------------------------------------------------------------------------------------------ decode
def test_input_tokens_count_what_the_cache_read_and_wrote() -> None:
    told = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 1000,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    }
    assert read(message(usage=told)).usage == Usage(1110, 50, 100, 1000, 20)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, Usage()),
        ({"input_tokens": -1, "output_tokens": True}, Usage()),
        ({"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 3}}, Usage(1, 2)),
        ({"cache_read_input_tokens": 5, "output_tokens": 2}, Usage(None, 2, 5)),
    ],
)
def test_odd_counts_are_unknown(told: Any, usage: Usage) -> None:
    assert read(message(usage=told)).usage == usage


def test_blocks_are_parts_and_kinds_that_are_no_answer_are_left_out() -> None:
    reply = read(
        message(
            {"type": "thinking", "thinking": "2 and 2", "signature": "s"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
            {"type": "text", "text": "4"},
            {"type": "tool_use", "id": "t1", "name": "find", "input": {"k": 3}},
            stop_reason="tool_use",
        )
    )
    assert reply.parts == (
        Reasoning("2 and 2", "s"),
        Reasoning("", "xx"),
        Text("4"),
        ToolCall("t1", "find", {"k": 3}),
    )
    assert (reply.text, reply.finish_reasons, reply.response_id) == ("4", ("tool_calls",), "msg_1")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("pause_turn", "pause_turn")],
)
def test_finish_reasons_are_told_in_shared_words(theirs: str, ours: str) -> None:
    assert read(message(stop_reason=theirs)).finish_reasons == (ours,)


def test_what_was_refused_is_billed_all_the_same() -> None:
    with pytest.raises(ContentFiltered) as raised:
        read(message(stop_reason="refusal", usage={"input_tokens": 100, "output_tokens": 7}))
    billed = raised.value.billed
    assert billed is not None and (billed.usage.input_tokens, billed.usage.output_tokens, billed.text) == (100, 7, "")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (message(stop_reason="refusal", stop_details={"explanation": "no"}), ContentFiltered),
        (message(stop_reason="refusal", stop_details=None), ContentFiltered),
        (orjson.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}), Overloaded),
        (orjson.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}), RateLimited),
        (orjson.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}), InvalidRequest),
        (b'{"type": "error"}', CallError),
        (message(content="words"), InvalidResponse),
        (message(content=[{"type": "text"}]), InvalidResponse),
        (message(content=[{"type": "tool_use", "id": "1", "name": "f", "input": "x"}]), InvalidResponse),
        (message(content=[], stop_reason="tool_use"), InvalidResponse),
        (b"[]", InvalidResponse),
        (b"<html>", InvalidResponse),
        (b"", InvalidResponse),
    ],
)
def test_what_is_no_reply_is_an_error_of_its_class(body: bytes, error: type[CallError]) -> None:
    with pytest.raises(error):
        read(body)


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error: prompt is too long: 300000 tokens", ContextOverflow),
        (413, "request_too_large", ContextOverflow),
        (429, "rate_limit_error", RateLimited),
        (529, "overloaded_error", Overloaded),
    ],
)
def test_statuses_have_their_class_and_the_wait_they_ask_for(status: int, kind: str, error: type[CallError]) -> None:
    body = orjson.dumps({"type": "error", "error": {"type": kind.partition(":")[0], "message": kind}})
    with pytest.raises(error) as raised:
        read(body, status, **{"retry-after": "3"})
    assert raised.value.retry_after == (3.0 if error.transient else None)
