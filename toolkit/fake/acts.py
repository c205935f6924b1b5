"""`Act`: what a connection does for one request, as a value: bytes with pauses between them, and how it ends. Pure."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import orjson

from toolkit.records import Json

Piece = tuple[float, bytes]
"""Seconds to wait, and the bytes that are sent then."""
Ending = Literal["keep", "close", "reset", "hang"]

REASONS: Mapping[int, bytes] = {
    **{status.value: status.phrase.encode() for status in HTTPStatus},
    529: b"Overloaded",
}
STREAM = b"text/event-stream; charset=utf-8"
JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
LAST_CHUNK = b"0\r\n\r\n"
GIBIBYTE = 2**30
BLOCK = b"x" * 2**18
BREATH_SECONDS = 0.0001
"""Between blocks of a body without end, so that others are served too."""
PAGE = b"<!doctype html><html><head><title>%d</title></head><body><h1>%b</h1><hr>proxy</body></html>"


@dataclass(frozen=True, slots=True)
class Act:
    """What a connection does. `status` is what the client is told, None for nothing; `model` is whose answer it is."""

    status: int | None
    pieces: Iterable[Piece] = ()
    ending: Ending = "keep"
    model: str = ""


@dataclass(frozen=True, slots=True)
class Payload:
    """A good answer: one body, or the events of a stream with the seconds between them."""

    parts: Sequence[bytes]
    is_stream: bool = False
    gap_seconds: float = 0.0

    @property
    def kind(self) -> bytes:
        return STREAM if self.is_stream else JSON


def head(status: int, *, length: int | None, kind: bytes = JSON, more: bytes = b"") -> bytes:
    """Status line and headers; without a length the body comes in chunks."""
    size = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    reason = REASONS.get(status, b"Unknown")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n%b\r\n%b\r\n" % (status, reason, kind, size, more)


def chunk(data: bytes) -> bytes:
    """One piece of a body that comes in chunks (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def said(status: int, content: Json, *, wait: float = 0.0, more: bytes = b"", model: str = "") -> Act:
    """A JSON body under a status."""
    body = orjson.dumps(content)
    return Act(status, ((wait, head(status, length=len(body), more=more) + body),), model=model)


def page(status: int, *, wait: float, model: str) -> Act:
    """An HTML page, as proxies show it."""
    body = PAGE % (status, REASONS[status])
    return Act(status, ((wait, head(status, length=len(body), kind=HTML) + body),), model=model)


def good(payload: Payload, *, wait: float, more: bytes, model: str) -> Act:
    """The answer as it should come."""
    if not payload.is_stream:
        body = payload.parts[0]
        return Act(200, ((wait, head(200, length=len(body), more=more) + body),), model=model)
    opening = head(200, length=None, kind=STREAM, more=more)
    chunks = [chunk(part) for part in payload.parts]
    if not payload.gap_seconds:
        return Act(200, ((wait, b"".join((opening, *chunks, LAST_CHUNK))),), model=model)
    first, *rest = chunks
    pieces = [(wait, opening + first), *((payload.gap_seconds, each) for each in rest), (0.0, LAST_CHUNK)]
    return Act(200, pieces, model=model)


def spoiled(kind: str, payload: Payload, *, wait: float, drip_seconds: float, error: bytes, model: str) -> Act:
    """The answer, spoiled on its way; `error` is the dialect's event for an error in the middle of a stream."""
    middle = max(1, len(payload.parts) // 2)
    whole = b"".join(payload.parts)

    def sent(body: bytes, length: int, *, more: bytes = b"", ending: Ending = "keep") -> Act:
        opening = head(200, length=length, kind=payload.kind, more=more)
        return Act(200, ((wait, opening + body),), ending, model)

    match kind:
        case "cut_stream" if payload.is_stream:
            opening = head(200, length=None, kind=STREAM)
            begun = [chunk(part) for part in payload.parts[:middle]]
            return Act(200, ((wait, b"".join((opening, *begun))),), "close", model)
        case "cut_stream":
            return sent(whole[: len(whole) // 2], len(whole), ending="close")
        case "stream_error":
            return good(Payload([*payload.parts[:middle], error], True), wait=wait, more=b"", model=model)
        case "truncated_json" | "invalid_json" | "invalid_utf8":
            body = _damaged(kind, payload, middle)
            return sent(body, len(body))
        case "broken_gzip":
            packed = gzip.compress(whole, mtime=0)
            body = packed[:-8] + bytes(255 - byte for byte in packed[-8:])  # its checksum and length
            return sent(body, len(body), more=b"content-encoding: gzip\r\n")
        case "long_length":
            return sent(whole, len(whole) + 1000, ending="close")
        case "short_length":
            return sent(whole, max(1, len(whole) * 2 // 3), ending="close")
        case "drip":
            opening = head(200, length=len(whole), kind=payload.kind)
            drops = ((drip_seconds, whole[at : at + 1]) for at in range(len(whole)))
            return Act(200, _after((wait, opening), drops), "keep", model)
        case "endless":
            opening = head(200, length=None, kind=payload.kind) + chunk(b'{"id": "')
            return Act(200, _after((wait, opening), _blocks(None)), "close", model)
        case "huge":
            opening = head(200, length=GIBIBYTE, kind=payload.kind)
            return Act(200, _after((wait, opening), _blocks(GIBIBYTE)), "close", model)
        case _:
            raise ValueError(f"{kind} does not spoil bytes")


def _damaged(kind: str, payload: Payload, middle: int) -> bytes:
    """The body with one part of it damaged: all of it, or an event in the middle of a stream."""
    index = min(middle, len(payload.parts) - 1) if payload.is_stream else 0
    part = payload.parts[index].rstrip(b"\n")
    match kind:
        case "truncated_json":
            part = part[: max(len(part) * 2 // 3, part.find(b"{") + 1)]
        case "invalid_json":
            part = part.replace(b'":', b"'=")
        case _:
            part = part.replace(b'":"', b'":"\xff\xfe\xc3')
    end = b"\n\n" if payload.is_stream else b""
    return b"".join((*payload.parts[:index], part + end, *payload.parts[index + 1 :]))


def _after(first: Piece, rest: Iterable[Piece]) -> Iterator[Piece]:
    yield first
    yield from rest


def _blocks(size: int | None) -> Iterator[Piece]:
    """Blocks of a body: chunks for ever, or so many bytes."""
    if size is None:
        data = chunk(BLOCK)
        while True:
            yield BREATH_SECONDS, data
    for _ in range(size // len(BLOCK)):
        yield BREATH_SECONDS, BLOCK
