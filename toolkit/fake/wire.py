"""The connection: bytes in, requests to whoever answers them, and their acts played out. The only part that sends.

Answers go out in the order of the requests, one at a time, however many of them came at once.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from toolkit.fake.acts import Act, Piece, said
from toolkit.fake.parsing import HttpRequest, Malformed, Parser

MOST_WAITING = 32
LINGER_NOT = struct.pack("ii", 1, 0)


class Answering(Protocol):
    """Whoever has the answers."""

    def answer(self, request: HttpRequest) -> Act: ...

    def ended(self, act: Act, *, whole: bool) -> None: ...

    def resets(self, port_of: str) -> bool: ...


class Connection(asyncio.Protocol):
    """One connection; `port_of` names the model that has the port for itself."""

    def __init__(self, answering: Answering, port_of: str | None = None) -> None:
        self._answering = answering
        self._port_of = port_of
        self._parser = Parser()
        self._waiting: deque[HttpRequest | Malformed] = deque()
        self._act: Act | None = None
        self._keeps = True
        self._pieces: Iterator[Piece] = iter(())
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = False
        self._is_first = False
        self._is_reading = True

    # ------------------------------------------------------------------------------------------------------------- in
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        if self._port_of is not None and self._answering.resets(self._port_of):
            self._reset()

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._parser.feed(data):
                self._waiting.append(request)
        except Malformed as error:
            self._waiting.append(error)
            self._pause()
        if len(self._waiting) > MOST_WAITING:
            self._pause()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._act is not None:
            self._ended(whole=False)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._act is not None and self._timer is None:
            self._play()
            self._next()

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    # ------------------------------------------------------------------------------------------------------------ out
    def _next(self) -> None:
        """Answer the requests that wait, as far as that can be done at once."""
        while self._waiting and self._act is None and not self._transport.is_closing():
            self._begin(self._waiting.popleft())
        if self._act is not None or self._transport.is_closing():
            return
        if self._parser.asks_to_go_on():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()

    def _begin(self, request: HttpRequest | Malformed) -> None:
        if isinstance(request, Malformed):
            told = {"error": {"message": str(request), "type": "invalid_request_error", "code": None}}
            self._act, self._keeps = said(request.status, told), False
        else:
            self._act, self._keeps = self._answering.answer(request), request.keeps_alive
        self._pieces, self._is_first = iter(self._act.pieces), True
        self._play()

    def _play(self) -> None:
        """Send pieces until one has to wait, the client is too slow, or all are sent."""
        while not self._is_full:
            piece = next(self._pieces, None)
            if piece is None:
                self._finish()
                return
            wait, data = piece
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._later, data)
                return
            self._send(data)

    def _later(self, data: bytes) -> None:
        self._timer = None
        if not self._transport.is_closing():
            self._send(data)
            self._play()
            self._next()

    def _send(self, data: bytes) -> None:
        if self._is_first:
            self._is_first = False
            if not self._keeps:
                data = data.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        self._transport.write(data)

    def _finish(self) -> None:
        assert self._act is not None
        match self._act.ending:
            case "hang":
                return
            case "reset":
                self._ended(whole=True)
                self._reset()
            case "close":
                self._ended(whole=True)
                self._transport.close()
            case _:
                self._ended(whole=True)
                if not self._keeps:
                    self._transport.close()

    def _ended(self, *, whole: bool) -> None:
        assert self._act is not None
        act, self._act = self._act, None
        self._answering.ended(act, whole=whole)

    def _reset(self) -> None:
        """End the connection with RST, not with an orderly end."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._transport.abort()
