"""A model's stand-in on the loopback: an OpenAI-compatible reply after a fixed latency. Fast, as clients are measured.

    python -m evals.performance.server --latency 0.05

Prints its URL; `GET /count` tells the number of chat calls so far; ends when its standard input does, and so with
its parent.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":0,"model":"echo-1","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"The parcel is on its way and arrives within two working days."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":14,"total_tokens":56}}'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection. Requests come one after the other (no pipelining), each with a content-length or no body."""

    calls = 0
    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, ended, body = self.buffer.partition(b"\r\n\r\n")
        if not ended or len(body) < _length(head):
            return
        self.buffer = b""
        if head.startswith(b"GET /count"):
            self._say(b"%d" % Answering.calls)
            return
        Answering.calls += 1
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, self._say, BODY)
        else:
            self._say(BODY)

    def _say(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % len(body) + body)


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


async def _serve(latency: float) -> None:
    Answering.latency = latency
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m evals.performance.server")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds from request to reply")
    asyncio.run(_serve(parser.parse_args().latency))
