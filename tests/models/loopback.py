"""A server on the loopback that says exactly the bytes that a test wants, and models that ask it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson

from toolkit.messages import Data, Message, Text
from toolkit.models import openai
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ASKED = Request(messages=(Message("system", (Text("Say hello."),)), Message("user", (Data("ticket", "Hi", "ticket"),))))
EMBED = Request(operation="embeddings", inputs=("one", "two"))


def chat(content: Any = "hello", **fields: Any) -> bytes:
    """The body of a chat completion; `fields` replace or add to those of its choice and of the whole."""
    message = fields.pop("message", {"role": "assistant", "content": content})
    choice = {"index": 0, "message": message, "finish_reason": fields.pop("finish_reason", "stop")}
    if "logprobs" in fields:
        choice["logprobs"] = fields.pop("logprobs")
    return orjson.dumps({"id": "c-1", "model": "m-1", "choices": [choice], **fields})


def response(body: bytes, *, status: int = 200, headers: str = "", length: int | None = None) -> bytes:
    """An HTTP response as bytes; `length` is what its header says, where that is not the truth."""
    told = len(body) if length is None else length
    return f"HTTP/1.1 {status} X\r\ncontent-length: {told}\r\n{headers}\r\n".encode() + body


def spec(endpoint: str, **fields: Any) -> ModelSpec:
    return ModelSpec("far", "openai", "far-1", endpoint=endpoint, **fields)


@contextlib.asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """A server that reads a request and hands the connection over to `talk`; gives its endpoint."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            await talk(reader, writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


def asked(talk: Talk | bytes, request: Request = ASKED, **fields: Any) -> Reply:
    """What a model over HTTP makes of a server that talks so (bytes: says them and hangs up)."""

    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(talk, bytes)
        writer.write(talk)

    async def go() -> Reply:
        async with talking(says if isinstance(talk, bytes) else talk) as endpoint:
            model = HttpModel(spec(endpoint, **fields), openai)
            try:
                return await model.send(request)
            finally:
                await model.close()

    return asyncio.run(go())
