"""Load from a process of its own: connections that ask again as soon as they are answered.

    python -m evals.fake.load PORT PATH CONNECTIONS REQUESTS   (the body on standard input; N is the call's number)

Prints the seconds that all of it took.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from functools import partial


class Asking(asyncio.Protocol):
    """One connection: takes bodies from `bodies` until there are none."""

    def __init__(self, path: str, bodies: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self.head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n".encode()
        self.bodies = bodies
        self.done = done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if b"chunked" in head:
            whole = body.endswith(b"0\r\n\r\n")
        else:
            whole = len(body) >= int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if whole:
            self.buffer = b""
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    def _ask(self) -> None:
        body = next(self.bodies, None)
        if body is not None:
            self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (self.head, len(body), body))
        elif not self.done.done():
            self.done.set_result(None)


async def load(port: int, path: str, body: bytes, *, connections: int, requests: int) -> float:
    """Seconds that so many requests over so many connections take."""
    loop = asyncio.get_running_loop()
    bodies = iter([body.replace(b"N", b"%d" % number) for number in range(requests)])
    done = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    for each in done:
        await loop.create_connection(partial(Asking, path, bodies, each), "127.0.0.1", port)
    await asyncio.gather(*done)
    return time.perf_counter() - began


if __name__ == "__main__":
    port, path, connections, requests = sys.argv[1:]
    content = sys.stdin.buffer.read()
    print(asyncio.run(load(int(port), path, content, connections=int(connections), requests=int(requests))))
