"""Streams of both dialects: the whole of one is the reply of the same call unstreamed, a part never passes for it."""

from __future__ import annotations

import asyncio
import contextlib
from types import ModuleType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.loopback import ASKED, talking
from toolkit.errors import CallError, InvalidResponse, Overloaded
from toolkit.messages import Reasoning, Text, ToolCall
from toolkit.models import anthropic, openai
from toolkit.models.bodies import events
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Usage

STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def openai_stream(*deltas: dict[str, Any], reason: str = "stop", done: bool = True) -> bytes:
    chunks: list[Any] = [
        {"id": "c-1", "model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    chunks.append({"id": "c-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
    body = b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks)
    return body + (b"data: [DONE]\n\n" if done else b"")


def anthropic_stream(*told: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in told)


CALL = {"index": 0, "id": "t-1", "type": "function", "function": {"name": "find", "arguments": ""}}
OPENAI = openai_stream(
    {"role": "assistant", "content": ""},
    {"reasoning_content": "hm"},
    {"content": "hel"},
    {"content": "lo"},
    {"tool_calls": [CALL]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"k"'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ": 3}"}}]},
    reason="tool_calls",
)
START: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m-1",
    "content": [],
    "stop_reason": None,
}
TOOL = {"type": "tool_use", "id": "t-1", "name": "find", "input": {}}
ANTHROPIC = anthropic_stream(
    {"type": "message_start", "message": {**START, "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hel"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": TOOL},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"k"'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ": 3}"}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
    {"type": "message_stop"},
)  # fmt: skip
WHOLE = {
    openai: (OPENAI, Reply((Reasoning("hm"), Text("hello"), ToolCall("t-1", "find", {"k": 3})), usage=Usage(9, 4))),
    anthropic: (
        ANTHROPIC,
        Reply((Reasoning("hm", "s"), Text("hello"), ToolCall("t-1", "find", {"k": 3})), usage=Usage(9, 4)),
    ),
}
DIALECTS = pytest.mark.parametrize("dialect", WHOLE, ids=lambda dialect: dialect.__name__.rsplit(".", 1)[-1])


def read(dialect: ModuleType, body: bytes) -> Reply:
    reply: Reply = dialect.decode(200, STREAM, body, operation="chat")
    return reply


@DIALECTS
def test_a_whole_stream_is_the_reply(dialect: ModuleType) -> None:
    body, wanted = WHOLE[dialect]
    reply = read(dialect, body)
    assert (reply.parts, reply.usage) == (wanted.parts, wanted.usage)
    assert (reply.finish_reasons, reply.response_model) == (("tool_calls",), "m-1")


@DIALECTS
def test_a_stream_cut_anywhere_is_an_error_or_the_whole_answer(dialect: ModuleType) -> None:
    body, wanted = WHOLE[dialect]
    ended = 0
    for length in range(len(body)):
        with contextlib.suppress(InvalidResponse):
            assert read(dialect, body[:length]).parts == wanted.parts
            ended += 1
    assert ended < len(body) / 5


@DIALECTS
@given(data=st.data())
def test_whatever_happens_to_a_stream_it_is_a_reply_or_a_call_error(dialect: ModuleType, data: st.DataObject) -> None:
    body, _ = WHOLE[dialect]
    at = data.draw(st.integers(0, len(body)))
    until = data.draw(st.integers(at, min(len(body), at + 40)))
    body = body[:at] + data.draw(st.binary(max_size=12)) + body[until:]
    with contextlib.suppress(CallError):
        assert isinstance(read(dialect, body), Reply)


def test_an_error_in_the_middle_of_a_stream_has_its_class() -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    with pytest.raises(Overloaded, match="busy"):
        read(anthropic, ANTHROPIC[:400].rsplit(b"\n\n", 1)[0] + b"\n\n" + anthropic_stream(overloaded))
    with pytest.raises(Overloaded, match="busy"):
        read(openai, b'data: {"error": {"code": 529, "message": "busy"}}\n\n')


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_each_of_three_ways(end: bytes) -> None:
    stream = end.join([b": a comment", b"event: x", b"data: 1", b"data:2", b"", b"data: 3", b"", b"data: cut"])
    assert list(events(stream)) == [b"1\n2", b"3"]


def test_some_servers_leave_the_last_word_out() -> None:
    assert read(openai, openai_stream({"content": "hi"}, done=False)).text == "hi"


def test_a_streamed_call_goes_over_the_wire_in_pieces() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(OPENAI), 97):
            piece = OPENAI[start : start + 97]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def go() -> Reply:
        async with talking(drip) as endpoint:
            model = HttpModel(ModelSpec("far", "openai", "m", endpoint=endpoint, settings={"stream": True}), openai)
            try:
                return await model.send(ASKED)
            finally:
                await model.close()

    assert asyncio.run(go()).text == "hello"


@DIALECTS
def test_a_stream_is_asked_for_where_the_fleet_says_so(dialect: ModuleType) -> None:
    spec = ModelSpec("far", "x", "m", endpoint="http://far/v1", settings={"stream": True})
    assert orjson.loads(dialect.encode(ASKED, spec))["stream"] is True
