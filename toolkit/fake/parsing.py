"""HTTP/1.1 requests out of bytes as they arrive. Pure: bytes in, whole requests out.

Source: RFC 9112. Several requests may lie in one piece, one request in many; bodies have a length or come in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; names of headers in lower case, `path` without query and decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    keeps_alive: bool


class Malformed(Exception):
    """Bytes that are no request this server takes; `status` is what the client is told before the end."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(slots=True)
class _Head:
    method: str
    target: str
    headers: dict[str, str]
    is_old: bool
    length: int
    is_chunked: bool


class Parser:
    """The requests of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._chunks: bytearray | None = None
        self._searched = 0
        self._continued = False

    def feed(self, data: bytes) -> Iterator[HttpRequest]:
        """The requests that are whole now. Raises Malformed."""
        self._buffer += data
        while True:
            if self._head is None and not self._read_head():
                return
            assert self._head is not None
            body = self._chunked(self._head) if self._head.is_chunked else self._sized(self._head)
            if body is None:
                return
            head, self._head = self._head, None
            yield _request(head, body)

    def asks_to_go_on(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends its body; true once for each request."""
        head = self._head
        if head is None or head.is_old or self._continued or head.headers.get("expect", "").lower() != "100-continue":
            return False
        self._continued = True
        return True

    def _read_head(self) -> bool:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > LONGEST_HEAD:
                raise Malformed(431, "the head is too long")
            return False
        self._head = _head(bytes(buffer[:end]))
        del buffer[: end + 4]
        self._searched, self._chunks, self._continued = 0, None, False
        return True

    def _sized(self, head: _Head) -> bytes | None:
        if len(self._buffer) < head.length:
            return None
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        return body

    def _chunked(self, head: _Head) -> bytes | None:
        """The body, when its last chunk is there."""
        buffer = self._buffer
        if self._chunks is None:
            self._chunks = bytearray()
        while True:
            end = buffer.find(b"\r\n", 0, LONGEST_HEAD)
            if end < 0:
                return None
            word = bytes(buffer[:end]).partition(b";")[0].strip()
            if not word or word.strip(b"0123456789abcdefABCDEF") or len(word) > 16:
                raise Malformed(400, "a chunk has no size")
            size = int(word, 16)
            if len(self._chunks) + size > LONGEST_BODY:
                raise Malformed(413, "the body is too long")
            if not size:
                return self._trailed(end)
            if len(buffer) < end + 2 + size + 2:
                return None
            if buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise Malformed(400, "a chunk is longer than it says")
            self._chunks += buffer[end + 2 : end + 2 + size]
            del buffer[: end + 4 + size]

    def _trailed(self, end: int) -> bytes | None:
        """The body, when the trailers behind its last chunk are there too; they are not read."""
        buffer = self._buffer
        if buffer[end : end + 4] == b"\r\n\r\n":
            del buffer[: end + 4]
        else:
            stop = buffer.find(b"\r\n\r\n", end)
            if stop < 0:
                if len(buffer) > LONGEST_HEAD:
                    raise Malformed(431, "the trailers are too long")
                return None
            del buffer[: stop + 4]
        return bytes(self._chunks or b"")


def _head(told: bytes) -> _Head:
    lines = told.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Malformed(400, "the first line is not that of an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name[-1] in " \t" or name[0] in " \t":
            raise Malformed(400, "a line of the head is no header")
        name, value = name.lower(), value.strip(" \t")
        if name in headers and name == "content-length" and headers[name] != value:
            raise Malformed(400, "two lengths are told")
        headers[name] = f"{headers[name]}, {value}" if name in headers and name != "content-length" else value
    is_chunked = "transfer-encoding" in headers
    if is_chunked and headers["transfer-encoding"].lower() != "chunked":
        raise Malformed(501, "no transfer-encoding but chunked is known here")
    size = headers.get("content-length", "0")
    if not (size.isascii() and size.isdigit()):
        raise Malformed(400, "the content-length is no number")
    if int(size) > LONGEST_BODY:
        raise Malformed(413, "the body is too long")
    return _Head(words[0], words[1], headers, words[2] == "HTTP/1.0", int(size), is_chunked)


def _request(head: _Head, body: bytes) -> HttpRequest:
    path, query = head.target, ""
    if "?" in path or "%" in path or not path.startswith("/"):
        parts = urlsplit(path if not path.startswith("//") else "/" + path.lstrip("/"))
        path, query = unquote(parts.path), parts.query
    told = head.headers.get("connection", "").lower()
    keeps = "keep-alive" in told if head.is_old else "close" not in told
    return HttpRequest(head.method, path, query, head.headers, body, keeps)
