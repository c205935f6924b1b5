"""The OpenAI dialect, reading replies: tables of (what came, what it is)."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from tests.models.loopback import chat
from toolkit.errors import (
    InvalidResponse,
)
from toolkit.messages import Reasoning, Text, ToolCall
from toolkit.models.openai import decode
from toolkit.records import Reply, Usage


def read(body: bytes, *, status: int = 200, operation: str = "chat", **headers: str) -> Reply:
    return decode(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, operation=operation)


def test_a_reply_says_who_gave_it_and_why_it_ended() -> None:
    reply = read(chat("hello", finish_reason="length", model="m-2", id="c-9"))
    assert (reply.text, reply.finish_reasons, reply.response_model, reply.response_id) == (
        "hello",
        ("length",),
        "m-2",
        "c-9",
    )


def test_content_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert read(chat(parts)).text == "ab"


def test_names_that_are_no_text_are_unknown() -> None:
    reply = read(chat(model=7, id=[1], finish_reason={"odd": 1}))
    assert (reply.response_model, reply.response_id, reply.finish_reasons) == (None, None, ())


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_answer(field: str) -> None:
    reply = read(chat(message={"content": "4", field: "2 and 2"}))
    assert reply.parts == (Reasoning("2 and 2"), Text("4"))
    assert reply.text == "4"


@pytest.mark.parametrize(("arguments", "read_as"), [('{"k": 3}', {"k": 3}), ("", {}), (None, {}), ({"k": 3}, {"k": 3})])
def test_tool_calls_are_parts(arguments: Any, read_as: dict[str, Any]) -> None:
    call = {"id": "t-1", "type": "function", "function": {"name": "search", "arguments": arguments}}
    reply = read(chat(message={"content": None, "tool_calls": [call]}, finish_reason="tool_calls"))
    assert reply.parts == (ToolCall("t-1", "search", read_as),)


@pytest.mark.parametrize("arguments", ["{", "[1]", "7", 7])
def test_tool_calls_with_odd_arguments_are_an_invalid_response(arguments: Any) -> None:
    call = {"id": "t-1", "function": {"name": "search", "arguments": arguments}}
    with pytest.raises(InvalidResponse):
        read(chat(message={"content": None, "tool_calls": [call]}))


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, Usage()),
        ([], Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 10, "completion_tokens": 4}, Usage(10, 4)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 6}}, Usage(10, None, 6)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}}, Usage(10)),
        (
            {"prompt_tokens": 1, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(1, 4, reasoning_output_tokens=4),
        ),
        ({"completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 5}}, Usage(None, 4)),
        ({"prompt_tokens": -1, "completion_tokens": True}, Usage()),
        ({"prompt_tokens": "10", "completion_tokens": 4.5}, Usage()),
        ({"prompt_tokens": 2**63, "prompt_tokens_details": [1]}, Usage()),
    ],
)
def test_usage_is_counts_whose_parts_are_within_the_whole(told: Any, usage: Usage) -> None:
    assert read(chat(usage=told)).usage == usage


@pytest.mark.parametrize(
    ("told", "confidence"),
    [
        (None, None),
        ({}, None),
        ({"content": []}, None),
        ({"content": None}, None),
        ({"content": [{"logprob": None}]}, None),
        ({"content": [{"token": "a"}]}, None),
        ({"content": [{"logprob": 0.0}]}, 1.0),
        ({"content": [{"logprob": math.log(0.25)}]}, 0.25),
        ({"content": [{"logprob": math.log(0.5)}, {"logprob": math.log(0.125)}]}, 0.25),
        ({"content": [{"logprob": -9999.0}]}, 0.0),
        ({"content": [{"logprob": 0.1}]}, 1.0),
        ({"content": [{"logprob": 1e308}, {"logprob": 1e308}]}, 1.0),
    ],
)
def test_confidence_is_the_probability_of_an_average_token(told: Any, confidence: float | None) -> None:
    assert read(chat(logprobs=told)).confidence == pytest.approx(confidence)


def vectors(*items: Any) -> bytes:
    return orjson.dumps({"data": list(items), "model": "e-1", "usage": {"prompt_tokens": 3}})


def test_vectors_come_in_the_order_of_their_index() -> None:
    reply = read(
        vectors({"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2.5]}), operation="embeddings"
    )
    assert reply.vectors == ((1.0, 2.5), (3.0, 4.0))
    assert (reply.usage, reply.response_model) == (Usage(3), "e-1")


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"index": 0, "embedding": [NaN]}]}',
        b'{"data": [{"index": 0, "embedding": [1e999]}]}',
        vectors({"index": 0, "embedding": [None]}),
        vectors({"index": 0, "embedding": ["nan"]}),
        vectors({"index": 0, "embedding": "123"}),
        vectors({"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}),
        vectors({"index": 1, "embedding": [1]}),
        vectors({"index": "0", "embedding": [1]}, {"index": 1, "embedding": [1]}),
        vectors({"embedding": [1]}),
        vectors(None),
        b'{"data": null}',
        b"{}",
    ],
)
def test_odd_vectors_are_an_invalid_response(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read(body, operation="embeddings")


@pytest.mark.parametrize(
    ("told", "cost"), [(0.25, 0.25), (0, 0.0), (-1, None), ("0.1", None), (True, None), (None, None)]
)
def test_a_cost_that_a_server_tells_is_its_word(told: Any, cost: float | None) -> None:
    assert read(chat(usage={"prompt_tokens": 3, "cost": told})).cost_usd == cost
