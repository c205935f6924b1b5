"""The one module that holds an HTTP client: a Request goes out in a dialect, a Reply or a CallError comes back.

Each model has a transport of its own, any that httpx knows (tests, odd proxies); the default is that of `transport`, as
httpx's pool is slow with many connections. It is called without httpx's client around it: retries, redirects and
cookies are nobody's business here.
"""

from __future__ import annotations

import asyncio
from types import ModuleType

import httpx

from toolkit.errors import CallError, InvalidRequest, InvalidResponse, TimedOut, Unavailable
from toolkit.models.addressing import address_of
from toolkit.models.spec import ModelSpec
from toolkit.models.transport import AiohttpTransport
from toolkit.records import Reply, Request

LONGEST_BODY = 64 * 1024 * 1024


class HttpModel:
    """A model behind HTTP. `dialect` is a module with `path`, `headers`, `encode` and `decode`.

    Raises FleetError where the endpoint is no URL, or a key or header is missing or cannot be sent.
    """

    def __init__(self, spec: ModelSpec, dialect: ModuleType, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.spec = spec
        self.dialect = dialect
        self.address = address_of(spec, dialect)
        self.transport = transport or AiohttpTransport()

    async def send(self, request: Request) -> Reply:
        """Raises a CallError for whatever does not end in a reply."""
        try:
            path = self.dialect.path(request)
            content = self.dialect.encode(request, self.spec)
        except TypeError as error:
            raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error
        outgoing = httpx.Request("POST", self.address.url(path), headers=self.address.headers, content=content)
        try:
            async with asyncio.timeout(self.spec.timeout_seconds):
                response = await self.transport.handle_async_request(outgoing)
                body = await _body(response)
        except CallError:
            raise
        except (httpx.HTTPError, OSError, ValueError, EOFError, RuntimeError) as error:
            raise self._failure(error) from error
        reply: Reply = self.dialect.decode(response.status_code, response.headers, body, operation=request.operation)
        if request.operation == "embeddings" and len(reply.vectors) != len(request.inputs):
            raise InvalidResponse(f"{len(request.inputs)} texts went in, {len(reply.vectors)} vectors came out")
        return reply

    async def close(self) -> None:
        await self.transport.aclose()

    def _failure(self, error: Exception) -> CallError:
        where = self.address.base
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return TimedOut(f"no whole answer from {where} within {self.spec.timeout_seconds:g} s")
        if isinstance(error, httpx.DecodingError):
            return InvalidResponse(f"{where}: the body cannot be decompressed: {error}")
        return Unavailable(f"{where}: {type(error).__name__}: {error}")


async def _body(response: httpx.Response) -> bytes:
    """The whole body, decompressed, up to a bound: a server that never ends must not fill the memory."""
    found, size = [], 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > LONGEST_BODY:
                raise InvalidResponse(f"the body is longer than {LONGEST_BODY // 2**20} MiB")
            found.append(chunk)
    finally:
        await response.aclose()
    return b"".join(found)
